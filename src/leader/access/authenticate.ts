// Owns who a token of a user stands for, and how several ways to prove who somebody is are tried one after the other.
// Must not hold secrets: it compares digests, and takes the same time for every wrong one.
import { createHash, timingSafeEqual } from 'node:crypto'
import type { State } from '../../core/index.ts'
import type { Cancel, Clock, Credentials } from '../../platform/index.ts'
import { isTokenId, type Principal, tokenIdOf } from '../../protocol/index.ts'

/** Says who credentials prove, or undefined where they are nothing to it. */
export type Authenticator = (credentials: Credentials) => Principal | undefined | Promise<Principal | undefined>

/** Tries them in their order: the first that knows somebody decides. It waits only where one of them does. */
export function firstOf(...authenticators: readonly Authenticator[]): Authenticator {
  const from = (first: number, credentials: Credentials): ReturnType<Authenticator> => {
    for (let at = first; at < authenticators.length; at++) {
      const found = authenticators[at]!(credentials)
      if (found instanceof Promise) return found.then(one => one ?? from(at + 1, credentials))
      if (found) return found
    }
    return undefined
  }
  return credentials => from(0, credentials)
}

/** What is known of users at this moment, and the cluster's time. */
export interface Knowledge {
  state: State
  nowMs: number
}

/** The longest that a timer of every platform can wait. */
const timerMsMax = 2 ** 31 - 1
const noDigest = '0'.repeat(64)

/** Users by the tokens that the cluster gave them. `known` is asked each time: undefined while nothing is known. */
export function userTokens(known: () => Knowledge | undefined): (credentials: Credentials) => Principal | undefined {
  return ({ token: text }) => {
    const id = tokenIdOf(text)
    const now = id === undefined ? undefined : known()
    if (id === undefined || !now) return undefined
    const { users, tokens } = now.state.access
    const token = tokens.get(id)
    const given = createHash('sha256').update(text).digest()
    const same = timingSafeEqual(given, Buffer.from(token?.digest ?? noDigest, 'hex'))
    const goodForMs = (token?.expiresAtMs ?? 0) - now.nowMs
    const user = token && users.get(token.user)
    if (!same || !user || goodForMs <= 0) return undefined
    const { name, role, scope } = user
    return { kind: 'user', name, role, scope, credential: id, goodForMs }
  }
}

/**
 * False if a user's token is known no more, or its user is another by now. What was proved by other means (the local token, a certificate, an identity
 * provider) is nothing that the state knows of, and stands.
 */
export function stillStands({ access }: State, principal: Principal): boolean {
  if (principal.kind === 'node' || !isTokenId(principal.credential)) return true
  const user = access.users.get(principal.name)
  return access.tokens.get(principal.credential)?.user === principal.name && user?.role === principal.role && user.scope === principal.scope
}

/** Calls back when the credential is not good any more, unless that is cancelled before. */
export function whenExpired(clock: Clock, principal: Principal, callback: () => void): Cancel {
  if (principal.kind === 'node' || principal.goodForMs === undefined) return () => {}
  const atMs = clock.monotonicMs() + principal.goodForMs
  let cancel: Cancel
  const look = (): void => {
    const leftMs = atMs - clock.monotonicMs()
    if (leftMs <= 0) callback()
    else cancel = clock.timer(Math.min(timerMsMax, leftMs), look)
  }
  cancel = clock.timer(Math.min(timerMsMax, principal.goodForMs), look)
  return () => cancel()
}

// Owns what follows when users are made, changed and deleted, and when tokens are given and taken. Must not write state, and never sees a token.
import {
  CoxswainError,
  isTokenId,
  type JournalRecord,
  OverloadedError,
  type UserSpec,
  userNameFlaw,
  limits as wire,
} from '../../protocol/index.ts'
import { answer, type CommandOf, type Decision, refuse } from '../commands.ts'
import type { CoreLimits } from '../limits.ts'
import type { State } from '../state.ts'
import type { User } from './state.ts'

const retryAfterMs = 1000
/** Tokens that one fact forgets. */
const forgottenMax = 1000

function done(...records: JournalRecord[]): Decision {
  return { records, payloads: [], reply: { kind: 'done' } }
}

function invalid(message: string, id: string): Decision {
  return refuse(new CoxswainError('INVALID_ARGUMENT', message, { id }))
}

function missing(what: 'user' | 'token', id: string): Decision {
  return refuse(new CoxswainError('NOT_FOUND', `There is no ${what} ${id}.`, { id }))
}

/** What is wrong with a user as it is asked for, or undefined. */
function flawOf({ user, role, scope }: UserSpec): string | undefined {
  const flaw = userNameFlaw(user)
  if (flaw !== undefined) return flaw
  const texts = [...scope.jobPrefixes, ...scope.labels]
  if (texts.includes('')) return `The scope of ${user} has an empty text`
  // What they may do is about the cluster as a whole: a scope would be left by the first step.
  if (texts.length > 0 && (role === 'operator' || role === 'admin')) return `A scope is for viewers and submitters, and ${user} is ${role}`
  return undefined
}

function same({ role, scope }: User, spec: UserSpec): boolean {
  return (
    role === spec.role && JSON.stringify([scope.jobPrefixes, scope.labels]) === JSON.stringify([spec.scope.jobPrefixes, spec.scope.labels])
  )
}

export function decideSetUser({ access }: State, { spec, replace }: CommandOf<'setUser'>, limits: CoreLimits): Decision {
  const { user, role, scope } = spec
  const flaw = flawOf(spec)
  if (flaw !== undefined) return invalid(`${flaw}.`, user)
  const known = access.users.get(user)
  if (known && same(known, spec)) return answer({ kind: 'done' })
  if (known && !replace)
    return refuse(
      new CoxswainError('USER_EXISTS', `There is a user ${user} already, who is ${known.role} or has another scope.`, { id: user }),
    )
  if (!known && access.users.size >= limits.usersMax)
    return refuse(new OverloadedError(`The cluster holds its limit of ${limits.usersMax} users.`, { retryAfterMs }))
  return done({ kind: 'UserSet', user, role, scope })
}

export function decideDeleteUser({ access }: State, { user }: CommandOf<'deleteUser'>): Decision {
  return access.users.has(user) ? done({ kind: 'UserDeleted', user }) : missing('user', user)
}

/** Tokens of the user that make room: those that expired long ago, and where that is not enough the oldest of those that expired. */
function forgettable({ access, nowMs }: State, user: User, limits: CoreLimits): string[] {
  const expired = [...user.tokens].map(id => access.tokens.get(id)!).filter(token => token.expiresAtMs <= nowMs)
  const old = expired.filter(token => nowMs - token.expiresAtMs >= limits.expiredTokenAgeMs)
  const left = user.tokens.size - old.length
  const others = expired.filter(token => !old.includes(token))
  return [...old, ...others.slice(0, Math.max(0, left + 1 - limits.tokensPerUserMax))].slice(0, forgottenMax).map(({ id }) => id)
}

export function decideIssueToken(state: State, command: CommandOf<'issueToken'>, limits: CoreLimits): Decision {
  const { token, user: name, digest, ttlMs } = command
  const user = state.access.users.get(name)
  if (!user) return missing('user', name)
  if (!isTokenId(token)) return invalid(`${JSON.stringify(token)} is no id of a token: 8 to 32 small letters and digits.`, token)
  if (ttlMs < 1 || ttlMs > wire.tokenTtlMsMax)
    return invalid(`A token is good for 1 ms to ${wire.tokenTtlMsMax} ms, not for ${ttlMs} ms.`, token)
  const known = state.access.tokens.get(token)
  if (known && known.user !== name) return invalid(`The id ${token} is that of a token of another user.`, token)
  const forgotten = known ? [] : forgettable(state, user, limits)
  if (!known && user.tokens.size - forgotten.length >= limits.tokensPerUserMax)
    return refuse(new OverloadedError(`User ${name} has the limit of ${limits.tokensPerUserMax} tokens: revoke some.`, { retryAfterMs }))
  const expiresAtMs = state.nowMs + ttlMs
  const records: JournalRecord[] = forgotten.length > 0 ? [{ kind: 'TokensForgotten', tokens: forgotten }] : []
  records.push({ kind: 'TokenIssued', token, user: name, digest, expiresAtMs })
  return { records, payloads: [], reply: { kind: 'issued', expiresAtMs } }
}

export function decideRevokeToken({ access }: State, { token }: CommandOf<'revokeToken'>): Decision {
  return access.tokens.has(token) ? done({ kind: 'TokenRevoked', token }) : missing('token', token)
}

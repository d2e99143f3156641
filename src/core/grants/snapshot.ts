// Owns the bytes of locks in a snapshot. Must not hold derived things.
import { type Infer, list, lockMode, string, struct, varint } from '../../protocol/index.ts'
import type { State } from '../state.ts'
import { addGrant } from './apply.ts'
import type { Grant, Lock } from './state.ts'

const countMax = 2 ** 31
const name = string(4096)
const grantState = struct({ id: name, session: name, mode: lockMode, ttlMs: varint, askedAtMs: varint, token: varint, grantedAtMs: varint })

export const grantsState = struct({
  locks: list(
    struct({
      name,
      permits: varint,
      /** Those who hold it, then those who wait, each in their order. */
      held: list(grantState, countMax),
      line: list(grantState, countMax),
    }),
    countMax,
  ),
  lastToken: varint,
  expired: list(name, countMax),
})

export function grantsValue({ grants }: State): Infer<typeof grantsState> {
  const locks = [...grants.locks.values()].map(lock => ({ ...lock, held: [...lock.held], line: [...lock.line] }))
  return { locks, lastToken: grants.lastToken, expired: [...grants.expired] }
}

export function restoreGrants({ grants }: State, value: Infer<typeof grantsState>): void {
  for (const { name: lockName, permits, held, line } of value.locks) {
    const lock: Lock = { name: lockName, permits, held: new Set(), line: new Set() }
    grants.locks.set(lockName, lock)
    const restore = (one: Infer<typeof grantState>): Grant => {
      const grant = { ...one, lock }
      addGrant(grants, grant)
      return grant
    }
    for (const one of held) lock.held.add(restore(one))
    for (const one of line) lock.line.add(restore(one))
  }
  grants.lastToken = value.lastToken
  for (const id of value.expired) grants.expired.add(id)
}

// Owns what the facts about locks do to the state. Must not choose anything: who is next follows from the order in which they asked.
import type { RecordOf } from '../../protocol/index.ts'
import type { State } from '../state.ts'
import { expiredMax, type Grant, type Grants, type Lock, mayHold } from './state.ts'

export function applyLockAsked(state: State, record: RecordOf<'LockAsked'>): void {
  const { grants } = state
  const { grant: id, lock: name, session, mode, permits, ttlMs } = record
  if (grants.byId.has(id)) throw new Error(`grant ${id} was asked for twice`)
  const known = grants.locks.get(name)
  const lock: Lock = known ?? { name, permits, held: new Set(), line: new Set() }
  if (!known) grants.locks.set(name, lock)
  const grant: Grant = { id, lock, session, mode, ttlMs, askedAtMs: state.nowMs, token: 0, grantedAtMs: 0 }
  addGrant(grants, grant)
  lock.line.add(grant)
  serve(state, lock)
}

/** Makes a grant known. */
export function addGrant(grants: Grants, grant: Grant): void {
  grants.byId.set(grant.id, grant)
  const owned = grants.bySession.get(grant.session) ?? new Set()
  grants.bySession.set(grant.session, owned.add(grant))
}

export function applyGrantEnded(state: State, record: RecordOf<'GrantEnded'>): void {
  const { grants } = state
  const grant = grants.byId.get(record.grant)
  if (!grant) throw new Error(`no grant ${record.grant}`)
  const { lock, session } = grant
  grants.byId.delete(grant.id)
  const owned = grants.bySession.get(session)!
  owned.delete(grant)
  if (owned.size === 0) grants.bySession.delete(session)
  lock.held.delete(grant)
  lock.line.delete(grant)
  if (record.reason === 'expired') {
    grants.expired.add(grant.id)
    for (const oldest of grants.expired) {
      if (grants.expired.size <= expiredMax) break
      grants.expired.delete(oldest)
    }
  }
  serve(state, lock)
  if (lock.held.size === 0) grants.locks.delete(lock.name)
}

/** Grants the lock to those at the head of the line, as far as they can hold it together. */
function serve(state: State, lock: Lock): void {
  const { grants } = state
  for (const next of lock.line) {
    if (!mayHold(lock, next.mode)) return
    lock.line.delete(next)
    lock.held.add(next)
    next.token = ++grants.lastToken
    next.grantedAtMs = state.nowMs
    grants.fresh.push(next)
  }
}

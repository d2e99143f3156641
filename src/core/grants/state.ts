// Owns what locks are: who holds them, who waits, in which order, and their fencing tokens.
// Must not know when a session was heard: that is seen by the leader and not journaled.
import type { LockMode } from '../../protocol/index.ts'

/** A lock as one session holds it, or waits for it. */
export interface Grant {
  readonly id: string
  readonly lock: Lock
  readonly session: string
  readonly mode: LockMode
  readonly ttlMs: number
  readonly askedAtMs: number
  /** The fencing token; 0 while it waits. */
  token: number
  grantedAtMs: number
}

/** What goes by one name: a lock that is held alone or by readers together, or a semaphore. It is there as long as somebody holds or wants it. */
export interface Lock {
  readonly name: string
  /** Of a semaphore; 0 for a lock. */
  readonly permits: number
  readonly held: Set<Grant>
  /** In the order in which they asked: nobody overtakes. */
  readonly line: Set<Grant>
}

export interface Grants {
  readonly byId: Map<string, Grant>
  readonly locks: Map<string, Lock>
  /** Derived. */
  readonly bySession: Map<string, Set<Grant>>
  /** The last token that was given: over all locks they only grow, and so they do for each. */
  lastToken: number
  /** Grants that expired lately, oldest first: who still believes in one is told. */
  readonly expired: Set<string>
  /** Derived, of the last fact alone: what it granted. */
  fresh: Grant[]
}

export function createGrants(): Grants {
  return { byId: new Map(), locks: new Map(), bySession: new Map(), lastToken: 0, expired: new Set(), fresh: [] }
}

/** Expired grants that are remembered. */
export const expiredMax = 10_000

/** True if the lock can be held in this mode besides those who hold it. */
export function mayHold(lock: Lock, mode: LockMode): boolean {
  if (lock.held.size === 0) return true
  if (mode === 'permit') return lock.held.size < lock.permits
  if (mode === 'exclusive') return false
  for (const { mode: other } of lock.held) return other === 'read'
  return true
}

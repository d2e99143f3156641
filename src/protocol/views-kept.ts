// Owns what is told of things that the cluster keeps for its users besides jobs: secrets and locks.
// Must not hold behaviour.

/** A secret, as `cox secret list` tells of it: never what is in it. */
export interface SecretView {
  name: string
  /** Jobs whose names begin with one of these may have it; an empty list: all. */
  jobs: string[]
  /** Cluster time when it was set last, milliseconds since 1970, and how often it was set. */
  setAtMs: number
  version: number
}

/** A lock or semaphore that somebody holds. */
export interface LockView {
  name: string
  /** Of a semaphore; missing for a lock. */
  permits?: number
  held: LockHolderView[]
  /** How many wait, and the first of them in their order. */
  waiting: number
  line: LockHolderView[]
}

/** Who holds a lock, or waits for it. */
export interface LockHolderView {
  /** The client's session. */
  session: string
  mode: 'exclusive' | 'read' | 'permit'
  /** The fencing token; missing while it waits. */
  token?: number
  /** Cluster time since when it holds it, or waits. */
  sinceMs: number
  ttlMs: number
}

// Owns who the workers are and what they have left. Must not hold load or signs of life: those are observed, not facts.
import type { Resources, WorkerId } from '../../protocol/index.ts'
import type { Lane } from '../tasks/state.ts'
import { usedShare } from './resources.ts'

/** One life of a worker, from registration to loss. */
export interface Worker {
  id: WorkerId
  incarnation: number
  boot: string
  capacity: Resources
  /** Capacity less what its lanes reserve. */
  free: Resources
  host: string
  pid: number
  blocks: string
  labels: string[]
  draining: boolean
  /** In the order they were opened. Replaced, never changed: such arrays are as small as can be, and there may be 10,000 of them. */
  lanes: readonly Lane[]
  /** Where `Membership.byFree` holds it, and whether what is free changed since. */
  bucket: number
  moved: boolean
}

/** Workers are kept in this many buckets by the share that is free, so that placing costs the same with 10 and with 10,000. */
export const freeBuckets = 17

export interface Membership {
  workers: Map<WorkerId, Worker>
  /** Grows over all workers and leaders. */
  nextIncarnation: number
  /** Derived, read by `bucketsOf`: bucket 16 holds the idle ones, bucket 0 those that have (almost) nothing left. Draining ones are in none. */
  byFree: Set<Worker>[]
  /** Derived: workers whose bucket is found anew when the buckets are read. While all workers are full nobody reads them. */
  moved: Worker[]
  /** Derived, taken away by placement: workers that have more room than when it last looked. */
  roomier: Set<Worker>
}

export function createMembership(): Membership {
  const byFree = Array.from({ length: freeBuckets }, () => new Set<Worker>())
  return { workers: new Map(), nextIncarnation: 1, byFree, moved: [], roomier: new Set() }
}

/** To be called after each change of what a worker has free. */
export function markMoved(membership: Membership, worker: Worker): void {
  if (worker.moved) return
  worker.moved = true
  membership.moved.push(worker)
}

/** Workers by the share they have free, see `byFree`. */
export function bucketsOf(membership: Membership): readonly ReadonlySet<Worker>[] {
  for (const worker of membership.moved) rebucket(membership, worker)
  membership.moved.length = 0
  return membership.byFree
}

/** Where a worker belongs by the share that it has free; -1 for one that drains. */
export function bucketFor({ draining, capacity, free }: Worker): number {
  return draining ? -1 : Math.floor((1 - usedShare(capacity, free)) * (freeBuckets - 1))
}

/** Puts a worker where its free share belongs. */
function rebucket(membership: Membership, worker: Worker): void {
  worker.moved = false
  const bucket = bucketFor(worker)
  if (bucket === worker.bucket) return
  membership.byFree[worker.bucket]?.delete(worker)
  membership.byFree[bucket]?.add(worker)
  worker.bucket = bucket
}

/** Takes a worker out of the index. */
export function unbucket(membership: Membership, worker: Worker): void {
  membership.byFree[worker.bucket]?.delete(worker)
  membership.roomier.delete(worker)
  worker.bucket = -1
  if (worker.moved) membership.moved.splice(membership.moved.indexOf(worker), 1)
}

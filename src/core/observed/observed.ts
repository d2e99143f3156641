// Owns what the leader sees and does not journal: signs of life, load, how long tasks take. Lost at a failover, and soon seen again.
// Must not hold anything that a promise depends on.
import type { WorkerId } from '../../protocol/index.ts'
import { usedShare } from '../membership/resources.ts'
import type { Worker } from '../membership/state.ts'
import type { Lane, SchedulingClass } from '../tasks/state.ts'

/** What a worker last said of itself. */
export interface WorkerObservation {
  /** Monotonic time of its last sign of life. */
  seenMs: number
  cpuShare: number
  memoryUsedBytes: number
  memoryFreeBytes: number
  eventLoopDelayMs: number
  diskFreeBytes: number
  executors: number
}

/** Everything that is seen and not journaled. */
export interface Observed {
  /** Only workers with a connection: work is handed to no others. */
  workers: Map<WorkerId, WorkerObservation>
  /** Running mean of how long a task of the class takes, in microseconds, by the class's key: it outlives the class. */
  taskMicros: Map<string, number>
  /** Lanes that might take more tasks than they have. */
  hungry: Map<SchedulingClass, Set<Lane>>
  /** Workers that connected since placement last looked. */
  arrived: Set<WorkerId>
  /** Classes that no worker had room for when all were looked at: from then on only workers with new room matter. */
  short: Map<SchedulingClass, Shortage>
  /** Workers that are kept for a class that found no room, so that smaller tasks do not take it away for ever. */
  reserved: Map<WorkerId, Reservation>
}

/** What was found when all workers were looked at. */
export interface Shortage {
  /** A worker could run the class if it were empty. */
  couldRun: boolean
  /** The lowest of the class since then: with a higher one it may take what is kept for others. */
  priority: number
}

/** A worker is kept for a class, against those of no higher priority than this. */
export interface Reservation {
  owner: SchedulingClass
  priority: number
}

/** Nothing is observed yet. */
export function createObserved(): Observed {
  return {
    workers: new Map(),
    taskMicros: new Map(),
    hungry: new Map(),
    arrived: new Set(),
    short: new Map(),
    reserved: new Map(),
  }
}

/** A worker is connected. */
export function observeWorker(observed: Observed, worker: WorkerId, seenMs: number): void {
  const known = observed.workers.get(worker)
  if (known) {
    known.seenMs = seenMs
    return
  }
  observed.arrived.add(worker)
  observed.workers.set(worker, {
    seenMs,
    cpuShare: 0,
    memoryUsedBytes: 0,
    memoryFreeBytes: 0,
    eventLoopDelayMs: 0,
    diskFreeBytes: 0,
    executors: 0,
  })
}

/** A worker is not connected any more. */
export function forgetWorker(observed: Observed, worker: WorkerId): void {
  observed.workers.delete(worker)
  observed.arrived.delete(worker)
  observed.reserved.delete(worker)
}

/** Weight of a new measurement in the running mean. */
const newWeight = 0.3
/** Classes whose mean is remembered; the one that was measured longest ago goes first. */
const measuredClassesMax = 10_000

/** `count` tasks of a lane took `elapsedMicros` together. */
export function observeTasks(observed: Observed, lane: Lane, count: number, elapsedMicros: number): void {
  const measured = Math.max(elapsedMicros / count, 0.1)
  const { taskMicros } = observed
  const { key } = lane.class
  const mean = taskMicros.get(key)
  taskMicros.delete(key)
  taskMicros.set(key, mean === undefined ? measured : mean + (measured - mean) * newWeight)
  if (taskMicros.size > measuredClassesMax) taskMicros.delete(taskMicros.keys().next().value!)
  observeHungry(observed, lane)
}

/** The lane may want more. */
export function observeHungry(observed: Observed, lane: Lane): void {
  const hungry = observed.hungry.get(lane.class)
  if (hungry) hungry.add(lane)
  else observed.hungry.set(lane.class, new Set([lane]))
}

/** Load L_i of a worker: the share of its most used resource, reserved or measured, whichever is larger. 0 to 1. */
export function loadOf(worker: Worker, observed: Observed): number {
  return Math.max(usedShare(worker.capacity, worker.free), observed.workers.get(worker.id)?.cpuShare ?? 0)
}

/** Load of the cluster: L = (1/N) Σ L_i, 0 without workers. */
export function clusterLoad(workers: Iterable<Worker>, observed: Observed): number {
  let sum = 0
  let count = 0
  for (const worker of workers) {
    sum += loadOf(worker, observed)
    count++
  }
  return count === 0 ? 0 : sum / count
}

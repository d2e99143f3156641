// Owns what limits whole runs: of jobs with one key so many run at once, and the others wait in line.
// Must not know what a run does.
import type { Job } from '../jobs/state.ts'
import { PriorityLine } from '../priority-line.ts'

/** The jobs of one key that have not ended. It is there as long as there are any. */
export interface Queue {
  readonly key: string
  readonly concurrency: number
  readonly running: Set<Job>
  /** Those that have not begun, and how many they are. */
  readonly line: PriorityLine<Job>
  waiting: number
}

export interface Queues {
  readonly byKey: Map<string, Queue>
}

export function createQueues(): Queues {
  return { byKey: new Map() }
}

export function createQueue(key: string, concurrency: number): Queue {
  return { key, concurrency, running: new Set(), line: new PriorityLine(), waiting: 0 }
}

/** True if the job waits for its turn: nothing of it has begun. */
export function isQueued(job: Job): boolean {
  return job.run?.queue !== undefined && job.run.startedAtMs === 0
}

// Owns which steps and jobs are to have ended by a time. Must not end them: that is a fact, which settling records when a time has come.
import { type Job, stageDone } from '../jobs/state.ts'

/** A time by which something is to have ended. */
export interface Deadline {
  job: Job
  /** -1: the job as a whole. */
  step: number
  atMs: number
}

export interface Deadlines {
  /** Derived: those among all that waits for a time; some may be of what has ended meanwhile. */
  pending: number
  /** Derived: with so many of them, those of what has ended are let go. */
  pendingMax: number
  /** Their time has come, and what follows is not recorded yet. */
  due: Deadline[]
}

/** Deadlines of what has ended may wait for their time, so many in any case. */
export const staleMin = 1000

export function createDeadlines(): Deadlines {
  return { pending: 0, pendingMax: staleMin, due: [] }
}

/** True if what is to end by then has not ended. */
export function isAwaited({ job, step }: Deadline): boolean {
  if (job.state !== 'running' || job.finishedAtMs > 0) return false
  const { flow } = job
  // A workflow whose steps are still to come has not ended.
  if (!flow) return !job.stages.every(stageDone)
  if (step >= 0) return flow.status(step) === 'open'
  return !flow.ended && !job.cancelling && flow.frames[0]?.open !== 0
}

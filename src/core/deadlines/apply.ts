// Owns what facts do to deadlines: they are set, come, and lead to the failure of a step or job.
// Must not choose anything.
import type { RecordOf } from '../../protocol/index.ts'
import { giveUpFlow, timeOutStep } from '../flows/timeouts.ts'
import { stopJob } from '../jobs/apply.ts'
import type { Job } from '../jobs/state.ts'
import type { State } from '../state.ts'
import { type Deadline, isAwaited, staleMin } from './state.ts'

/** The step, or with -1 the job, is to have ended by then. */
export function expectEnd(state: State, job: Job, step: number, atMs: number): void {
  const { deadlines } = state
  if (deadlines.pending >= deadlines.pendingMax) {
    // Most of what ends in time leaves its deadline behind: they go together, so that each costs little.
    deadlines.pending -= state.delayed.remove(item => 'deadline' in item && !isAwaited(item.deadline)).length
    deadlines.pendingMax = 2 * deadlines.pending + staleMin
  }
  deadlines.pending++
  state.delayed.push(atMs, { deadline: { job, step, atMs } })
}

/** A deadline has come. */
export function noteDue({ deadlines }: State, deadline: Deadline): void {
  deadlines.pending--
  deadlines.due.push(deadline)
}

/** What ended meanwhile is due no more. */
export function forgetMet({ deadlines }: State): void {
  if (deadlines.due.length > 0) deadlines.due = deadlines.due.filter(isAwaited)
}

/** The job goes on after its end: what it was to have ended by does not count any more. */
export function forgetDeadlines(state: State, job: Job): void {
  const { deadlines } = state
  deadlines.pending -= state.delayed.remove(item => 'deadline' in item && item.deadline.job === job).length
  deadlines.due = deadlines.due.filter(one => one.job !== job)
}

function forgetDue({ deadlines }: State, job: Job, step: number): void {
  deadlines.due = deadlines.due.filter(one => one.job !== job || one.step !== step)
}

function jobOf(state: State, id: string): Job {
  const job = state.jobs.byId.get(id)
  if (!job) throw new Error(`no job ${id}`)
  return job
}

export function applyStepTimedOut(state: State, record: RecordOf<'StepTimedOut'>): void {
  const job = jobOf(state, record.job)
  forgetDue(state, job, record.step)
  timeOutStep(state, job, record.step)
}

export function applyJobTimedOut(state: State, record: RecordOf<'JobTimedOut'>): void {
  const job = jobOf(state, record.job)
  forgetDue(state, job, -1)
  const reason = `RUN_TIMEOUT: it did not end within ${job.run!.policy.timeoutMs} ms`
  if (job.flow) giveUpFlow(state, job, reason)
  else stopJob(state, job, 'failed', reason)
}

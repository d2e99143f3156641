// Owns what facts do to the queues of runs: a job with a key begins at once or waits in line; the end of one is the turn of the next.
// Must not choose anything: who is next follows from priority and the order of submission.
import type { RecordOf, RunPolicy } from '../../protocol/index.ts'
import { expectEnd, forgetDeadlines } from '../deadlines/apply.ts'
import { beginFrame } from '../flows/steps.ts'
import { completeIfDone } from '../jobs/accounts.ts'
import type { Job } from '../jobs/state.ts'
import type { State } from '../state.ts'
import { unblock } from '../tasks/ready.ts'
import { createQueue, isQueued, type Queue } from './state.ts'

export function applyJobLimited(state: State, record: RecordOf<'JobLimited'>): void {
  const { policy } = record
  const job = state.jobs.byId.get(record.job)
  if (!job) throw new Error(`no job ${record.job}`)
  const queue = policy.key === '' ? undefined : queueOf(state, policy)
  job.run = { policy, queue, startedAtMs: 0 }
  if (!queue || queue.running.size < queue.concurrency) return begin(state, job)
  queue.line.add(job, job.plan.priority)
  queue.waiting++
  // Nobody may be told of its tasks until its turn comes.
  for (const stage of job.stages) stage.blockedBy++
}

/** The queue of a key, made where there is none. */
export function queueOf(state: State, { key, concurrency }: RunPolicy): Queue {
  const known = state.queues.byKey.get(key)
  if (known) return known
  const queue = createQueue(key, concurrency)
  state.queues.byKey.set(key, queue)
  return queue
}

function begin(state: State, job: Job): void {
  const run = job.run!
  run.startedAtMs = state.nowMs
  run.queue?.running.add(job)
  if (run.policy.timeoutMs > 0) expectEnd(state, job, -1, state.nowMs + run.policy.timeoutMs)
}

/** The job waits no more: it was given up, or its turn has come. */
function leaveLine(queue: Queue, job: Job): void {
  queue.line.delete(job, job.plan.priority)
  queue.waiting--
}

/** A job is cancelled: if it waits for its turn, that never comes. */
export function giveUpTurn(state: State, job: Job): void {
  const queue = job.run?.queue
  if (!queue || !isQueued(job)) return
  leaveLine(queue, job)
  endLimits(job)
  // A workflow may go on later. Of other jobs what waits is in line already, and nobody is to be told of it.
  if (job.flow) for (const stage of job.stages) stage.blockedBy--
  forgetIfEmpty(state, queue)
}

/** Nothing limits the job any more. What did is kept for a workflow, which may go on. */
function endLimits(job: Job): void {
  job.run = job.flow && job.run ? { ...job.run, queue: undefined } : undefined
}

/** A job has ended: the next of its key begins. */
export function endRun(state: State, job: Job): void {
  const queue = job.run?.queue
  endLimits(job)
  if (!queue?.running.delete(job)) return
  for (const next of queue.line.items()) {
    if (queue.running.size >= queue.concurrency) break
    leaveLine(queue, next)
    start(state, next)
  }
  forgetIfEmpty(state, queue)
}

/** A workflow that had ended goes on: it has its key again, which has room, and its time begins anew. */
export function runAgain(state: State, job: Job): void {
  const { run } = job
  if (run?.policy.timeoutMs || job.stages.some(stage => stage.policy?.stepTimeoutMs)) forgetDeadlines(state, job)
  if (!run) return
  if (run.policy.key !== '') run.queue = queueOf(state, run.policy)
  begin(state, job)
}

function forgetIfEmpty(state: State, queue: Queue): void {
  if (queue.running.size + queue.waiting === 0) state.queues.byKey.delete(queue.key)
}

function start(state: State, job: Job): void {
  begin(state, job)
  for (const stage of job.stages) if (unblock(state, stage)) completeIfDone(state, stage)
  if (job.flow) beginFrame(state, job, job.flow.frames[0]!)
}

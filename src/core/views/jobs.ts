// Owns the answers about jobs and tasks, for CLI, SDK and dashboard. Reads state, in pieces of bounded size.
// Must not write anything.
import {
  CoxswainError,
  type FailedAttempt,
  type JobsQuery,
  type JobView,
  type StageView,
  type TaskCounts,
  type TaskFailure,
  type TaskView,
} from '../../protocol/index.ts'
import type { Job, Stage } from '../jobs/state.ts'
import { isQueued } from '../queues/state.ts'
import type { DelayedTask, State } from '../state.ts'
import { reasonOfFlow, viewFlow } from './flow.ts'

function countsOf(stage: Stage): TaskCounts {
  return {
    total: stage.added,
    waiting: stage.heldCount + stage.readyCount + stage.delayedCount,
    running: stage.runningCount,
    succeeded: stage.succeeded,
    failed: stage.failed,
    cancelled: stage.cancelled,
  }
}

function viewStage(stage: Stage): StageView {
  const { task, program, resources } = stage.plan
  return { task, program, sealed: stage.sealed, tasks: countsOf(stage), resources }
}

/** All tasks of a job. */
export function addCounts(stages: readonly { tasks: TaskCounts }[]): TaskCounts {
  const total: TaskCounts = { total: 0, waiting: 0, running: 0, succeeded: 0, failed: 0, cancelled: 0 }
  for (const stage of stages) for (const key of Object.keys(total) as (keyof TaskCounts)[]) total[key] += stage.tasks[key]
  return total
}

/** A job as people see it. */
export function viewJob(job: Job): JobView {
  const stages = job.stages.map(viewStage)
  const reason = reasonOf(job)
  return {
    id: job.plan.job,
    name: job.plan.name,
    state: job.state,
    submittedAtMs: job.submittedAtMs,
    ...(job.finishedAtMs > 0 && { finishedAtMs: job.finishedAtMs }),
    ...(reason !== '' && { reason }),
    ...(job.paused && { paused: true }),
    ...(job.cancelling && { cancelling: true }),
    ...(isQueued(job) && { queuedFor: job.run!.policy.key }),
    labels: job.plan.labels,
    priority: job.plan.priority,
    detached: job.plan.detached,
    tasks: addCounts(stages),
    stages,
    ...(job.flow && job.flow.count > 0 && { flow: viewFlow(job, job.flow) }),
  }
}

/** Why a job was cancelled, or failed as a whole; empty where its tasks say it. */
export function reasonOf(job: Job): string {
  return job.reason !== '' || !job.flow || !job.flow.ended || job.state === 'cancelled' ? job.reason : reasonOfFlow(job, job.flow)
}

/** The job of this id; throws NOT_FOUND. */
export function jobOf(state: State, id: string): Job {
  const job = state.jobs.byId.get(id)
  if (job) return job
  if (state.history.find(id) !== undefined)
    throw new CoxswainError('JOB_ARCHIVED', `Job ${id} has ended and is only in the history: this is not kept there.`, { id })
  throw new CoxswainError('NOT_FOUND', `There is no job ${id}.`, { id })
}

/** Jobs in the state that match and may be seen, newest first: only those whose number is below this one, if it is given. */
export function jobsBelow(
  state: State,
  query: JobsQuery,
  below: number | undefined,
  limit: number,
  isSeen: (name: string, labels: readonly string[]) => boolean = () => true,
): Job[] {
  const found: Job[] = []
  for (const job of [...state.jobs.byId.values()].reverse()) {
    if (below !== undefined && job.number >= below) continue
    if (!matches(job, query) || !isSeen(job.plan.name, job.plan.labels)) continue
    found.push(job)
    if (found.length >= limit) break
  }
  return found
}

function matches({ plan, state, submittedAtMs }: Job, query: JobsQuery): boolean {
  return (
    (query.state === undefined || state === query.state) &&
    (query.name === undefined || plan.name === query.name) &&
    (query.label === undefined || plan.labels.includes(query.label)) &&
    (query.prefix === undefined || plan.job.startsWith(query.prefix)) &&
    (query.sinceMs === undefined || submittedAtMs >= query.sinceMs) &&
    (query.untilMs === undefined || submittedAtMs < query.untilMs)
  )
}

/** How a task failed for good, or undefined. */
export function failureOfTask(stage: Stage, index: number): TaskFailure | undefined {
  const trouble = stage.troubles.get(index)
  return trouble?.final && { index, ...trouble.final, attempts: trouble.attempts }
}

/** Of these tasks, the failure that came first of those for good; undefined if none of them has failed so. */
export function firstFailureOf(stage: Stage, first: number, count: number): TaskFailure | undefined {
  let found: TaskFailure | undefined
  const atMs = ({ attempts }: TaskFailure): number => attempts[attempts.length - 1]!.atMs
  const sooner = (one: TaskFailure, other: TaskFailure): boolean =>
    atMs(one) < atMs(other) || (atMs(one) === atMs(other) && one.index < other.index)
  // Few of many have failed, mostly.
  const tasks = count <= stage.troubles.size ? Array.from({ length: count }, (_, task) => first + task) : stage.troubles.keys()
  for (const task of tasks) {
    const failure = task >= first && task < first + count ? failureOfTask(stage, task) : undefined
    if (failure && (!found || sooner(failure, found))) found = failure
  }
  return found
}

/** Where one task stands; throws NOT_FOUND. */
export function viewTask(state: State, id: string, number: number, index: number): TaskView {
  const stage = jobOf(state, id).stages[number]
  if (!stage || !(index >= 0 && index < stage.added))
    throw new CoxswainError('NOT_FOUND', `Job ${id} has no task ${index} in stage ${number}.`, { id })
  const trouble = stage.troubles.get(index)
  const attempts = (trouble?.attempts ?? []) as FailedAttempt[]
  const view = { job: id, stage: number, index, attempts, attempt: attempts.length + 1 }
  if (stage.results.find(index)) return { ...view, state: stage.released.has(index) ? 'released' : 'succeeded' }
  if (trouble?.final) return { ...view, state: 'failed', attempt: attempts.length }
  if (stage.released.has(index)) return { ...view, state: 'released' }
  for (const lane of state.tasks.lanes.values()) {
    const run = lane.runs.find(run => run.stage === stage && run.first <= index && index < run.first + run.count)
    if (run) return { ...view, state: 'running', attempt: run.attempt, worker: lane.worker.id }
  }
  if (stage.heldCount > 0 && isHeld(stage, index)) return { ...view, state: 'waiting', attempt: 1 }
  const waiting = stage.ready.find(index) ?? findDelayed(state, stage, index)?.item
  return waiting ? { ...view, state: 'waiting', attempt: waiting.attempt } : { ...view, state: 'cancelled' }
}

/** True if the task waits for other steps of its workflow. */
function isHeld(stage: Stage, index: number): boolean {
  return stage.wide >= 0 ? stage.held.has(index) : stage.job.flow?.status(stage.owners[index]!) === 'waiting'
}

/** The task and cluster time (`key`) of its next attempt if it waits for that, or undefined. */
export function findDelayed(state: State, stage: Stage, index: number): { key: number; item: DelayedTask } | undefined {
  if (stage.delayedCount === 0) return undefined
  for (const { key, item } of state.delayed) if ('stage' in item && item.stage === stage && item.index === index) return { key, item }
  return undefined
}

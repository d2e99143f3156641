// Owns where that stands which a step of a workflow was given, and what it came to. Reads state, in pieces of bounded size.
// Must not read bytes: it says which payloads they are in.
import { CoxswainError, type TaskFailure } from '../../protocol/index.ts'
import { failureOfStep, inputsOf, type RunInputs, resultOfStep } from '../flows/inputs.ts'
import type { StepTable } from '../flows/state.ts'
import type { Job, Stage } from '../jobs/state.ts'
import type { Piece } from '../segments.ts'
import { failureOfTask } from './jobs.ts'

/** What a step came to: where its value stands, with `list` as items in order, or without pieces `undefined`; or how its task failed. */
export type StepResult = { list: boolean; pieces: Piece[] } | { stage: number; failure: TaskFailure }

/** What a step was given: what the inputs of its tasks from the one that was asked for on are made from, as many as are read at once. */
export interface StepInput {
  list: boolean
  tasks: RunInputs[]
  /** The task where the rest begins. */
  next: number | undefined
}

/** Inputs of so many tasks are looked for at once. */
const tasksMax = 1000
/** How a step fails of which no task has: with a code of its own. */
const ownCodes = ['SIGNAL_TIMEOUT', 'EVENT_TIMEOUT', 'STEP_TIMEOUT'] as const

function flowOf(job: Job, step: number): StepTable {
  const { flow } = job
  const id = job.plan.job
  if (!flow) throw new CoxswainError('NOT_FOUND', `Job ${id} is no workflow: it has no steps.`, { id })
  if (step < flow.count) return flow
  throw new CoxswainError('NOT_FOUND', `Job ${id} has no step ${step}.`, { id })
}

/** What a step came to. Throws its error where no task failed, STEP_NOT_READY, TASK_CANCELLED, RESULT_GONE or NOT_FOUND. */
export function stepResult(job: Job, step: number): StepResult {
  const flow = flowOf(job, step)
  const id = job.plan.job
  const status = flow.status(step)
  if (status === 'waiting' || status === 'open')
    throw new CoxswainError(
      job.state === 'running' ? 'STEP_NOT_READY' : 'TASK_CANCELLED',
      job.state === 'running'
        ? `Step ${step} of job ${id} has not ended yet: it has no result.`
        : `Job ${id} ended before its step ${step}.`,
      { id },
    )
  if (status === 'skipped') throw new CoxswainError('NOT_FOUND', `Step ${step} of job ${id} was skipped: it has no result.`, { id })
  if (status === 'succeeded') return givenBy(job, flow, step)
  const { code, message, task } = failureOfStep(job.stages, flow, step)
  if (status === 'cancelled') {
    const why = code === 'TASK_CANCELLED' ? '' : `: what it needed failed with ${code}${task === '' ? '' : ` in task ${task}`}`
    throw new CoxswainError('TASK_CANCELLED', `Step ${step} of job ${id} was cancelled${why}.`, { id })
  }
  const [stage, index] = task.split('/').map(Number)
  const failure = task === '' ? undefined : failureOfTask(job.stages[stage!]!, index!)
  if (failure) return { stage: stage!, failure }
  throw new CoxswainError(ownCodes.find(one => one === code) ?? 'TASK_CANCELLED', message, { id })
}

function givenBy(job: Job, flow: StepTable, step: number): StepResult {
  const found = resultOfStep(job.stages, flow, step)
  if (found.kind !== 'items') return { list: false, pieces: [] }
  const source = flow.source(step)
  const count = !found.list ? 1 : (flow.spreads.get(source)?.width ?? flow.width(source))
  if (found.pieces.reduce((sum, piece) => sum + piece.count, 0) === count) return found
  throw new CoxswainError('RESULT_GONE', `The result of step ${step} of job ${job.plan.job} is not kept any more.`, { id: job.plan.job })
}

/** What the tasks of a step were given, from its task `first` on. Throws STEP_NOT_READY, RESULT_GONE or NOT_FOUND. */
export function inputOfStep(job: Job, step: number, first: number): StepInput {
  const flow = flowOf(job, step)
  const id = job.plan.job
  if (flow.kind(step) !== 'tasks')
    throw new CoxswainError('NOT_FOUND', `Step ${step} of job ${id} is a ${flow.kind(step)}: it takes no input.`, { id })
  const waits = flow.status(step) === 'waiting' && job.state === 'running'
  if (flow.status(step) !== 'open' && !waits && flow.times.began(step) === undefined)
    throw new CoxswainError('NOT_FOUND', `Step ${step} of job ${id} never began: it was given nothing.`, { id })
  const stage = job.stages[flow.stage(step)]!
  const notReady = `Step ${step} of job ${id} still waits for others: it has not got all of its input.`
  // Also where it is not known yet how many tasks it has.
  if (waits) throw new CoxswainError('STEP_NOT_READY', notReady, { id })
  const end = Math.min(flow.width(step), first + tasksMax)
  const tasks: RunInputs[] = []
  for (let task = first; task < end; task++) {
    const index = flow.first(step) + task
    if (stage.wide >= 0 && stage.held.has(index)) throw new CoxswainError('STEP_NOT_READY', notReady, { id })
    const inputs = inputsOf(stage, index, 1)
    if (isGone(stage, flow, step, index, inputs))
      throw new CoxswainError('RESULT_GONE', `The input of step ${step} of job ${id} is not kept any more.`, { id })
    tasks.push(inputs)
  }
  return { list: stage.wide >= 0, tasks, next: end < flow.width(step) ? end : undefined }
}

/** True if something is missing of what a task is made from. */
function isGone(stage: Stage, flow: StepTable, step: number, index: number, { from }: RunInputs): boolean {
  if ('pieces' in from) return from.pieces.length === 0
  if (!flow.widthNeed(step) && !stage.inputs.find(index)) return true
  // One of a fold that was given up may not have got all that it was to combine.
  if (flow.folds.has(step) && stage.lost.has(index) && !failureOfTask(stage, index)) return true
  return from.tasks.some(task => task.arguments.some(one => one.kind === 'items' && !one.list && one.pieces.length === 0))
}

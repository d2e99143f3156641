// Owns what the input of a workflow's task is made from: its own part, and the results of the steps that it names.
// Must not read bytes: it says which payloads they are in.
import type { PayloadId } from '../../protocol/index.ts'
import type { Stage } from '../jobs/state.ts'
import { failureOfTask } from '../views/jobs.ts'
import { stepOf } from './apply.ts'
import { foldedBy } from './fold.ts'
import type { StepTable } from './state.ts'

/** A part of a payload: items `from` … of its chunk. */
export interface Piece {
  payload: PayloadId
  from: number
  count: number
}

/** What a step that failed is for the step that catches that. */
export interface StepFailure {
  code: string
  message: string
  /** `stage/index` of the task that failed; empty where none did. */
  task: string
}

/** What a task gets for one of its needs. */
export type Argument =
  /** A value, or with `list` all of them. */
  { kind: 'items'; list: boolean; pieces: Piece[] } | { kind: 'nothing' } | { kind: 'failure'; failure: StepFailure }

/** What the input of a task is made from. */
export interface ComposedInput {
  /** The task's own item; undefined where its input is what another step gave. */
  own: Piece | undefined
  /** In the order of the step's needs. */
  arguments: Argument[]
  /** It waited for other steps. */
  later: boolean
}

/** True if inputs of the stage are made from more than what was sent for it. */
export function composes(stage: Stage): boolean {
  return stage.job.flow !== undefined
}

/** What the input of this task is made from. All that it needs is there: the task is ready. */
export function inputOf(stage: Stage, task: number): ComposedInput {
  const flow = stage.job.flow!
  const step = stepOf(stage, task)
  const segment = stage.inputs.find(task)
  const own = segment && { payload: segment.payload, from: task - segment.first, count: 1 }
  const position = task - flow.first(step)
  const needs = [...flow.needs(step)]
  // Where nothing was sent for the task itself, its input is what makes it one of many.
  const asked = own ? needs : [flow.widthNeed(step)!]
  return { own, arguments: asked.flatMap(need => argumentOf(stage, flow, step, need, position)), later: needs.length > 0 }
}

function argumentOf(stage: Stage, flow: StepTable, step: number, need: { kind: string; step: number }, position: number): Argument[] {
  const { job } = stage
  switch (need.kind) {
    case 'value':
    case 'undo':
      return [resultOf(job.stages, flow, need.step)]
    case 'all':
      return [tasksOf(job.stages, flow, need.step, 0, flow.width(need.step))]
    case 'each':
      return [{ ...tasksOf(job.stages, flow, need.step, position, 1), list: false }]
    case 'spread': {
      const { payload } = flow.spreads.get(flow.source(need.step))!
      return [{ kind: 'items', list: false, pieces: [{ payload, from: position, count: 1 }] }]
    }
    case 'fold': {
      const { own, range } = foldedBy(flow.folds.get(step)!, flow.width(need.step), position)
      return [tasksOf(job.stages, flow, own ? step : need.step, range.first, range.count)]
    }
    case 'failure':
      return [{ kind: 'failure', failure: failureOfStep(job.stages, flow, need.step) }]
    default:
      return []
  }
}

/** The results of tasks `from` … of a step. */
function tasksOf(
  stages: readonly Stage[],
  flow: StepTable,
  step: number,
  from: number,
  count: number,
): Extract<Argument, { kind: 'items' }> {
  const stage = stages[flow.stage(step)]!
  const first = flow.first(step) + from
  const pieces: Piece[] = []
  for (const segment of stage.results.overlapping(first, count)) {
    const start = Math.max(first, segment.first)
    const end = Math.min(first + count, segment.first + segment.count)
    pieces.push({ payload: segment.payload, from: start - segment.first, count: end - start })
  }
  return { kind: 'items', list: true, pieces }
}

/** The result of a step as one value: of what it became, where it became something else. */
function resultOf(stages: readonly Stage[], flow: StepTable, step: number): Argument {
  const source = flow.source(step)
  const spread = flow.spreads.get(source)
  if (spread)
    return { kind: 'items', list: true, pieces: spread.width === 0 ? [] : [{ payload: spread.payload, from: 0, count: spread.width }] }
  if (flow.kind(source) === 'tasks') {
    const width = flow.width(source)
    // The last task of a fold has what is left.
    if (flow.folds.has(source)) return width === 0 ? { kind: 'nothing' } : { ...tasksOf(stages, flow, source, width - 1, 1), list: false }
    return { ...tasksOf(stages, flow, source, 0, width), list: stages[flow.stage(source)]!.wide >= 0 }
  }
  const value = flow.values.get(source)
  return value ? { kind: 'items', list: false, pieces: [{ payload: value.payload, from: 0, count: 1 }] } : { kind: 'nothing' }
}

/** Why a step failed: its own failure, or that of the first step before it that did. */
export function failureOfStep(stages: readonly Stage[], flow: StepTable, step: number): StepFailure {
  const cause = causeOf(flow, step)
  if (cause === undefined) return { code: 'TASK_CANCELLED', message: 'It was cancelled.', task: '' }
  if (flow.kind(cause) === 'signal')
    return { code: 'SIGNAL_TIMEOUT', message: `No signal ${flow.name(cause)} came within ${flow.amount(cause)} ms.`, task: '' }
  const stage = stages[flow.stage(cause)]!
  const end = flow.first(cause) + flow.width(cause)
  for (let task = flow.first(cause); task < end; task++) {
    const failure = failureOfTask(stage, task)
    if (failure) return { code: failure.code, message: failure.message, task: `${stage.number}/${task}` }
  }
  return { code: 'TASK_CANCELLED', message: 'One of its tasks was cancelled.', task: '' }
}

/** The step whose failure this one's end comes from, or undefined if it was cancelled. Looks back along what did not succeed. */
function causeOf(flow: StepTable, step: number): number | undefined {
  const seen = new Set<number>()
  const queue = [step]
  for (const one of queue) {
    if (seen.has(one)) continue
    seen.add(one)
    const status = flow.status(one)
    if (status === 'failed' && !flow.expanded.has(one)) return one
    if (status === 'failed') {
      const frame = flow.frames.find(other => other.parent === one)!
      for (let child = frame.first; child < frame.first + frame.count; child++) if (flow.status(child) === 'failed') queue.push(child)
    } else if (status === 'cancelled') for (const need of flow.needs(one)) queue.push(need.step)
  }
  return undefined
}

/** The first step that failed and was caught by nobody: why a workflow failed. */
export function causeOfFlow(flow: StepTable): number | undefined {
  const root = flow.frames[0]!
  for (let step = root.first; step < root.first + root.count; step++) {
    if (flow.isUndo(step)) continue
    const lost = flow.status(step) === 'failed' || flow.status(step) === 'cancelled'
    if (!lost || (step !== root.output && flow.uses(step).some(use => use.kind !== 'undo'))) continue
    const cause = causeOf(flow, step)
    if (cause !== undefined) return cause
  }
  return undefined
}

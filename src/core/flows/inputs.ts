// Owns what the input of a workflow's task is made from: its own part, and the results of the steps that it names.
// Must not read bytes: it says which payloads they are in.
import type { Need, NeedKind } from '../../protocol/index.ts'
import type { Stage } from '../jobs/state.ts'
import type { Piece } from '../segments.ts'
import { firstFailureOf } from '../views/jobs.ts'
import { foldedBy } from './fold.ts'
import type { Frame, StepTable } from './state.ts'

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
}

/** What the inputs of a run are made from. */
export interface RunInputs {
  /** Where they stand in a row as they are; or what each of them is put together from. */
  from: { pieces: Piece[] } | { tasks: ComposedInput[] }
  /** What must be durable before the run may begin, as another leader would have to come to the same: nothing, the payloads named here, or all facts. */
  restsOn: 'nothing' | 'payloads' | 'facts'
}

/** What the inputs of these tasks are made from. All that they need is there: they are ready. */
export function inputsOf(stage: Stage, first: number, count: number): RunInputs {
  const { flow } = stage.job
  if (!flow) return { from: { pieces: stage.inputs.pieces(first, count) }, restsOn: 'nothing' }
  if (stage.wide >= 0) return inputsOfPart(stage, flow, first, count)
  let restsOn: RunInputs['restsOn'] = 'nothing'
  let plain = true
  for (let task = first; task < first + count; task++) {
    const needs = flow.needs(stage.owners[task]!)
    if (needs.length > 0 && restsOn !== 'facts') restsOn = needs.every(need => isNamed(flow, need)) ? 'payloads' : 'facts'
    if (needs.some(given)) plain = false
  }
  if (plain) return { from: { pieces: stage.inputs.pieces(first, count) }, restsOn }
  const tasks: ComposedInput[] = []
  for (let task = first; task < first + count; task++) {
    const step = stage.owners[task]!
    const args: Argument[] = []
    for (const need of flow.needs(step)) if (given(need)) args.push(argumentOf(stage, flow, need))
    tasks.push({ own: stage.inputs.pieces(task, 1)[0], arguments: args })
  }
  return { from: { tasks }, restsOn }
}

/** The same for tasks of a step that has the stage for itself. */
function inputsOfPart(stage: Stage, flow: StepTable, first: number, count: number): RunInputs {
  const { stages } = stage.job
  const step = stage.wide
  const needs = flow.needs(step)
  const need = flow.widthNeed(step)
  const from = first - flow.first(step)
  // What it gets of a step whose results are its inputs is all that it rests on, unless it needs more.
  const restsOn = needs.length === 0 ? 'nothing' : need && needs.length === 1 ? 'payloads' : 'facts'
  if (need?.kind === 'spread') {
    const { payload } = flow.spreads.get(flow.source(need.step))!
    return { from: { pieces: [{ payload, from, count }] }, restsOn }
  }
  if (need?.kind === 'each') return { from: { pieces: piecesOf(stages, flow, need.step, from, count) }, restsOn }
  const others = needs.filter(given)
  if (!need && others.length === 0) return { from: { pieces: stage.inputs.pieces(first, count) }, restsOn }
  const tasks: ComposedInput[] = []
  for (let task = 0; task < count; task++) {
    const args = need ? [folded(stages, flow, step, need.step, from + task)] : others.map(other => argumentOf(stage, flow, other))
    tasks.push({ own: stage.inputs.pieces(first + task, 1)[0], arguments: args })
  }
  return { from: { tasks }, restsOn }
}

const givingKinds: ReadonlySet<NeedKind> = new Set(['value', 'undo', 'all', 'failure'])

/** True if a step receives something of what it needs, besides its tasks. */
function given({ kind }: Need): boolean {
  return givingKinds.has(kind)
}

/** True if what is received by this need says all about it: the step that it names ended when the last of its results came, and with nothing else. */
function isNamed(flow: StepTable, { kind, step }: Need): boolean {
  return (kind === 'value' || kind === 'all') && flow.kind(step) === 'tasks' && flow.alias(step) === undefined && flow.width(step) > 0
}

function argumentOf({ job: { stages } }: Stage, flow: StepTable, { kind, step }: Need): Argument {
  if (kind === 'failure') return { kind, failure: failureOfStep(stages, flow, step) }
  if (kind === 'all') return { kind: 'items', list: true, pieces: piecesOf(stages, flow, step, 0, flow.width(step)) }
  return resultOfStep(stages, flow, step)
}

/** The results that a task of a fold combines. */
function folded(stages: readonly Stage[], flow: StepTable, step: number, before: number, task: number): Argument {
  const { own, range } = foldedBy(flow.folds.get(step)!, flow.width(before), task)
  return { kind: 'items', list: true, pieces: piecesOf(stages, flow, own ? step : before, range.first, range.count) }
}

/** The results of tasks `from` … of a step. */
function piecesOf(stages: readonly Stage[], flow: StepTable, step: number, from: number, count: number): Piece[] {
  return stages[flow.stage(step)]!.results.pieces(flow.first(step) + from, count)
}

/** The result of a step as one value: of what it became, where it became something else. */
export function resultOfStep(stages: readonly Stage[], flow: StepTable, step: number): Argument {
  const source = flow.source(step)
  const spread = flow.spreads.get(source)
  if (spread)
    return { kind: 'items', list: true, pieces: spread.width === 0 ? [] : [{ payload: spread.payload, from: 0, count: spread.width }] }
  if (flow.kind(source) === 'tasks') {
    const width = flow.width(source)
    // The last task of a fold has what is left.
    if (flow.folds.has(source)) {
      if (width === 0) return { kind: 'nothing' }
      return { kind: 'items', list: false, pieces: piecesOf(stages, flow, source, width - 1, 1) }
    }
    return { kind: 'items', list: stages[flow.stage(source)]!.wide >= 0, pieces: piecesOf(stages, flow, source, 0, width) }
  }
  const value = flow.values.get(source)
  return value ? { kind: 'items', list: false, pieces: [{ payload: value.payload, from: 0, count: 1 }] } : { kind: 'nothing' }
}

/** Why a step failed: its own failure, or the first one among those of the steps before it. */
export function failureOfStep(stages: readonly Stage[], flow: StepTable, step: number): StepFailure {
  const cause = causeOf(flow, [step])
  if (cause === undefined) return { code: 'TASK_CANCELLED', message: 'It was cancelled.', task: '' }
  if (flow.kind(cause) === 'signal')
    return { code: 'SIGNAL_TIMEOUT', message: `No signal ${flow.name(cause)} came within ${flow.amount(cause)} ms.`, task: '' }
  if (flow.kind(cause) === 'event')
    return { code: 'EVENT_TIMEOUT', message: `No event ${flow.name(cause)} came within ${flow.amount(cause)} ms.`, task: '' }
  const stage = stages[flow.stage(cause)]!
  if (flow.late.has(cause)) return { code: 'STEP_TIMEOUT', message: `It did not end within ${stage.policy!.stepTimeoutMs} ms.`, task: '' }
  const failure = firstFailureOf(stage, flow.first(cause), flow.width(cause))
  if (failure) return { code: failure.code, message: failure.message, task: `${stage.number}/${failure.index}` }
  return { code: 'TASK_CANCELLED', message: 'One of its tasks was cancelled.', task: '' }
}

/** Of the failures that the ends of these steps come from, the one that was first; undefined if they were cancelled. Looks back along what did not succeed. */
function causeOf(flow: StepTable, steps: Iterable<number>): number | undefined {
  const seen = new Set(steps)
  const endOf = (step: number): number => flow.times.ended(step) ?? Number.POSITIVE_INFINITY
  let cause: number | undefined
  // The set grows while it is walked.
  for (const one of seen) {
    const status = flow.status(one)
    if (status === 'cancelled') for (const need of flow.needs(one)) seen.add(need.step)
    else if (status !== 'failed') continue
    else if (flow.expanded.has(one) && !flow.late.has(one))
      for (const step of breaking(flow, flow.frames.find(frame => frame.parent === one)!)) seen.add(step)
    else if (cause === undefined || endOf(one) < endOf(cause)) cause = one
  }
  return cause
}

/** The steps of a frame that did not succeed, and whose end nobody caught. */
function* breaking(flow: StepTable, frame: Frame): Generator<number> {
  for (let step = frame.first; step < frame.first + frame.count; step++) {
    const lost = !flow.isUndo(step) && (flow.status(step) === 'failed' || flow.status(step) === 'cancelled')
    if (lost && (step === frame.output || flow.uses(step).every(use => use.kind === 'undo'))) yield step
  }
}

/** The step that failed first, of those that were caught by nobody: why a workflow failed. */
export function causeOfFlow(flow: StepTable): number | undefined {
  return causeOf(flow, breaking(flow, flow.frames[0]!))
}

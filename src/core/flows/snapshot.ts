// Owns the bytes of a workflow in a snapshot. Must not hold derived things: they are made anew.
import {
  boolean,
  enumeration,
  flowStep,
  type Infer,
  integer,
  list,
  optional,
  range,
  stagePlan,
  string,
  struct,
  taskBlock,
  varint,
} from '../../protocol/index.ts'
import { needBlock } from '../jobs/accounts.ts'
import type { Job } from '../jobs/state.ts'
import { RangeSet } from '../ranges.ts'
import type { State } from '../state.ts'
import type { Signal } from './mail.ts'
import { type Frame, StepTable, stepStatuses } from './state.ts'

const countMax = 2 ** 31
const name = string(4096)
const signalState = struct({ payload: varint, bytes: varint })

const stepState = struct({
  step: flowStep,
  status: enumeration(...stepStatuses),
  stage: varint,
  first: varint,
  left: varint,
  blocked: varint,
  frame: varint,
  alias: optional(varint),
  damage: optional(enumeration('failed', 'cancelled', 'skipped')),
  truth: optional(boolean),
  expanded: boolean,
  spread: optional(struct({ payload: varint, bytes: varint, width: varint, blocks: list(taskBlock, countMax) })),
  fold: optional(struct({ fanIn: varint, levels: list(varint, countMax), waits: list(varint, countMax) })),
  value: optional(signalState),
})

/** A workflow in a snapshot. */
export const flowState = struct({
  job: name,
  /** Of stages that were added after the job was submitted. */
  plans: list(stagePlan, countMax),
  stages: list(
    struct({ held: list(range, countMax), heldCount: varint, lost: list(range, countMax), wide: integer, owners: list(varint, countMax) }),
    countMax,
  ),
  frames: list(
    struct({ parent: integer, first: varint, count: varint, output: varint, open: varint, broken: boolean, undone: varint, depth: varint }),
    countMax,
  ),
  steps: list(stepState, countMax),
  mailbox: list(struct({ name, signals: list(signalState, countMax) }), countMax),
  listeners: list(struct({ name, steps: list(varint, countMax) }), countMax),
  signals: list(name, countMax),
  ended: boolean,
})
export type FlowState = Infer<typeof flowState>

/** A workflow as it is written. */
export function flowValue(job: Job, flow: StepTable): FlowState {
  return {
    job: job.plan.job,
    plans: job.stages.slice(job.plan.stages.length).map(stage => stage.plan),
    stages: job.stages.map(({ held, heldCount, lost, wide, owners }) => ({
      held: [...held.ranges],
      heldCount,
      lost: [...lost.ranges],
      wide,
      owners,
    })),
    frames: flow.frames,
    steps: Array.from({ length: flow.count }, (_, step) => stepValue(flow, step)),
    mailbox: [...flow.mail.kept].map(([name, signals]) => ({ name, signals })),
    listeners: [...flow.mail.listeners].map(([name, steps]) => ({ name, steps: [...steps] })),
    signals: [...flow.mail.seen],
    ended: flow.ended,
  }
}

function stepValue(flow: StepTable, step: number): Infer<typeof stepState> {
  const fold = flow.folds.get(step)
  const spread = flow.spreads.get(step)
  return {
    step: {
      kind: flow.kind(step),
      stage: 0,
      count: flow.width(step),
      name: flow.name(step),
      amount: flow.amount(step),
      needs: [...flow.needs(step)],
    },
    status: flow.status(step),
    stage: flow.stage(step),
    first: flow.first(step),
    left: flow.left(step),
    blocked: flow.blocked(step),
    frame: flow.frameNumber(step),
    alias: flow.alias(step),
    damage: flow.damage(step),
    truth: flow.truth(step),
    expanded: flow.expanded.has(step),
    spread: spread && { ...spread, blocks: [...spread.blocks] },
    fold: fold && { ...fold, waits: [...fold.waits] },
    value: flow.values.get(step),
  }
}

/** The workflow of a job whose stages are there already. */
export function restoreFlow(state: State, job: Job, value: FlowState): void {
  const flow = new StepTable()
  job.flow = flow
  for (const one of value.steps) restoreStep(state, flow, one)
  for (const frame of value.frames) {
    const undos: number[] = []
    for (let step = frame.first; step < frame.first + frame.count; step++) if (flow.isUndo(step)) undos.unshift(step)
    flow.frames.push({ ...frame, undos } satisfies Frame)
  }
  for (const [number, one] of value.stages.entries()) {
    const { heldCount, wide, owners } = one
    Object.assign(job.stages[number]!, { heldCount, wide, owners, held: new RangeSet(one.held), lost: new RangeSet(one.lost) })
  }
  for (const { name, signals } of value.mailbox) for (const signal of signals) flow.mail.keep(name, held(state, signal))
  for (const { name, steps } of value.listeners) for (const step of steps) flow.mail.listen(name, step)
  for (const signal of value.signals) flow.mail.seen.add(signal)
  flow.ended = value.ended
}

function held(state: State, signal: Signal): Signal {
  state.jobs.resultBytes += signal.bytes
  return signal
}

function restoreStep(state: State, flow: StepTable, value: FlowState['steps'][number]): void {
  const { status, stage, first, left, blocked, frame, alias, damage, truth, spread, fold } = value
  const step = flow.add(value.step, 0, stage, first, frame)
  flow.setStatus(step, status)
  flow.addLeft(step, left - flow.left(step))
  flow.addBlocked(step, blocked)
  if (alias !== undefined) flow.setAlias(step, alias)
  if (damage !== undefined) flow.setDamage(step, damage)
  if (truth !== undefined) flow.setTruth(step, truth)
  if (value.expanded) flow.expanded.add(step)
  if (value.value) flow.values.set(step, held(state, value.value))
  if (fold) flow.folds.set(step, { ...fold, waits: Int32Array.from(fold.waits) })
  if (!spread) return
  flow.spreads.set(step, spread)
  state.jobs.resultBytes += spread.bytes
  for (const { block, holder } of spread.blocks) needBlock(state, block, holder)
}

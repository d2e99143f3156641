// Owns what the facts about workflows do to the state. Must not choose anything.
import { needsOf, type RecordOf } from '../../protocol/index.ts'
import { finishTasks, needBlock, settleInputs } from '../jobs/accounts.ts'
import { addStage, applyJobSubmitted } from '../jobs/apply.ts'
import type { Job, Stage } from '../jobs/state.ts'
import { holdKey } from '../keys/apply.ts'
import { isQueued } from '../queues/state.ts'
import type { State } from '../state.ts'
import { finishHead, takePayload } from '../tasks/apply.ts'
import { deliver } from './events.ts'
import { type Frame, StepTable } from './state.ts'
import { beginFrame } from './steps.ts'
import { startListening } from './waits.ts'

/** The step that a task belongs to. */
export function stepOf(stage: Stage, task: number): number {
  return stage.wide >= 0 ? stage.wide : stage.owners[task]!
}

/** A workflow's job and its steps; both must be there. */
function flowOf(state: State, id: string): { job: Job; flow: StepTable } {
  const job = state.jobs.byId.get(id)
  if (!job?.flow) throw new Error(`no workflow ${id}`)
  return { job, flow: job.flow }
}

export function applyFlowSubmitted(state: State, record: RecordOf<'FlowSubmitted'>): void {
  applyJobSubmitted(state, { ...record, kind: 'JobSubmitted' })
  state.jobs.byId.get(record.plan.job)!.flow = new StepTable()
}

export function applyStagesAdded(state: State, record: RecordOf<'StagesAdded'>): void {
  const { job } = flowOf(state, record.job)
  for (const plan of record.stages) addStage(state, job, plan)
}

export function applyStepsAdded(state: State, record: RecordOf<'StepsAdded'>): void {
  const { job, flow } = flowOf(state, record.job)
  const { steps, output } = record.flow
  const first = flow.count
  const parent = record.parent ?? -1
  const undos: number[] = []
  const frame: Frame = {
    parent,
    first,
    count: steps.length,
    output: first + output,
    open: steps.length,
    broken: false,
    undos,
    undone: 0,
    depth: parent < 0 ? 0 : flow.frame(parent).depth + 1,
  }
  flow.frames.push(frame)
  // Stages of this frame are those behind the frames before it: their numbers in the plan are counted from there.
  const base = job.stages.findIndex(stage => !stage.sealed)
  flow.reserve(steps.length, needsOf(steps))
  for (const step of steps) {
    const stage = step.kind === 'tasks' ? job.stages[base + step.stage]! : undefined
    const from = stage ? (stage.wide < 0 ? stage.owners.length : stage.added) : 0
    const number = flow.add(step, first, stage?.number ?? 0, from, flow.frames.length - 1)
    flow.block(number)
    if (flow.isUndo(number)) undos.unshift(number)
    if (step.kind === 'event') startListening(state, job, number)
    if (!stage) continue
    if (step.count === 1) stage.owners.push(number)
    else {
      stage.wide = number
      stage.held.add(from, step.count)
    }
  }
  frame.open -= undos.length
  for (const stage of job.stages) stage.sealed = true
  // One that waits for its turn begins then.
  if (!isQueued(job)) beginFrame(state, job, frame)
}

export function applyTaskExpanded(state: State, record: RecordOf<'TaskExpanded'>): void {
  succeed(state, record.lane, (flow, step, stage) => {
    flow.expanded.add(step)
    if (!stage.key) return
    flow.holding.add(step)
    holdKey(state, stage, 1)
  })
}

/** The next task of a lane succeeded in another way than with a value, which `note` writes down. */
function succeed(state: State, lane: number, note: (flow: StepTable, step: number, stage: Stage) => void): void {
  const { done, close } = finishHead(state, lane)
  const { stage } = done
  note(flowOf(state, stage.job.plan.job).flow, stepOf(stage, done.first), stage)
  settleInputs(state, stage, done)
  close()
  finishTasks(state, stage, done, 'succeeded')
}

export function applyTaskSpread(state: State, record: RecordOf<'TaskSpread'>): void {
  const { lane, kind: _, ...spread } = record
  succeed(state, lane, (flow, step) => {
    flow.spreads.set(step, spread)
    for (const { block, holder } of spread.blocks) needBlock(state, block, holder)
    takePayload(state, spread.payload)
    state.jobs.resultBytes += spread.bytes
  })
}

export function applyBranchDecided(state: State, record: RecordOf<'BranchDecided'>): void {
  flowOf(state, record.job).flow.setTruth(record.step, record.taken)
}

export function applySignalReceived(state: State, record: RecordOf<'SignalReceived'>): void {
  const { job, flow } = flowOf(state, record.job)
  flow.mail.seen.add(record.signal)
  takePayload(state, record.payload)
  state.jobs.resultBytes += record.bytes
  deliver(state, job, record.name, { payload: record.payload, bytes: record.bytes })
}

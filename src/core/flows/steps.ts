// Owns how a workflow moves on: what follows from the end of tasks, of pauses, of signals, step by step until nothing follows any more.
// Must not choose anything: every leader and standby comes to the same from the same facts.
import type { NeedKind, Range } from '../../protocol/index.ts'
import { cancelTasks, cancelWaiting, dropBlock } from '../jobs/accounts.ts'
import { type Job, type Stage, stageDone } from '../jobs/state.ts'
import type { State } from '../state.ts'
import { keepBlock } from '../tasks/apply.ts'
import { pushReady } from '../tasks/ready.ts'
import { foldOf, foldParent } from './fold.ts'
import type { Flow, Frame, Signal } from './state.ts'

/** How a step or task ended. */
export type Ended = 'succeeded' | 'failed' | 'cancelled' | 'skipped'
type Part = Range & { outcome: Ended }

/** A workflow that moves on. */
interface Flowing {
  state: State
  job: Job
  flow: Flow
  /** Steps that have their end, and what they tell others is still to come: one after the other, however long a chain is. */
  ends: { step: number; status: Ended }[]
}

/** Lets a workflow move on by `act`, and by all that follows from it. */
function moving(state: State, job: Job, act: (on: Flowing) => void): void {
  const { flow } = job
  if (!flow) throw new Error(`job ${job.plan.job} is no workflow`)
  const on: Flowing = { state, job, flow, ends: [] }
  act(on)
  // The list grows while it is walked.
  for (const { step, status } of on.ends) settle(on, step, status)
  completeIfEnded(state, job)
}

/** Takes in all ends of tasks that were noted, and those that follow from them. */
export function moveOn(state: State): void {
  for (let next = state.endings.shift(); next; next = state.endings.shift()) {
    const { stage, outcome, ...range } = next
    if (stage.job.state === 'running') moving(state, stage.job, on => tasksEnded(on, stage, { ...range, outcome }))
    else completeIfEnded(state, stage.job)
  }
}

/** Notes a workflow that is over, and of which nothing runs any more. */
export function completeIfEnded(state: State, job: Job): void {
  if (job.flow?.ended && job.finishedAtMs === 0 && job.stages.every(stageDone)) state.jobs.complete.add(job)
}

/** Starts what waits for nothing, of steps that were just added. */
export function beginFrame(state: State, job: Job, frame: Frame): void {
  moving(state, job, on => {
    const { flow } = on
    const end = frame.first + frame.count
    for (let step = frame.first; step < end; step++) for (const { kind } of flow.needs(step)) if (kind !== 'undo') flow.addBlocked(step, 1)
    for (let step = frame.first; step < end; step++) if (flow.blocked(step) === 0) start(on, step)
    if (frame.open === 0) endFrame(on, frame)
  })
}

/** A step needs nothing any more. */
function start(on: Flowing, step: number): void {
  const { flow } = on
  // One that was given up has only its end to come; compensations have their turn at the end of all.
  if (flow.status(step) !== 'waiting' || flow.damage(step) !== undefined || flow.isUndo(step)) return
  run(on, step)
}

function run(on: Flowing, step: number): void {
  const { state, job, flow } = on
  flow.setStatus(step, 'open')
  switch (flow.kind(step)) {
    case 'tasks':
      return startTasks(on, step)
    case 'choice':
      return choose(on, step)
    case 'sleep':
      flow.pauses++
      state.delayed.push(state.nowMs + flow.amount(step), { job, step })
      return
    case 'signal':
      return listen(on, step)
  }
}

function stageOf({ job, flow }: Flowing, step: number): Stage {
  return job.stages[flow.stage(step)]!
}

function startTasks(on: Flowing, step: number): void {
  const { flow } = on
  const need = flow.widthNeed(step)
  if (!need) release(on, step, 0, flow.width(step))
  else if (need.kind === 'spread') {
    const { width, blocks } = flow.spreads.get(flow.source(need.step))!
    widen(on, step, width)
    for (const block of blocks) keepBlock(on.state, stageOf(on, step).inputBlocks, block)
    release(on, step, 0, width)
  } else {
    const width = flow.width(need.step)
    if (need.kind === 'fold') flow.folds.set(step, foldOf(width, flow.amount(step)))
    widen(on, step, flow.folds.get(step)?.waits.length ?? width)
    for (const part of partsEnded(on, need.step)) hear(on, need.kind, step, part)
  }
  // Whoever has a task for each of these, or folds their results, may begin to take them.
  for (const use of flow.uses(step)) if (use.kind === 'each' || use.kind === 'fold') unblock(on, use.step)
  if (flow.left(step) === 0) endsAs(on, step, flow.damage(step) ?? 'succeeded')
}

/** The tasks of a step that have ended by now, counted from its first one. */
function* partsEnded(on: Flowing, step: number): Generator<Part> {
  const stage = stageOf(on, step)
  const first = on.flow.first(step)
  const width = on.flow.width(step)
  for (const segment of stage.results.overlapping(first, width)) {
    const from = Math.max(segment.first, first)
    yield { first: from - first, count: Math.min(segment.first + segment.count, first + width) - from, outcome: 'succeeded' }
  }
  for (const part of stage.lost.within(first, width)) yield { first: part.first - first, count: part.count, outcome: 'cancelled' }
}

/** The step's stage, which is its own, gets tasks: all of them wait. */
function widen(on: Flowing, step: number, count: number): void {
  const stage = stageOf(on, step)
  on.flow.setTasks(step, stage.added, count)
  stage.wide = step
  stage.held.add(stage.added, count)
  stage.added += count
  stage.heldCount += count
  on.state.jobs.openTasks += count
}

/** Tasks of a step, from its task `from` on, may run. */
function release(on: Flowing, step: number, from: number, count: number): void {
  if (count === 0) return
  const stage = stageOf(on, step)
  const first = on.flow.first(step) + from
  stage.heldCount -= count
  if (stage.wide >= 0) stage.held.remove(first, count)
  pushReady(on.state, stage, { first, count, attempt: 1, avoid: '' })
}

/** Tasks that wait for others, in this range of their stage, will never run. */
function cancelHeld({ state }: Flowing, stage: Stage, range: Range): void {
  for (const part of stage.held.within(range.first, range.count)) {
    stage.held.remove(part.first, part.count)
    stage.heldCount -= part.count
    cancelTasks(state, stage, part)
  }
}

/** A step is not to run any more: what has not begun never will; what runs may end, and counts for nothing. */
function abandon(on: Flowing, step: number, why: 'cancelled' | 'skipped'): void {
  const { state, flow } = on
  if (flow.settled(step)) return
  const before = flow.damage(step)
  flow.setDamage(step, why)
  // It was given up for another reason already, and its end is on its way.
  if (before !== undefined && flow.status(step) === 'waiting') return
  if (flow.left(step) === 0) return endsAs(on, step, why)
  const stage = stageOf(on, step)
  const range = { first: flow.first(step), count: flow.width(step) }
  if (stage.wide >= 0) cancelHeld(on, stage, range)
  else if (flow.status(step) === 'waiting') {
    stage.heldCount--
    cancelTasks(state, stage, range)
  }
  cancelWaiting(state, stage, range.first, range.count)
}

/** Tasks of a stage have ended. */
function tasksEnded(on: Flowing, stage: Stage, part: Part): void {
  if (stage.wide >= 0) return countDown(on, stage, stage.wide, part)
  for (let first = part.first; first < part.first + part.count; first++)
    countDown(on, stage, stage.owners[first]!, { first, count: 1, outcome: part.outcome })
}

function countDown(on: Flowing, stage: Stage, step: number, part: Part): void {
  const { flow } = on
  const { outcome } = part
  // Tasks of a step that was given up are cancelled: why it was, stands already.
  if (outcome === 'failed' || (outcome === 'cancelled' && flow.damage(step) === undefined)) flow.setDamage(step, outcome)
  const left = flow.addLeft(step, -part.count)
  const own = { ...part, first: part.first - flow.first(step) }
  if (flow.folds.has(step)) foldOwn(on, step, own)
  for (const use of flow.uses(step)) {
    if (use.kind !== 'each' && use.kind !== 'fold') continue
    if (outcome !== 'succeeded') stage.lost.add(part.first, part.count)
    if (flow.status(use.step) === 'open') hear(on, use.kind, use.step, own)
  }
  if (left === 0 && !flow.expanded.has(step)) endsAs(on, step, flow.damage(step) ?? 'succeeded')
}

/** Tasks of the step before this one have ended: those here that need exactly them move on. */
function hear(on: Flowing, kind: 'each' | 'fold', step: number, part: Part): void {
  const { flow } = on
  const stage = stageOf(on, step)
  const first = flow.first(step)
  if (kind === 'fold') {
    if (part.outcome !== 'succeeded') return abandon(on, step, 'cancelled')
    const { fanIn } = flow.folds.get(step)!
    for (let task = part.first; task < part.first + part.count; task++) feed(on, step, Math.floor(task / fanIn))
  } else if (part.outcome !== 'succeeded') cancelHeld(on, stage, { first: first + part.first, count: part.count })
  // Those that were cancelled one by one wait no more.
  else for (const held of stage.held.within(first + part.first, part.count)) release(on, step, held.first - first, held.count)
}

/** Tasks of a fold have ended: those of its next level get their results. */
function foldOwn(on: Flowing, step: number, part: Part): void {
  if (part.outcome !== 'succeeded') return abandon(on, step, 'cancelled')
  for (let task = part.first; task < part.first + part.count; task++) {
    const parent = foldParent(on.flow.folds.get(step)!, task)
    if (parent !== undefined) feed(on, step, parent)
  }
}

/** One more result for this task of a fold; with the last one it may run. */
function feed(on: Flowing, step: number, task: number): void {
  const { waits } = on.flow.folds.get(step)!
  waits[task]!--
  if (waits[task] === 0 && !on.flow.damage(step)) release(on, step, task, 1)
}

/** The step has its end, which is told when its turn comes. */
function endsAs(on: Flowing, step: number, status: Ended): void {
  on.ends.push({ step, status })
}

function settle(on: Flowing, step: number, end: Ended): void {
  const { flow } = on
  if (flow.settled(step)) return
  const status = end === 'succeeded' ? end : (flow.damage(step) ?? end)
  flow.setStatus(step, status)
  const frame = flow.frame(step)
  if (flow.isUndo(step)) {
    if (frame.open === 0) endFrame(on, frame)
    return
  }
  frame.open--
  const lost = status === 'failed' || status === 'cancelled'
  const uses = flow.uses(step)
  if (lost && (step === frame.output || uses.every(use => use.kind === 'undo'))) frame.broken = true
  for (const use of uses) tell(on, use.kind, use.step, step, status)
  if (frame.open === 0) endFrame(on, frame)
}

/** What the end of a step means for one that needs it. */
function tell(on: Flowing, kind: NeedKind, to: number, step: number, status: Ended): void {
  const { flow } = on
  const lost = status === 'failed' || status === 'cancelled'
  const giveUp = (): void => abandon(on, to, lost ? 'cancelled' : 'skipped')
  switch (kind) {
    case 'undo':
      return
    case 'option':
      return unblock(on, to)
    case 'failure':
      return lost ? unblock(on, to) : abandon(on, to, 'skipped')
    case 'after':
      return lost ? giveUp() : unblock(on, to)
    case 'each':
    case 'fold':
      // Once it has begun, it has heard of each task.
      if (status !== 'succeeded' && flow.status(to) === 'waiting') giveUp()
      return
    case 'taken':
    case 'untaken':
      if (status !== 'succeeded') return giveUp()
      return flow.truth(flow.source(step)) === (kind === 'taken') ? unblock(on, to) : abandon(on, to, 'skipped')
    default:
      return status === 'succeeded' ? unblock(on, to) : giveUp()
  }
}

function unblock(on: Flowing, step: number): void {
  if (on.flow.addBlocked(step, -1) === 0) start(on, step)
}

/** Of the options that have all ended, the first that succeeded. */
function choose(on: Flowing, step: number): void {
  const { flow } = on
  let worst: Ended = 'skipped'
  for (const { kind, step: option } of flow.needs(step)) {
    if (kind !== 'option') continue
    const status = flow.status(option)
    if (status === 'succeeded') {
      flow.setAlias(step, option)
      return endsAs(on, step, status)
    }
    if (status !== 'skipped') worst = 'cancelled'
  }
  endsAs(on, step, worst)
}

/** All steps of a frame have ended: its compensations, one after the other, if it failed; then its own end. */
function endFrame(on: Flowing, frame: Frame): void {
  const { flow } = on
  while (frame.undone < frame.undos.length && flow.settled(frame.undos[frame.undone]!)) frame.undone++
  const undo = frame.undos[frame.undone]
  if (undo !== undefined) {
    if (flow.status(undo) === 'waiting') {
      if (frame.broken && mayUndo(on, undo)) run(on, undo)
      else abandon(on, undo, 'skipped')
    }
    return
  }
  if (frame.parent < 0) flow.ended = true
  else {
    if (!frame.broken) flow.setAlias(frame.parent, frame.output)
    endsAs(on, frame.parent, frame.broken ? 'failed' : 'succeeded')
  }
}

/** A compensation has its turn if what it takes back was done, and all that it names is there. */
function mayUndo({ flow }: Flowing, undo: number): boolean {
  for (const { step } of flow.needs(undo)) if (flow.status(step) !== 'succeeded') return false
  return true
}

/** The job was cancelled: nothing moves on any more. What runs is told to stop by who cancelled it. */
export function cancelFlow(state: State, job: Job): void {
  const { flow } = job
  if (!flow) return
  flow.ended = true
  flow.listeners.clear()
  if (flow.pauses > 0) state.delayed.remove(item => 'step' in item && item.job === job)
  flow.pauses = 0
  for (const stage of job.stages) {
    const held = stage.wide >= 0 ? stage.held.ranges.map(range => ({ ...range })) : heldAlone(flow, stage)
    stage.held.clear()
    stage.heldCount = 0
    for (const part of held) cancelTasks(state, stage, part)
  }
  for (let step = 0; step < flow.count; step++) if (!flow.settled(step)) flow.setStatus(step, 'cancelled')
}

function heldAlone(flow: Flow, stage: Stage): Range[] {
  if (stage.heldCount === 0) return []
  return stage.owners.flatMap((step, first) => (flow.status(step) === 'waiting' ? [{ first, count: 1 }] : []))
}

/** Tasks were cancelled one by one: those that wait for others will not run. */
export function cancelHeldTasks(state: State, stage: Stage, range: Range): void {
  if (stage.heldCount === 0) return
  moving(state, stage.job, on => {
    if (stage.wide >= 0) return cancelHeld(on, stage, range)
    for (let task = range.first; task < range.first + range.count; task++) {
      const step = stage.owners[task]!
      if (on.flow.status(step) === 'waiting') abandon(on, step, 'cancelled')
    }
  })
}

/** A pause is over, or a signal did not come in time. */
export function wakeStep(state: State, job: Job, step: number): void {
  moving(state, job, on => {
    const { flow } = on
    flow.pauses--
    if (flow.kind(step) === 'sleep') return endsAs(on, step, 'succeeded')
    flow.unlisten(step)
    // Nobody sent it: that can be caught.
    endsAs(on, step, 'failed')
  })
}

function listen(on: Flowing, step: number): void {
  const { state, job, flow } = on
  const signal = flow.takeSignal(flow.name(step))
  if (signal) {
    flow.values.set(step, signal)
    return endsAs(on, step, 'succeeded')
  }
  flow.listen(step)
  if (flow.amount(step) === 0) return
  flow.pauses++
  state.delayed.push(state.nowMs + flow.amount(step), { job, step })
}

/** A signal came: the step that waits for it the longest gets it, or it is kept for one that will. */
export function deliver(state: State, job: Job, name: string, signal: Signal): void {
  moving(state, job, on => {
    const { flow } = on
    const step = flow.firstListener(name)
    if (step === undefined) return flow.keepSignal(name, signal)
    flow.unlisten(step)
    flow.values.set(step, signal)
    if (flow.amount(step) > 0) {
      state.delayed.remove(item => 'step' in item && item.job === job && item.step === step)
      flow.pauses--
    }
    endsAs(on, step, 'succeeded')
  })
}

/** Lists and signals of a workflow that nobody asks for any more. */
export function forgetFlow(state: State, job: Job): void {
  const { flow } = job
  if (!flow) return
  const kept = [...flow.spreads.values(), ...flow.values.values(), ...[...flow.mailbox.values()].flat()]
  for (const { payload, bytes } of kept) {
    state.payloadDrops.push(payload)
    state.jobs.resultBytes -= bytes
  }
  for (const { blocks } of flow.spreads.values()) for (const { block, holder } of blocks) dropBlock(state, block, holder)
}

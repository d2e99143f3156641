// Owns how a workflow moves on: what follows from the end of each step for those that need it, until nothing follows any more.
// Must not choose anything: every leader and standby comes to the same from the same facts.
import type { NeedKind } from '../../protocol/index.ts'
import { expectEnd } from '../deadlines/apply.ts'
import { type Job, stageDone } from '../jobs/state.ts'
import { releaseKey } from '../keys/apply.ts'
import { isQueued } from '../queues/state.ts'
import type { State } from '../state.ts'
import { keepBlock } from '../tasks/apply.ts'
import { type Ended, endsAs, type Flowing, sinceMs, stageOf } from './flowing.ts'
import { foldOf } from './fold.ts'
import type { Frame } from './state.ts'
import { abandon, foldOwn, hear, partsEnded, release, tasksEnded, widen } from './tasks.ts'
import { mayUndo } from './undo.ts'
import { deafen, pause } from './waits.ts'

/** Lets a workflow move on by `act`, and by all that follows from it. */
export function moving(state: State, job: Job, act: (on: Flowing) => void): void {
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
  const over = new Set<Job>()
  // The list grows while it is walked: those of one job that stand in a row are taken in together.
  for (let at = 0; at < state.endings.length; ) {
    const { job } = state.endings[at]!.stage
    if (job.state !== 'running') {
      over.add(job)
      at++
      continue
    }
    moving(state, job, on => {
      for (; state.endings[at]?.stage.job === job; at++) tasksEnded(on, state.endings[at]!.stage, state.endings[at]!)
    })
  }
  state.endings = []
  for (const job of over) completeIfEnded(state, job)
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
    for (let step = frame.first; step < end; step++) if (flow.blocked(step) === 0) start(on, step)
    if (frame.open === 0) endFrame(on, frame)
  })
}

/** A step needs nothing any more. */
export function start(on: Flowing, step: number): void {
  const { flow } = on
  // One that was given up has only its end to come; compensations have their turn at the end of all.
  if (flow.status(step) !== 'waiting' || flow.damage(step) !== undefined || flow.isUndo(step)) return
  // What it needed was cancelled while its run waits for its turn: it begins then.
  if (isQueued(on.job)) return
  run(on, step)
}

function run(on: Flowing, step: number): void {
  const { flow } = on
  const kind = flow.kind(step)
  flow.setStatus(step, 'open')
  if (kind === 'sleep' || kind === 'signal' || kind === 'event') flow.times.begin(step, sinceMs(on.state, on.job))
  const timeoutMs = kind === 'tasks' ? (stageOf(on, step).policy?.stepTimeoutMs ?? 0) : 0
  if (timeoutMs > 0) expectEnd(on.state, on.job, step, on.state.nowMs + timeoutMs)
  switch (kind) {
    case 'tasks':
      return startTasks(on, step)
    case 'choice':
      return choose(on, step)
    case 'sleep':
      return pause(on, step)
    case 'signal':
      return listen(on, step)
    case 'event':
      // It listens since it is there, and may have its event already.
      if (flow.values.has(step)) endsAs(on, step, 'succeeded')
      else if (flow.amount(step) > 0) pause(on, step)
  }
}

function startTasks(on: Flowing, step: number): void {
  const { flow } = on
  const need = flow.widthNeed(step)
  // One that waited again has its tasks already, and some of them may have ended.
  const fresh = flow.width(step) === 0
  if (need?.kind === 'spread' && fresh) {
    const { width, blocks } = flow.spreads.get(flow.source(need.step))!
    widen(on, step, width)
    for (const block of blocks) keepBlock(on.state, stageOf(on, step).inputBlocks, block)
  }
  if (!need || need.kind === 'spread') release(on, step, 0, flow.width(step))
  else {
    const width = flow.width(need.step)
    if (need.kind === 'fold' && fresh) flow.folds.set(step, foldOf(width, flow.amount(step)))
    if (fresh) widen(on, step, flow.folds.get(step)?.waits.length ?? width)
    for (const part of partsEnded(on, need.step)) hear(on, need.kind, step, part)
    if (need.kind === 'fold' && !fresh) for (const part of partsEnded(on, step)) foldOwn(on, step, part)
  }
  // Whoever has a task for each of these, or folds their results, may begin to take them.
  if (flow.edges.followed.has(step))
    for (const use of flow.uses(step)) if (use.kind === 'each' || use.kind === 'fold') unblock(on, use.step)
  if (flow.left(step) === 0) endsAs(on, step, flow.damage(step) ?? 'succeeded')
}

function listen(on: Flowing, step: number): void {
  const { flow } = on
  const signal = flow.mail.take(flow.name(step))
  if (signal) {
    flow.values.set(step, signal)
    return endsAs(on, step, 'succeeded')
  }
  flow.mail.listen(flow.name(step), step)
  if (flow.amount(step) > 0) pause(on, step)
}

function settle(on: Flowing, step: number, end: Ended): void {
  const { flow } = on
  if (flow.settled(step)) return
  deafen(on.state, flow, step)
  const status = end === 'succeeded' ? end : (flow.damage(step) ?? end)
  flow.setStatus(step, status)
  flow.times.end(step, sinceMs(on.state, on.job))
  if (flow.holding.delete(step)) releaseKey(on.state, stageOf(on, step), 1)
  const frame = flow.frame(step)
  if (flow.isUndo(step)) {
    if (frame.open === 0) endFrame(on, frame)
    return
  }
  frame.open--
  const lost = status === 'failed' || status === 'cancelled'
  if (lost && (step === frame.output || flow.uses(step).every(use => use.kind === 'undo'))) frame.broken = true
  flow.edges.eachUse(step, (kind, user) => tell(on, kind, user, step, status))
  if (frame.open === 0) endFrame(on, frame)
}

/** What the end of a step means for one that needs it. */
export function tell(on: Flowing, kind: NeedKind, to: number, step: number, status: Ended): void {
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

/** One need of it is met; with the last one it begins. */
export function unblock(on: Flowing, step: number): void {
  if (!on.flow.settled(step) && on.flow.addBlocked(step, -1) === 0) start(on, step)
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
export function endFrame(on: Flowing, frame: Frame): void {
  const { flow } = on
  while (frame.undone < frame.undos.length && flow.settled(frame.undos[frame.undone]!)) frame.undone++
  const undo = frame.undos[frame.undone]
  if (undo !== undefined) {
    if (flow.status(undo) === 'waiting') {
      if (frame.broken && mayUndo(flow, undo)) run(on, undo)
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

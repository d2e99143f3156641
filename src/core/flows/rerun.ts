// Owns how a workflow that has ended goes on: its steps that are to wait again, and what they wait for now.
// Must not choose which steps those are.
import type { NeedKind, Range } from '../../protocol/index.ts'
import { expectEnd } from '../deadlines/apply.ts'
import type { Job } from '../jobs/state.ts'
import { holdKey } from '../keys/apply.ts'
import type { State } from '../state.ts'
import { tasksLost } from './again.ts'
import type { Flowing } from './flowing.ts'
import { foldOf } from './fold.ts'
import type { Frame, StepTable } from './state.ts'
import { endFrame, moving, start, tell, unblock } from './steps.ts'
import { startListening } from './waits.ts'

/** These steps wait again, with all that is known of the others. */
export function goOn(state: State, job: Job, rerun: string, ranges: readonly Range[]): void {
  const flow = job.flow!
  const again = new Set<number>()
  for (const { first, count } of ranges) for (let step = first; step < first + count; step++) again.add(step)
  flow.ended = false
  flow.reruns++
  flow.rerun = rerun
  for (const step of again) waitAgain(state, job, flow, step)
  const frames = resume(flow, again)
  const steps = [...again].filter(step => !flow.isUndo(step) && flow.status(step) === 'waiting')
  for (const step of steps) flow.addBlocked(step, flow.needs(step).length)
  moving(state, job, on => {
    for (const step of steps) for (const need of flow.needs(step)) if (!again.has(need.step)) heed(on, step, need)
    for (const step of steps) if (flow.blocked(step) === 0) start(on, step)
    for (const frame of frames) if (frame.open === 0) endFrame(on, frame)
  })
}

/** The frames that these steps are of, or became, go on. Where the job was cancelled, those of others count steps that had no end of their own. */
function resume(flow: StepTable, again: ReadonlySet<number>): Set<Frame> {
  const frames = new Set([flow.frames[0]!])
  for (const frame of flow.frames) {
    frame.open = 0
    if (again.has(frame.parent)) frames.add(frame)
  }
  for (const step of again) {
    const frame = flow.frame(step)
    frames.add(frame)
    if (!flow.isUndo(step)) frame.open++
  }
  for (const frame of frames) Object.assign(frame, { broken: false, undone: 0 })
  return frames
}

/** What a step that waits again needs of one that does not. */
function heed(on: Flowing, step: number, need: { kind: NeedKind; step: number }): void {
  const status = on.flow.status(need.step)
  if (status === 'waiting' || status === 'open')
    throw new Error(`step ${need.step} of ${on.job.plan.job} has no end and does not wait again`)
  // All of its tasks have begun: who takes them one by one may begin as well.
  if ((need.kind === 'each' || need.kind === 'fold') && status === 'succeeded') unblock(on, step)
  else tell(on, need.kind, step, need.step, status)
}

function waitAgain(state: State, job: Job, flow: StepTable, step: number): void {
  flow.forgetEnd(step)
  flow.late.delete(step)
  const { began } = flow.times.written(step)
  flow.times.restore(step, { began: flow.expanded.has(step) ? began : 0, ended: 0 })
  if (flow.expanded.has(step)) return builtAgain(state, job, flow, step)
  if (flow.kind(step) === 'event' && !flow.values.has(step)) startListening(state, job, step)
  if (flow.kind(step) !== 'tasks') return
  // Whoever ran it last may not know that it is over: what runs next is another attempt.
  if (began > 0) flow.firstAttempts.set(step, (flow.attempts.get(step) ?? 1) + 1)
  const fold = flow.folds.get(step)
  if (fold) flow.folds.set(step, foldOf(flow.width(flow.widthNeed(step)!.step), fold.fanIn))
  tasksAgain(state, job, flow, step)
}

/** It was built already: what it became goes on, with its key, and in its time. */
function builtAgain(state: State, job: Job, flow: StepTable, step: number): void {
  const stage = job.stages[flow.stage(step)]!
  flow.setStatus(step, 'open')
  if (stage.key) {
    flow.holding.add(step)
    holdKey(state, stage, 1)
  }
  const timeoutMs = stage.policy?.stepTimeoutMs ?? 0
  if (timeoutMs > 0) expectEnd(state, job, step, state.nowMs + timeoutMs)
}

/** The tasks of the step that came to nothing wait, with all of their retries. */
function tasksAgain(state: State, job: Job, flow: StepTable, step: number): void {
  const stage = job.stages[flow.stage(step)]!
  const ranges = tasksLost(stage, flow, step)
  const count = ranges.reduce((sum, range) => sum + range.count, 0)
  let failed = 0
  for (const index of stage.wide >= 0 ? stage.troubles.keys() : [flow.first(step)]) {
    const trouble = stage.troubles.get(index)
    if (!trouble) continue
    if (trouble.final) failed++
    Object.assign(trouble, { counted: 0, deaths: 0, final: undefined })
  }
  stage.failed -= failed
  stage.cancelled -= count - failed
  stage.heldCount += count
  for (const range of stage.wide >= 0 ? ranges : []) {
    stage.held.add(range.first, range.count)
    stage.lost.remove(range.first, range.count)
  }
  if (stage.wide < 0) stage.lost.remove(flow.first(step), 1)
  state.jobs.openTasks += count
  // Those that were cancelled with their job were not counted down.
  flow.addLeft(step, count - flow.left(step))
}

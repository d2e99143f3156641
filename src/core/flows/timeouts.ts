// Owns how a workflow is given up, and its compensations have their turn: a step or all of it did not end in its time, or it is being cancelled.
// Must not choose anything.
import { stopRunning } from '../jobs/accounts.ts'
import type { Job } from '../jobs/state.ts'
import type { State } from '../state.ts'
import { type Flowing, stageOf } from './flowing.ts'
import type { StepTable } from './state.ts'
import { moving } from './steps.ts'
import { abandon, letEnd } from './tasks.ts'
import { countsStill } from './undo.ts'
import { deafen, stopPause } from './waits.ts'

/** A step has failed because it did not end in its time. Steps that it became end with it, after their compensations. */
export function timeOutStep(state: State, job: Job, step: number): void {
  moving(state, job, on => {
    const { flow } = on
    flow.late.add(step)
    if (flow.expanded.has(step)) giveUp(on, framesWithin(flow, step))
    else {
      abandon(on, step, 'failed')
      stop(on, [step])
    }
  })
}

/** The workflow did not end in its time, or is being cancelled: nothing of it goes on but its compensations. */
export function giveUpFlow(state: State, job: Job, reason: string): void {
  job.reason = reason
  moving(state, job, on => giveUp(on, new Set(on.flow.frames.keys())))
}

/** The frames of the steps that a step became, and of those that they became. */
function framesWithin(flow: StepTable, step: number): Set<number> {
  const found = new Set<number>()
  for (const [number, { parent }] of flow.frames.entries())
    if (parent === step || (parent >= 0 && found.has(flow.frameNumber(parent)))) found.add(number)
  return found
}

/** No step of these frames goes on but compensations. One that became steps ends with those. */
function giveUp(on: Flowing, frames: ReadonlySet<number>): void {
  const { state, flow } = on
  const steps: number[] = []
  for (const number of frames) {
    const frame = flow.frames[number]!
    if (frame.open > 0) frame.broken = true
    for (let step = frame.first; step < frame.first + frame.count; step++)
      if (!flow.settled(step) && !flow.isUndo(step) && !flow.expanded.has(step)) steps.push(step)
  }
  for (const step of steps) {
    if (flow.pauses.has(step)) stopPause(state, flow, step)
    if (flow.listening.has(step)) deafen(state, flow, step)
    if (flow.kind(step) === 'signal') flow.mail.unlisten(flow.name(step), step)
    // What a compensation goes by is told to stop, and counts as what it comes to.
    if (countsStill(flow, step)) letEnd(on, step)
    else abandon(on, step, 'cancelled')
  }
  stop(on, steps)
}

/** What runs of these steps is told to stop. */
function stop(on: Flowing, steps: readonly number[]): void {
  const byStage = new Map<number, { first: number; count: number }[]>()
  for (const step of steps) {
    if (on.flow.kind(step) !== 'tasks' || stageOf(on, step).runningCount === 0) continue
    const ranges = byStage.get(on.flow.stage(step)) ?? []
    byStage.set(on.flow.stage(step), ranges)
    ranges.push({ first: on.flow.first(step), count: on.flow.width(step) })
  }
  for (const [stage, ranges] of byStage) stopRunning(on.state, on.job.stages[stage]!, ranges)
}

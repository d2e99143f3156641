// Owns what comes to a workflow from outside: a cancel, a time that has come, a signal, the end of its retention.
// Must not choose anything.
import type { Range } from '../../protocol/index.ts'
import type { Listener } from '../events/state.ts'
import { cancelTasks, dropBlock, dropPayload, namePayload } from '../jobs/accounts.ts'
import type { Job, Stage } from '../jobs/state.ts'
import { releaseKey } from '../keys/apply.ts'
import type { State } from '../state.ts'
import { endsAs, sinceMs } from './flowing.ts'
import type { Signal } from './mail.ts'
import type { StepTable } from './state.ts'
import { moving } from './steps.ts'
import { abandon, cancelHeld } from './tasks.ts'
import { deafen, stopPause } from './waits.ts'

/** The job was cancelled: nothing moves on any more. What runs is told to stop by who cancelled it. */
export function cancelFlow(state: State, job: Job): void {
  const { flow } = job
  if (!flow) return
  flow.ended = true
  flow.mail.listeners.clear()
  for (const step of flow.pauses.keys()) stopPause(state, flow, step)
  for (const step of flow.listening.keys()) deafen(state, flow, step)
  for (const stage of job.stages) {
    const held = stage.wide >= 0 ? stage.held.ranges.map(range => ({ ...range })) : heldAlone(flow, stage)
    stage.held.clear()
    stage.heldCount = 0
    for (const part of held) cancelTasks(state, stage, part)
  }
  for (let step = 0; step < flow.count; step++) {
    if (flow.settled(step)) continue
    flow.setStatus(step, 'cancelled')
    flow.times.end(step, sinceMs(state, job))
  }
  for (const step of flow.holding) {
    flow.holding.delete(step)
    releaseKey(state, job.stages[flow.stage(step)]!, 1)
  }
}

function heldAlone(flow: StepTable, stage: Stage): Range[] {
  if (stage.heldCount === 0) return []
  const held: Range[] = []
  for (const [first, step] of stage.owners.entries()) {
    if (flow.status(step) !== 'waiting') continue
    const last = held[held.length - 1]
    if (last && last.first + last.count === first) last.count++
    else held.push({ first, count: 1 })
  }
  return held
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

/** A pause is over, or a signal or event did not come in time. */
export function wakeStep(state: State, job: Job, step: number): void {
  moving(state, job, on => {
    const { flow } = on
    flow.pauses.delete(step)
    if (flow.kind(step) === 'sleep') return endsAs(on, step, 'succeeded')
    if (flow.kind(step) === 'signal') flow.mail.unlisten(flow.name(step), step)
    // Nobody sent it: that can be caught.
    endsAs(on, step, 'failed')
  })
}

/** A signal came: the step that waits for it the longest gets it, or it is kept for one that will. */
export function deliver(state: State, job: Job, name: string, signal: Signal): void {
  moving(state, job, on => {
    const { flow } = on
    const step = flow.mail.firstListener(name)
    if (step === undefined) return flow.mail.keep(name, signal)
    flow.mail.unlisten(flow.name(step), step)
    flow.values.set(step, signal)
    stopPause(state, flow, step)
    endsAs(on, step, 'succeeded')
  })
}

/** An event came: all of these have it, before anything follows from that. Those whose turn has not come yet keep it until then. */
export function hear(state: State, listeners: readonly Listener[], signal: Signal): void {
  for (const { job, step } of listeners) {
    const { flow } = job
    deafen(state, flow!, step)
    stopPause(state, flow!, step)
    flow!.values.set(step, signal)
    state.jobs.resultBytes += signal.bytes
    namePayload(state, signal.payload)
  }
  for (const { job, step } of listeners) if (job.flow!.status(step) === 'open') moving(state, job, on => endsAs(on, step, 'succeeded'))
}

/** Lists, signals and events of a workflow that nobody asks for any more. */
export function forgetFlow(state: State, job: Job): void {
  const { flow } = job
  if (!flow) return
  const kept = [...flow.spreads.values(), ...flow.values.values(), ...[...flow.mail.kept.values()].flat()]
  for (const { payload, bytes } of kept) {
    dropPayload(state, payload)
    state.jobs.resultBytes -= bytes
  }
  for (const { blocks } of flow.spreads.values()) for (const { block, holder } of blocks) dropBlock(state, block, holder)
}

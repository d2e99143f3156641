// Owns what steps wait for besides other steps: a time, an event. Who waits can be found, and is taken out when it waits no more.
// Must not move a workflow on.
import { listen, unlisten } from '../events/state.ts'
import type { Job } from '../jobs/state.ts'
import type { State } from '../state.ts'
import type { Flowing } from './flowing.ts'
import type { StepTable } from './state.ts'

/** The step waits for at most its time. */
export function pause({ state, job, flow }: Flowing, step: number): void {
  flow.pauses.set(step, state.delayed.push(state.nowMs + flow.amount(step), { job, step }))
}

/** The step waits for no time any more. */
export function stopPause(state: State, flow: StepTable, step: number): void {
  const entry = flow.pauses.get(step)
  if (!entry) return
  state.delayed.delete(entry)
  flow.pauses.delete(step)
}

/** The step, which was just added, gets the next event that it is for. */
export function startListening(state: State, job: Job, step: number): void {
  const { flow } = job
  const listener = { job, step }
  flow!.listening.set(step, listener)
  listen(state.events.listeners, flow!.name(step), listener)
}

/** The step gets no event any more. */
export function deafen(state: State, flow: StepTable, step: number): void {
  const listener = flow.listening.get(step)
  if (!listener) return
  flow.listening.delete(step)
  unlisten(state.events.listeners, flow.name(step), listener)
}

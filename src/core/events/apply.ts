// Owns what the facts about events do to the state. Must not choose anything.
import { eventStepName, type RecordOf } from '../../protocol/index.ts'
import { hear } from '../flows/events.ts'
import { leaveProgram, useProgram } from '../programs/apply.ts'
import type { State } from '../state.ts'
import { heardBy, listen, seenName, type TriggerState, unlisten } from './state.ts'

function triggerOf({ events }: State, name: string): TriggerState {
  const trigger = events.byName.get(name)
  if (!trigger) throw new Error(`no trigger ${name}`)
  return trigger
}

export function applyTriggerSet(state: State, { spec, submission }: RecordOf<'TriggerSet'>): void {
  const known = state.events.byName.get(spec.trigger)
  for (const program of spec.programs) useProgram(state, program)
  if (known) letGo(state, known)
  // Bytes that were read from a frame would keep all of it.
  const own = { spec, submission: Uint8Array.from(submission) }
  addTrigger(state, { paused: false, started: 0, lastJob: '', lastAtMs: 0, ...known, ...own })
}

/** There is one more trigger, whose programs are used already. */
export function addTrigger({ events }: State, trigger: TriggerState): void {
  const { spec } = trigger
  events.byName.set(spec.trigger, trigger)
  listen(events.byEvent, eventStepName(spec.event, spec.key), trigger)
}

function letGo(state: State, trigger: TriggerState): void {
  const { spec } = trigger
  for (const program of spec.programs) leaveProgram(state, program)
  unlisten(state.events.byEvent, eventStepName(spec.event, spec.key), trigger)
}

export function applyTriggerPaused(state: State, record: RecordOf<'TriggerPaused'>): void {
  triggerOf(state, record.trigger).paused = record.paused
}

export function applyTriggerDeleted(state: State, record: RecordOf<'TriggerDeleted'>): void {
  letGo(state, triggerOf(state, record.trigger))
  state.events.byName.delete(record.trigger)
}

export function applyEventEmitted(state: State, record: RecordOf<'EventEmitted'>): void {
  const { event, key, id, payload, bytes, started } = record
  const { seen, listeners } = state.events
  let forgotten = 0
  for (const old of seen.keys()) {
    if (forgotten++ >= record.forgotten) break
    seen.delete(old)
  }
  for (const name of started) {
    const trigger = triggerOf(state, name)
    trigger.started++
    trigger.lastJob = `${name}@${id}`
    trigger.lastAtMs = state.nowMs
  }
  const heard = heardBy(listeners, event, key)
  seen.set(seenName(event, id), { atMs: state.nowMs, started: started.length, woken: heard.length - started.length })
  if (payload === undefined) return
  hear(state, heard, { payload, bytes })
}

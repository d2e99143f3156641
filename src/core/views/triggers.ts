// Owns the answers about triggers. Reads state, in pieces of bounded size.
// Must not write anything.
import type { TriggerView, Views } from '../../protocol/index.ts'
import type { TriggerState } from '../events/state.ts'
import type { State } from '../state.ts'
import { pageOf } from './schedules.ts'

function viewTrigger({ spec, paused, started, lastJob, lastAtMs }: TriggerState): TriggerView {
  return {
    name: spec.trigger,
    event: spec.event,
    ...(spec.key !== '' && { key: spec.key }),
    runs: spec.name,
    paused,
    started,
    ...(lastJob !== '' && { lastJob, lastAtMs }),
  }
}

/** Triggers, in the order of their names. */
export function viewTriggers({ events }: State, query: Views['triggers']['argument']): TriggerView[] {
  return pageOf(events.byName, query).map(viewTrigger)
}

// Owns the part of a snapshot that stands behind the rest since version 3: what came to the state after workflows did.
// Must not know bytes: each room says how its own state is written.
import { type Infer, struct, type Writer } from '../protocol/index.ts'
import { eventsState, eventsValue, restoreEvents } from './events/snapshot.ts'
import { controlState, controlValue, restoreControl } from './flows/control.ts'
import { grantsState, grantsValue, restoreGrants } from './grants/snapshot.ts'
import { historyState, historyValue, restoreHistory } from './history/snapshot.ts'
import { restoreShared, sharedResults, sharedValue } from './jobs/snapshot.ts'
import { keysState, keysValue, restoreKeys } from './keys/snapshot.ts'
import { restoreRuns, runsState, runsValue } from './queues/snapshot.ts'
import { restoreSchedules, schedulesState, schedulesValue } from './schedules/snapshot.ts'
import { restoreSpaces, spacesState, spacesValue } from './spaces/snapshot.ts'
import type { State } from './state.ts'

/** Locks, spaces, schedules, events, the control of runs, the history, limits, and results that share payloads. */
export const laterState = struct({
  grants: grantsState,
  spaces: spacesState,
  schedules: schedulesState,
  events: eventsState,
  control: controlState,
  history: historyState,
  runs: runsState,
  keys: keysState,
  results: sharedResults,
})

/** Writes it behind the rest. */
export function writeLater(writer: Writer, state: State): void {
  laterState.write(writer, {
    grants: grantsValue(state),
    spaces: spacesValue(state),
    schedules: schedulesValue(state),
    events: eventsValue(state),
    control: controlValue(state),
    history: historyValue(state),
    runs: runsValue(state),
    keys: keysValue(state),
    results: sharedValue(state),
  })
}

/** Jobs are there already. */
export function restoreLater(state: State, value: Infer<typeof laterState>): void {
  restoreGrants(state, value.grants)
  restoreSpaces(state, value.spaces)
  restoreSchedules(state, value.schedules)
  restoreEvents(state, value.events)
  restoreControl(state, value.control)
  restoreHistory(state, value.history)
  restoreRuns(state, value.runs)
  restoreKeys(state, value.keys)
  restoreShared(state, value.results)
}

// Owns what goes to the leader about lanes: outcomes, tasks given back, and how lanes stand after a registration.
// Must not choose executors.
import { type LaneId, type LaneReport, type Outcome, outcomeBytes, outcomeTasks } from '../../protocol/index.ts'
import { assertInvariant } from './assert.ts'
import { kill } from './endings.ts'
import { atExecutor, unbind } from './feeding.ts'
import type { Lane } from './lane.ts'
import { type MachineState, wakeBy } from './state.ts'
import { tuning } from './tuning.ts'

/** Reports outcomes that the lane has kept, unless there is nobody to hear them; closes the lane if that was all. */
export function settle(state: MachineState, lane: Lane, from: number, outcomes: readonly Outcome[]): void {
  if (outcomes.length === 0) return
  if (state.registered) report(state, lane.id, from, outcomes)
  if (lane.head === lane.received) unbind(state, lane)
}

function report(state: MachineState, lane: LaneId, from: number, outcomes: readonly Outcome[]): void {
  let part: Outcome[] = []
  let partFrom = from
  let number = from
  let bytes = 0
  for (const outcome of outcomes) {
    const size = outcomeBytes(outcome)
    if (part.length >= tuning.reportOutcomesMax || (part.length > 0 && bytes + size > tuning.reportBytesMax)) {
      state.out.push({ kind: 'report', lane, from: partFrom, outcomes: part })
      part = []
      partFrom = number
      bytes = 0
    }
    part.push(outcome)
    bytes += size
    number += outcomeTasks(outcome)
  }
  state.out.push({ kind: 'report', lane, from: partFrom, outcomes: part })
}

/** Gives the lane's tasks from a number on back to the leader: they are certain never to start here. */
export function returnFrom(state: MachineState, lane: Lane, from: number): void {
  if (from >= lane.received && lane.closed) return
  assertInvariant(lane.next <= from, `lane ${lane.id} returns task ${from}, which was sent`)
  lane.truncate(from)
  lane.closed = true
  lane.waitingSinceMs = undefined
  state.out.push({ kind: 'returnTasks', lane: lane.id, from })
  if (lane.head === lane.received) unbind(state, lane)
  forgetIfDone(state, lane)
}

/** A lane without unfinished tasks and with all its outcomes acknowledged is over. */
export function forgetIfDone(state: MachineState, lane: Lane): void {
  if (lane.head === lane.received && lane.acknowledged === lane.received) {
    unbind(state, lane)
    state.lanes.delete(lane.id)
  }
}

/** Forgets a lane as a whole; what it runs is killed. */
export function dropLane(state: MachineState, lane: Lane): void {
  const { executor } = lane
  const running = atExecutor(lane) > 0
  state.lanes.delete(lane.id)
  unbind(state, lane)
  if (executor && running && executor.state === 'ready') kill(state, executor, { kind: 'drop' })
}

/** Brings all lanes to where the leader says they stand, and tells it again what it may have missed. */
export function reconcile(state: MachineState, keep: readonly { lane: LaneId; tasks: number }[]): void {
  const kept = new Map(keep.map(one => [one.lane, one.tasks]))
  for (const lane of [...state.lanes.values()]) {
    const tasks = kept.get(lane.id)
    if (tasks === undefined) {
      dropLane(state, lane)
      continue
    }
    shorten(state, lane, tasks)
    lane.closed = false
    const first = lane.outcomes[0]
    if (first) {
      report(
        state,
        lane.id,
        first.from,
        lane.outcomes.map(one => one.outcome),
      )
    }
    forgetIfDone(state, lane)
  }
  wakeBy(state, state.nowMs + tuning.silenceMs)
}

function shorten(state: MachineState, lane: Lane, tasks: number): void {
  const { executor } = lane
  const sent = lane.next > tasks
  const running = atExecutor(lane) > 0
  lane.truncate(tasks)
  if (!sent || !executor || !running) return
  // The executor has tasks that are not wanted, and may be running one: the others start anew on a fresh one.
  unbind(state, lane)
  if (executor.state === 'ready') kill(state, executor, { kind: 'drop' })
}

/** All lanes as a registration tells them. */
export function laneReports(state: MachineState): LaneReport[] {
  return [...state.lanes.values()].map(lane => lane.report())
}

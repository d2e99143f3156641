// Owns the decisions of one worker node: it is told what happens and answers with what to do.
// Must not do anything itself: no I/O, no clock, no chance, no waiting.
import type { LaneReport } from '../../protocol/index.ts'
import { assertInvariant } from './assert.ts'
import { enforceDeadlines, escalate, executorEnded, failLane, kill, sampled } from './endings.ts'
import type { ExecutorEvent, ExecutorId, Instruction, MachineEvent } from './events.ts'
import { atExecutor, bindAll, learn, pump, reapIdle, startClock, unbind } from './feeding.ts'
import { Lane } from './lane.ts'
import { rangeEnd } from './ranges.ts'
import { dropLane, forgetIfDone, laneReports, reconcile, returnFrom, settle } from './reporting.ts'
import { createState, type Executor, executorKind, type MachineOptions, type MachineState, wakeBy } from './state.ts'
import { tuning } from './tuning.ts'

type EventOf<K extends MachineEvent['kind']> = Extract<MachineEvent, { kind: K }>

export class Machine {
  readonly #state: MachineState

  constructor(options: MachineOptions) {
    this.#state = createState(options)
  }

  /** Takes in one event that happened at `nowMs` (monotonic) and says what to do, in this order. */
  handle(event: MachineEvent, nowMs: number): Instruction[] {
    const state = this.#state
    state.nowMs = nowMs
    state.out = []
    this.#take(event)
    if (state.draining) giveBackUnsent(state)
    bindAll(state)
    if (state.draining && state.lanes.size === 0 && !state.drainedTold) {
      state.drainedTold = true
      state.out.push({ kind: 'drained' })
    }
    return state.out
  }

  /** All lanes, as a registration tells them. */
  laneReports(): LaneReport[] {
    return laneReports(this.#state)
  }

  /** Executors that have tasks. */
  busyExecutors(): ExecutorId[] {
    return [...this.#state.executors.values()].filter(executor => executor.lanes.size > 0).map(executor => executor.id)
  }

  /** True if tasks of this lane run in this executor. */
  runsAt(lane: number, executor: ExecutorId): boolean {
    const known = this.#state.lanes.get(lane)
    return known !== undefined && this.#state.executors.get(executor)?.lanes.has(known) === true
  }

  /** Lanes that are not over. */
  get lanes(): number {
    return this.#state.lanes.size
  }

  /** Tasks without an outcome. */
  get unfinished(): number {
    let count = 0
    for (const lane of this.#state.lanes.values()) count += lane.received - lane.head
    return count
  }

  #take(event: MachineEvent): void {
    const state = this.#state
    switch (event.kind) {
      case 'assigned':
        assigned(state, event)
        return
      case 'cancelled':
        cancelled(state, event)
        return
      case 'acknowledged':
        acknowledged(state, event)
        return
      case 'registered':
        state.registered = true
        state.drainedTold = false
        reconcile(state, event.keep)
        return
      case 'disconnected':
        state.registered = false
        return
      case 'dismissed':
        state.registered = false
        for (const lane of [...state.lanes.values()]) dropLane(state, lane)
        return
      case 'draining':
        state.draining = true
        return
      case 'programReady':
        state.programs.set(event.program, 'ready')
        return
      case 'programFailed':
        state.programs.delete(event.program)
        for (const lane of [...state.lanes.values()]) if (lane.plan.program === event.program) failLane(state, lane, event.failure)
        return
      case 'tick':
        tick(state)
        return
      default:
        fromExecutor(state, event)
        return
    }
  }
}

function fromExecutor(state: MachineState, event: ExecutorEvent): void {
  const executor = state.executors.get(event.executor)
  // It ended, and its last words are handled: what comes later is about nothing.
  if (!executor) return
  switch (event.kind) {
    case 'executorReady':
      executor.loaded = true
      if (executor.state !== 'starting') return
      executor.state = 'ready'
      for (const lane of executor.lanes) pump(state, lane)
      reapIdle(state)
      return
    case 'loadFailed':
      for (const lane of [...executor.lanes]) failLane(state, lane, event.failure)
      kill(state, executor, { kind: 'drop' })
      return
    case 'outcomes':
      outcomes(state, executor, event)
      return
    case 'yielded':
      yielded(state, executor, event)
      return
    case 'clock': {
      const lane = laneOn(state, executor, event.lane)
      if (!lane) return
      lane.contactMs = state.nowMs
      if (event.running) startClock(state, lane)
      else lane.runningSinceMs = undefined
      return
    }
    case 'exiting':
      executor.exiting = { lane: event.lane, number: event.number }
      return
    case 'sampled':
      sampled(state, executor, event.rssBytes, event.processes)
      return
    case 'executorEnded':
      executorEnded(state, executor, event.exit)
      return
  }
}

/** The lane if it runs on this executor. */
function laneOn(state: MachineState, executor: Executor, id: number): Lane | undefined {
  const lane = state.lanes.get(id)
  return lane?.executor === executor ? lane : undefined
}

function assigned(state: MachineState, event: EventOf<'assigned'>): void {
  let lane = state.lanes.get(event.lane)
  // Tasks of this lane were returned while these were under way: the leader counts them as returned too.
  if (lane?.closed) return
  if (!lane) {
    // The same, where nothing was left of the lane: only a first assignment opens one.
    if (!event.plan) return
    lane = new Lane(event.lane, event.plan)
    state.lanes.set(lane.id, lane)
  }
  const before = lane.received
  lane.receive(event.epoch, event.runs, event.inputs)
  let held = 0
  for (const one of state.lanes.values()) held += one.inputBytes
  if (held > tuning.inputBytesMax) returnFrom(state, lane, before)
  else if (lane.executor) pump(state, lane)
  if (lane.next > lane.head) wakeBy(state, Math.max(state.nowMs, lane.contactMs + tuning.silenceMs))
}

function cancelled(state: MachineState, event: EventOf<'cancelled'>): void {
  const lane = state.lanes.get(event.lane)
  if (!lane) return
  const ranges = lane.cancel(event.job, event.stage, event.ranges)
  if (ranges.length === 0) return
  lane.cancelledAtMs = state.nowMs
  const sent = ranges.filter(range => range.from < lane.next)
  if (lane.executor && sent.length > 0) {
    state.out.push({ kind: 'cancel', executor: lane.executor.id, lane: lane.id, ranges: sent })
    wakeBy(state, state.nowMs + tuning.graceMs)
  }
  pump(state, lane)
}

function acknowledged(state: MachineState, event: EventOf<'acknowledged'>): void {
  for (const { lane: id, count } of event.lanes) {
    const lane = state.lanes.get(id)
    if (!lane) continue
    lane.acknowledge(count)
    forgetIfDone(state, lane)
  }
  // Room for outcomes may have been made: executors that were held back go on.
  for (const lane of state.lanes.values()) if (lane.executor && lane.next < lane.received) pump(state, lane)
}

function outcomes(state: MachineState, executor: Executor, event: EventOf<'outcomes'>): void {
  const lane = laneOn(state, executor, event.lane)
  if (!lane) return
  // Cancelled tasks that were not sent stand before these only if they were next: they are reported by now.
  assertInvariant(
    event.from === lane.head,
    `executor ${executor.id} reports task ${event.from} of lane ${lane.id}, where ${lane.head} is next`,
  )
  for (const outcome of event.outcomes) lane.settle(outcome)
  lane.contactMs = state.nowMs
  lane.runningSinceMs = undefined
  lane.stalled = false
  if (atExecutor(lane) > 0 && rangeEnd(lane.passedOver, lane.head) === undefined) startClock(state, lane)
  learn(state, lane, event.outcomes)
  settle(state, lane, event.from, event.outcomes)
  if (lane.suspectUntil > 0 && lane.head >= lane.suspectUntil) absolve(state, lane)
  pump(state, lane)
}

/** All suspects of the lane have had their turn alone: it may share an executor again. */
function absolve(state: MachineState, lane: Lane): void {
  lane.suspectUntil = 0
  const { executor } = lane
  if (executor && atExecutor(lane) === 0 && executor.kind.key !== executorKind(lane.plan, false, state.options).key) unbind(state, lane)
}

function yielded(state: MachineState, executor: Executor, event: EventOf<'yielded'>): void {
  const lane = laneOn(state, executor, event.lane)
  if (!lane || lane.generation > event.generation) return
  assertInvariant(event.from >= lane.head, `executor ${executor.id} gives back task ${event.from} of lane ${lane.id}, which has an outcome`)
  lane.generation = event.generation + 1
  lane.contactMs = state.nowMs
  lane.takeBack(Math.min(event.from, lane.next))
  lane.stalled = atExecutor(lane) > 0
  wakeBy(state, state.nowMs + tuning.silenceMs)
  pump(state, lane)
}

function tick(state: MachineState): void {
  state.wakeAtMs = Number.POSITIVE_INFINITY
  escalate(state)
  for (const lane of [...state.lanes.values()]) {
    enforceDeadlines(state, lane)
    if (state.registered) suspectSilence(state, lane)
    if (lane.waitingSinceMs !== undefined && !lane.executor) waitedTooLong(state, lane, lane.waitingSinceMs)
  }
  reapIdle(state)
}

/** A lane that nobody speaks of: what it runs takes long, and what has not been sent should not wait for it. */
function suspectSilence(state: MachineState, lane: Lane): void {
  if (lane.executor?.state !== 'ready' || lane.head === lane.next || lane.next === lane.received) return
  if (state.nowMs < lane.contactMs + tuning.silenceMs) wakeBy(state, lane.contactMs + tuning.silenceMs)
  else returnFrom(state, lane, lane.next)
}

function waitedTooLong(state: MachineState, lane: Lane, sinceMs: number): void {
  if (state.nowMs < sinceMs + tuning.executorWaitMsMax) wakeBy(state, sinceMs + tuning.executorWaitMsMax)
  else if (state.registered) returnFrom(state, lane, lane.head)
}

/** Draining: what has not been sent to an executor goes back at once, what comes back from there as soon as it does. */
function giveBackUnsent(state: MachineState): void {
  if (!state.registered) return
  for (const lane of [...state.lanes.values()]) if (lane.next < lane.received) returnFrom(state, lane, lane.next)
}

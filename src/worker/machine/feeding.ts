// Owns which executor runs which lane, and how much of a lane is sent ahead.
// Must not judge how tasks or executors end.

import { limits, type Outcome, outcomeMicros, outcomeTasks } from '../../protocol/index.ts'
import { kill } from './endings.ts'
import type { Lane } from './lane.ts'
import { addRange, nextRangeStart, rangeEnd } from './ranges.ts'
import { settle } from './reporting.ts'
import type { Executor, ExecutorKind, MachineState } from './state.ts'
import { executorKind, wakeBy } from './state.ts'
import { tuning } from './tuning.ts'

/** Gives lanes that have something to run an executor, in the order in which they came. */
export function bindAll(state: MachineState): void {
  for (const lane of state.lanes.values()) {
    if (!lane.executor && lane.next < lane.received) {
      passOver(state, lane)
      if (lane.next < lane.received) bind(state, lane)
    }
  }
}

function bind(state: MachineState, lane: Lane): void {
  const known = state.programs.get(lane.plan.program)
  if (known !== 'ready') {
    if (known === undefined) {
      state.programs.set(lane.plan.program, 'fetching')
      state.out.push({ kind: 'fetchProgram', program: lane.plan.program })
    }
    return
  }
  const kind = executorKind(lane.plan, lane.next < lane.suspectUntil, state.options)
  const executor = free(state, kind) ?? start(state, kind)
  if (!executor) {
    lane.waitingSinceMs ??= state.nowMs
    wakeBy(state, lane.waitingSinceMs + tuning.executorWaitMsMax)
    return
  }
  lane.waitingSinceMs = undefined
  lane.executor = executor
  executor.lanes.add(lane)
  pump(state, lane)
}

/** An executor of this kind with room: a ready one before one that starts. */
function free(state: MachineState, kind: ExecutorKind): Executor | undefined {
  let found: Executor | undefined
  for (const executor of state.executors.values()) {
    if (executor.state === 'ending' || executor.kind.key !== kind.key || executor.lanes.size >= kind.lanesMax) continue
    if (executor.state === 'ready') return executor
    found ??= executor
  }
  return found
}

function start(state: MachineState, kind: ExecutorKind): Executor | undefined {
  if (state.nowMs < state.startNotBeforeMs) {
    wakeBy(state, state.startNotBeforeMs)
    return undefined
  }
  const living = [...state.executors.values()].filter(executor => executor.state !== 'ending')
  if (living.length >= state.options.slots + (kind.fractional ? tuning.fractionalExecutorsMax : 0)) {
    const idle = longestIdle(living)
    if (!idle) return undefined
    kill(state, idle, { kind: 'idle' })
  }
  const executor: Executor = {
    id: ++state.executorSerial,
    kind,
    state: 'starting',
    loaded: false,
    lanes: new Set(),
    startedAtMs: state.nowMs,
    idleSinceMs: state.nowMs,
    cause: undefined,
    killAtMs: 0,
    exiting: undefined,
  }
  state.executors.set(executor.id, executor)
  state.out.push({ kind: 'start', executor: executor.id, program: kind.program, heapMiB: kind.heapMiB, shared: kind.lanesMax > 1 })
  wakeBy(state, state.nowMs + tuning.loadMsMax)
  return executor
}

function longestIdle(living: readonly Executor[]): Executor | undefined {
  let longest: Executor | undefined
  for (const executor of living) {
    if (executor.lanes.size === 0 && (!longest || executor.idleSinceMs < longest.idleSinceMs)) longest = executor
  }
  return longest
}

/** Ends what has been idle too long, or is one idle executor too many. */
export function reapIdle(state: MachineState): void {
  const idle = [...state.executors.values()].filter(executor => executor.state === 'ready' && executor.lanes.size === 0)
  idle.sort((a, b) => a.idleSinceMs - b.idleSinceMs)
  idle.forEach((executor, position) => {
    const surplus = idle.length - position > tuning.idleExecutorsMax
    if (surplus || state.nowMs >= executor.idleSinceMs + tuning.idleMsMax) kill(state, executor, { kind: 'idle' })
    else wakeBy(state, executor.idleSinceMs + tuning.idleMsMax)
  })
}

/** Takes the lane off its executor; what was sent and has no outcome counts as not sent. */
export function unbind(state: MachineState, lane: Lane): void {
  const { executor } = lane
  const idle = atExecutor(lane) === 0
  lane.rewind()
  if (!executor) return
  lane.executor = undefined
  executor.lanes.delete(lane)
  if (executor.lanes.size === 0) {
    executor.idleSinceMs = state.nowMs
    wakeBy(state, state.nowMs + tuning.idleMsMax)
  }
  if (executor.state !== 'ending') state.out.push({ kind: 'forget', executor: executor.id, lane: lane.id, idle })
}

/** Reports cancelled tasks that are next in line as skipped, without sending them. */
function passOver(state: MachineState, lane: Lane): void {
  for (;;) {
    const end = lane.next < lane.received ? rangeEnd(lane.cancelled, lane.next) : undefined
    if (end === undefined) break
    addRange(lane.passedOver, lane.next, Math.min(end, lane.received))
    lane.next = Math.min(end, lane.received)
  }
  const outcomes: Outcome[] = []
  let end = rangeEnd(lane.passedOver, lane.head)
  const from = lane.head
  while (end !== undefined) {
    const outcome: Outcome = { kind: 'skipped', count: Math.min(end, lane.received) - lane.head }
    outcomes.push(outcome)
    lane.settle(outcome)
    end = rangeEnd(lane.passedOver, lane.head)
  }
  settle(state, lane, from, outcomes)
}

/** Sends as much of the lane to its executor as should be there. */
export function pump(state: MachineState, lane: Lane): void {
  const { executor } = lane
  passOver(state, lane)
  if (executor?.state !== 'ready' || lane.stalled || outcomesFull(state)) return
  if (lane.next > lane.head && state.nowMs >= lane.contactMs + tuning.silenceMs) return
  while (lane.next < lane.received) {
    const suspect = lane.next < lane.suspectUntil
    const { size, window } = suspect ? { size: 1, window: 1 } : ahead(state, lane)
    if (atExecutor(lane) >= window) return
    send(state, lane, executor, size)
    passOver(state, lane)
  }
}

function outcomesFull(state: MachineState): boolean {
  let bytes = 0
  for (const lane of state.lanes.values()) bytes += lane.outcomeBytes
  return bytes >= tuning.unacknowledgedBytesMax
}

function send(state: MachineState, lane: Lane, executor: Executor, size: number): void {
  const segment = lane.segmentAt(lane.next)
  const end = Math.min(lane.next + size, segment.start + segment.count, nextRangeStart(lane.cancelled, lane.next))
  const position = lane.next - segment.start
  const first = atExecutor(lane) === 0
  state.out.push({
    kind: 'send',
    executor: executor.id,
    batch: {
      lane: lane.id,
      from: lane.next,
      generation: lane.generation,
      epoch: segment.epoch,
      task: lane.plan.task,
      timeoutMs: lane.plan.timeoutMs,
      runs: lane.runsBetween(lane.next, end),
      items: segment.chunk.slice(position, end - lane.next),
    },
  })
  lane.next = end
  lane.contactMs = state.nowMs
  // A shared executor may be busy with another lane: it says itself when the task starts.
  if (first && executor.kind.lanesMax === 1) startClock(state, lane)
  wakeBy(state, state.nowMs + tuning.silenceMs)
}

/** Tasks that were sent and have no outcome. */
export function atExecutor(lane: Lane): number {
  let count = lane.next - lane.head
  for (const range of lane.passedOver) count -= range.to - range.from
  return count
}

/** The first unreported task runs from now on. */
export function startClock(state: MachineState, lane: Lane): void {
  lane.runningSinceMs = state.nowMs
  if (rangeEnd(lane.cancelled, lane.head) !== undefined) wakeBy(state, state.nowMs + tuning.graceMs)
  if (lane.plan.timeoutMs > 0) wakeBy(state, deadline(lane))
}

/** When the running task must have ended: its timeout and the grace, from the latest moment at which it can have started. */
export function deadline(lane: Lane): number {
  if (lane.plan.timeoutMs === 0 || lane.runningSinceMs === undefined) return Number.POSITIVE_INFINITY
  return lane.runningSinceMs + tuning.startSlackMs + lane.plan.timeoutMs + tuning.graceMs
}

function estimateKey(lane: Lane): string {
  return `${lane.plan.program}:${lane.plan.task}`
}

/** How many tasks a batch should hold, and how many may be at the executor before none is sent. */
function ahead(state: MachineState, lane: Lane): { size: number; window: number } {
  const micros = state.estimates.get(estimateKey(lane))
  if (micros === undefined || micros > tuning.aheadMsMax * 1000) return { size: 1, window: 1 }
  const size = Math.max(1, Math.min(limits.chunkTasksMax, Math.floor((tuning.batchMs * 1000) / Math.max(micros, 0.1))))
  return { size, window: Math.max(2, size * 2) }
}

/** Learns from finished tasks how long they take. */
export function learn(state: MachineState, lane: Lane, outcomes: readonly Outcome[]): void {
  let micros = 0
  let count = 0
  for (const outcome of outcomes) {
    const elapsed = outcomeMicros(outcome)
    if (elapsed === undefined) continue
    micros += elapsed
    count += outcomeTasks(outcome)
  }
  if (count === 0) return
  const key = estimateKey(lane)
  const before = state.estimates.get(key)
  const seen = micros / count
  // Longer is learned at once, shorter step by step: one task too many sent ahead costs more than one too few.
  const estimate = before === undefined || seen > before ? seen : before * 0.5 + seen * 0.5
  state.estimates.delete(key)
  state.estimates.set(key, estimate)
  if (state.estimates.size > tuning.estimatesMax) state.estimates.delete(state.estimates.keys().next().value!)
}

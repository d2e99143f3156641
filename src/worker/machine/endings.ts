// Owns how tasks and executors end badly: deadlines, limits, kills, and whose fault the death of an executor was.
// Must not send new work.
import type { Outcome } from '../../protocol/index.ts'
import type { ExecutorExit, Failure } from './events.ts'
import { atExecutor, deadline, unbind } from './feeding.ts'
import type { Lane } from './lane.ts'
import { rangeEnd } from './ranges.ts'
import { settle } from './reporting.ts'
import { type Executor, failed, type KillCause, type MachineState, wakeBy } from './state.ts'
import { tuning } from './tuning.ts'

const mebibyte = 2 ** 20

/** Ends an executor with its whole process group: politely first, except where it is a danger or nobody waits for it. */
export function kill(state: MachineState, executor: Executor, cause: KillCause): void {
  if (executor.state === 'ending') return
  executor.state = 'ending'
  executor.cause = cause
  const atOnce = cause.kind === 'memory' || cause.kind === 'processes' || cause.kind === 'drop'
  state.out.push({ kind: 'signal', executor: executor.id, signal: atOnce ? 'SIGKILL' : 'SIGTERM' })
  executor.killAtMs = atOnce ? Number.POSITIVE_INFINITY : state.nowMs + tuning.killAfterTermMs
  if (!atOnce) wakeBy(state, executor.killAtMs)
}

/** SIGKILL for those that did not end on SIGTERM, an end for those that load for ever. */
export function escalate(state: MachineState): void {
  for (const executor of state.executors.values()) {
    if (executor.state === 'ending' && state.nowMs >= executor.killAtMs) {
      executor.killAtMs = Number.POSITIVE_INFINITY
      state.out.push({ kind: 'signal', executor: executor.id, signal: 'SIGKILL' })
    } else if (executor.state === 'ending') {
      if (executor.killAtMs < Number.POSITIVE_INFINITY) wakeBy(state, executor.killAtMs)
    } else if (executor.state === 'starting') {
      if (state.nowMs >= executor.startedAtMs + tuning.loadMsMax) kill(state, executor, { kind: 'load' })
      else wakeBy(state, executor.startedAtMs + tuning.loadMsMax)
    }
  }
}

/** Kills executors whose running task is past its deadline, or was cancelled and does not end. */
export function enforceDeadlines(state: MachineState, lane: Lane): void {
  const { executor } = lane
  if (executor?.state !== 'ready' || atExecutor(lane) === 0) return
  if (rangeEnd(lane.cancelled, lane.head) !== undefined) {
    const atMs = Math.max(lane.cancelledAtMs, lane.runningSinceMs ?? 0) + tuning.graceMs
    if (state.nowMs >= atMs) kill(state, executor, { kind: 'cancel', lane, number: lane.head })
    else wakeBy(state, atMs)
  }
  const atMs = deadline(lane)
  if (state.nowMs >= atMs) kill(state, executor, { kind: 'timeout', lane, number: lane.head })
  else if (atMs < Number.POSITIVE_INFINITY) wakeBy(state, atMs)
}

/** Holds a sample of an executor's process group against its limits. */
export function sampled(state: MachineState, executor: Executor, rssBytes: number, processes: number): void {
  if (executor.state === 'ending') return
  const limitBytes = executor.kind.memoryBytes * tuning.memoryFactor + tuning.memoryBaselineBytes
  // Many processes just forked look like much memory too: what they are is told.
  if (processes > tuning.processesMax) kill(state, executor, { kind: 'processes', count: processes })
  else if (rssBytes > limitBytes) kill(state, executor, { kind: 'memory', rssBytes, limitBytes })
}

/** All unreported tasks of the lane fail for one reason: its program cannot be run. */
export function failLane(state: MachineState, lane: Lane, failure: Failure): void {
  const from = lane.head
  const outcomes: Outcome[] = []
  unbind(state, lane)
  while (lane.head < lane.received) {
    const cancelled = rangeEnd(lane.cancelled, lane.head) !== undefined
    // The same stack thousands of times is of no use to anyone.
    const outcome: Outcome = cancelled ? { kind: 'skipped', count: 1 } : failed(outcomes.length === 0 ? failure : { ...failure, stack: '' })
    outcomes.push(outcome)
    lane.settle(outcome)
  }
  settle(state, lane, from, outcomes)
}

/** A process ended: finds whose fault it was, gives that task its outcome, and takes the others back. */
export function executorEnded(state: MachineState, executor: Executor, exit: ExecutorExit): void {
  state.executors.delete(executor.id)
  const lanes = [...executor.lanes]
  const loading = !executor.loaded
  executor.state = 'ending'
  if (!exit.started) {
    state.startNotBeforeMs = state.nowMs + tuning.startAgainMs
  } else if (loading && (executor.cause === undefined || executor.cause.kind !== 'drop')) {
    for (const lane of lanes) failLane(state, lane, loadFailure(executor, exit))
  } else {
    blame(state, executor, exit, lanes)
  }
  for (const lane of lanes) unbind(state, lane)
}

function loadFailure(executor: Executor, exit: ExecutorExit): Failure {
  const late = executor.cause?.kind === 'load'
  const message = late
    ? `The program had not loaded after ${tuning.loadMsMax / 1000} s.`
    : `The executor process ended (${exit.how}) while the program loaded.`
  return { code: 'PROGRAM_LOAD_FAILED', message, stack: exit.lastWords, retryable: false }
}

function blame(state: MachineState, executor: Executor, exit: ExecutorExit, lanes: readonly Lane[]): void {
  const { cause } = executor
  const running = lanes.filter(lane => atExecutor(lane) > 0)
  if (cause?.kind === 'timeout' || cause?.kind === 'cancel') {
    if (cause.lane.executor !== executor || cause.lane.head !== cause.number) return
    if (atExecutor(cause.lane) > 1) suspect(cause.lane)
    else endHead(state, cause.lane, cause.kind === 'cancel' ? undefined : timedOut(cause.lane))
    return
  }
  if (cause?.kind === 'drop' || cause?.kind === 'idle' || cause?.kind === 'load') return
  const { exiting } = executor
  if (exiting) {
    const named = running.find(lane => lane.id === exiting.lane && lane.head === exiting.number)
    if (named) endHead(state, named, death(executor, exit))
    return
  }
  const guilty = running.length === 1 && atExecutor(running[0]!) === 1 ? running[0] : undefined
  if (guilty) endHead(state, guilty, death(executor, exit))
  // One of these killed it, nobody knows which: each runs again, alone, so that the guilty one is found and no other pays.
  for (const lane of running) if (lane !== guilty) suspect(lane)
}

/** What the lane had at the executor runs again one by one, and alone. */
function suspect(lane: Lane): void {
  lane.suspectUntil = Math.max(lane.suspectUntil, lane.next)
}

/** Gives the first unreported task its bad end; without a failure it is skipped. */
function endHead(state: MachineState, lane: Lane, failure: Failure | undefined): void {
  const cancelled = rangeEnd(lane.cancelled, lane.head) !== undefined
  const outcome: Outcome =
    failure && !cancelled ? { ...failed(failure), elapsedMicros: elapsed(state, lane) } : { kind: 'skipped', count: 1 }
  const from = lane.head
  lane.rewind()
  lane.settle(outcome)
  settle(state, lane, from, [outcome])
}

function elapsed(state: MachineState, lane: Lane): number {
  return Math.round((state.nowMs - (lane.runningSinceMs ?? lane.contactMs)) * 1000)
}

function timedOut(lane: Lane): Failure {
  const message = `It had ${lane.plan.timeoutMs} ms and was killed ${tuning.graceMs} ms after its signal was aborted.`
  return { code: 'TASK_TIMEOUT', message, stack: '', retryable: true }
}

function death(executor: Executor, exit: ExecutorExit): Failure {
  const { cause } = executor
  const end = { stack: exit.lastWords, retryable: true }
  if (cause?.kind === 'memory') {
    const message = `Its processes held ${Math.round(cause.rssBytes / mebibyte)} MiB where ${Math.round(cause.limitBytes / mebibyte)} MiB are allowed.`
    return { ...end, code: 'TASK_OUT_OF_MEMORY', message }
  }
  if (cause?.kind === 'processes') {
    return {
      ...end,
      code: 'TASK_CRASHED',
      message: `It had ${cause.count} processes where ${tuning.processesMax} are allowed, and was killed.`,
    }
  }
  if (exit.heapFull) return { ...end, code: 'TASK_OUT_OF_MEMORY', message: `Its JavaScript heap of ${executor.kind.heapMiB} MiB was full.` }
  return { ...end, code: 'TASK_CRASHED', message: `Its executor process ended (${exit.how}).` }
}

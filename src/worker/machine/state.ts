// Owns the state of a worker's machine: its lanes, executors and what it knows of programs and durations.
// Must not hold decisions.
import type { LaneId, ProgramId, StagePlan } from '../../protocol/index.ts'
import type { ExecutorId, Failure, Instruction } from './events.ts'
import type { Lane } from './lane.ts'
import { tuning } from './tuning.ts'

/** What a machine must know of its node. */
export interface MachineOptions {
  /** Executor processes at the same time. */
  slots: number
  /** Memory of the node, above which no shared executor's heap goes. */
  memoryBytes: number
}

/** Why the agent ends an executor. */
export type KillCause =
  | { kind: 'timeout' | 'cancel'; lane: Lane; number: number }
  | { kind: 'memory'; rssBytes: number; limitBytes: number }
  | { kind: 'processes'; count: number }
  /** It takes too long to load, it is not needed, or what it ran is not wanted any more. */
  | { kind: 'load' | 'idle' | 'drop' }

/** What an executor can run: tasks of one program, with one heap size, so many lanes at once. */
export interface ExecutorKind {
  key: string
  program: ProgramId
  heapMiB: number
  memoryBytes: number
  lanesMax: number
  /** Its tasks take less than one cpu. */
  fractional: boolean
}

export interface Executor {
  readonly id: ExecutorId
  readonly kind: ExecutorKind
  state: 'starting' | 'ready' | 'ending'
  /** Program loaded at least once: a death before this is a death while loading. */
  loaded: boolean
  lanes: Set<Lane>
  startedAtMs: number
  idleSinceMs: number
  cause: KillCause | undefined
  killAtMs: number
  /** The task that ended the process by its own call. */
  exiting: { lane: LaneId; number: number } | undefined
}

export interface MachineState {
  readonly options: MachineOptions
  readonly lanes: Map<LaneId, Lane>
  readonly executors: Map<ExecutorId, Executor>
  readonly programs: Map<ProgramId, 'fetching' | 'ready'>
  /** Microseconds per task, by kind of task. */
  readonly estimates: Map<string, number>
  registered: boolean
  draining: boolean
  drainedTold: boolean
  executorSerial: number
  startNotBeforeMs: number
  wakeAtMs: number
  nowMs: number
  out: Instruction[]
}

export function createState(options: MachineOptions): MachineState {
  return {
    options,
    lanes: new Map(),
    executors: new Map(),
    programs: new Map(),
    estimates: new Map(),
    registered: false,
    draining: false,
    drainedTold: false,
    executorSerial: 0,
    startNotBeforeMs: 0,
    wakeAtMs: Number.POSITIVE_INFINITY,
    nowMs: 0,
    out: [],
  }
}

/** Asks for a tick at this time, unless an earlier one is on its way. */
export function wakeBy(state: MachineState, atMs: number): void {
  if (atMs >= state.wakeAtMs) return
  state.wakeAtMs = atMs
  state.out.push({ kind: 'wake', atMs })
}

/** Which executor tasks of this plan need; `alone`: one that runs nothing beside it. */
export function executorKind(plan: StagePlan, alone: boolean, options: MachineOptions): ExecutorKind {
  const { cpuMillis, memoryBytes } = plan.resources
  const asked = memoryBytes || tuning.memoryBytesDefault
  const sharing = cpuMillis < 1000 ? Math.min(tuning.sharedLanesMax, Math.floor(1000 / Math.max(1, cpuMillis))) : 1
  const lanesMax = alone ? 1 : sharing
  const together = Math.max(asked, Math.min(asked * lanesMax, options.memoryBytes))
  const heapMiB = Math.max(tuning.heapMiBMin, Math.floor(together / 2 ** 20))
  return {
    key: `${plan.program}:${heapMiB}:${lanesMax}`,
    program: plan.program,
    heapMiB,
    memoryBytes: together,
    lanesMax,
    fractional: cpuMillis < 1000,
  }
}

/** A failure as an outcome of a task that took no measured time. */
export function failed(failure: Failure): {
  kind: 'failed'
  code: string
  message: string
  stack: string
  retryable: boolean
  elapsedMicros: number
} {
  return { kind: 'failed', ...failure, elapsedMicros: 0 }
}

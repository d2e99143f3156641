// Owns the language of a worker's machine: what it is told, and what it tells its shell to do.
// Must not hold behaviour.
import type { Chunk, ErrorCode, JobId, LaneId, Outcome, ProgramId, Range, Run, StagePlan } from '../../protocol/index.ts'
import type { NumberRange } from './ranges.ts'

/** Number of an executor within the life of its agent; never used twice. */
export type ExecutorId = number

/** Why a task, or all tasks of a lane, failed. */
export interface Failure {
  code: ErrorCode
  message: string
  stack: string
  retryable: boolean
}

/** How an executor's process ended. */
export interface ExecutorExit {
  /** False: its process could not be started at all. */
  started: boolean
  /** `code 3`, `SIGSEGV`, or why it could not be started. */
  how: string
  /** Its last words say that the heap was full. */
  heapFull: boolean
  /** The end of what it wrote to stderr itself. */
  lastWords: string
}

export type MachineEvent =
  // from the leader, epochs and incarnation checked
  | {
      kind: 'assigned'
      epoch: number
      lane: LaneId
      plan?: StagePlan | undefined
      runs: Run[]
      /** Together they hold the inputs of the runs, in order. */
      inputs: Chunk[]
    }
  | { kind: 'cancelled'; lane: LaneId; job: JobId; stage?: number | undefined; ranges: Range[] }
  | { kind: 'acknowledged'; lanes: { lane: LaneId; count: number }[] }
  | { kind: 'registered'; keep: { lane: LaneId; tasks: number }[] }
  | { kind: 'disconnected' }
  | { kind: 'dismissed' }
  /** Take no new work, give back what has not started. */
  | { kind: 'draining' }
  // from the agent's own stores
  | { kind: 'programReady'; program: ProgramId }
  | { kind: 'programFailed'; program: ProgramId; failure: Failure }
  // from executors
  | { kind: 'executorReady'; executor: ExecutorId }
  | { kind: 'loadFailed'; executor: ExecutorId; failure: Failure }
  | { kind: 'outcomes'; executor: ExecutorId; lane: LaneId; from: number; outcomes: Outcome[] }
  /** Nothing of the lane from this number on was started, in batches of up to this generation. */
  | { kind: 'yielded'; executor: ExecutorId; lane: LaneId; from: number; generation: number }
  /** User code of the lane's task runs from now on, or has stopped running (its input or result is being moved). */
  | { kind: 'clock'; executor: ExecutorId; lane: LaneId; running: boolean }
  /** The process ends because of this task (it called process.exit). */
  | { kind: 'exiting'; executor: ExecutorId; lane: LaneId; number: number }
  | { kind: 'executorEnded'; executor: ExecutorId; exit: ExecutorExit }
  /** What its process group holds. */
  | { kind: 'sampled'; executor: ExecutorId; rssBytes: number; processes: number }
  /** The time asked for by `wake` has come. */
  | { kind: 'tick' }

/** What executors say. */
export type ExecutorEvent = Extract<MachineEvent, { executor: ExecutorId }>

/** Tasks in a row of one lane, as an executor gets them. */
export interface Batch {
  lane: LaneId
  /** Number within its lane of the first task. */
  from: number
  generation: number
  epoch: number
  task: string
  timeoutMs: number
  /** Which tasks they are. */
  runs: Run[]
  items: Uint8Array
}

export type Instruction =
  // to the leader
  | { kind: 'report'; lane: LaneId; from: number; outcomes: Outcome[] }
  | { kind: 'returnTasks'; lane: LaneId; from: number }
  // to the agent's stores
  | { kind: 'fetchProgram'; program: ProgramId }
  // to executors
  | { kind: 'start'; executor: ExecutorId; program: ProgramId; heapMiB: number; shared: boolean }
  | { kind: 'send'; executor: ExecutorId; batch: Batch }
  /** Abort the running one of these tasks and skip the others. */
  | { kind: 'cancel'; executor: ExecutorId; lane: LaneId; ranges: NumberRange[] }
  /** Nothing of this lane is wanted from it any more; `idle`: it has nothing of it. */
  | { kind: 'forget'; executor: ExecutorId; lane: LaneId; idle: boolean }
  /** Signal the whole process group. */
  | { kind: 'signal'; executor: ExecutorId; signal: 'SIGTERM' | 'SIGKILL' }
  /** Send `tick` at this time; it replaces a later one. */
  | { kind: 'wake'; atMs: number }
  /** Draining is over: there are no lanes any more. */
  | { kind: 'drained' }

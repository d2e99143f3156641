// Owns every message between agent and executor, which travel over the executor's fd 3.
// Must not hold behaviour; docs/decisions/0003-lanes.md says what the rules about starting and giving back are for.
import {
  boolean,
  bytes,
  float64,
  hashField,
  type Infer,
  jobIdField,
  limits,
  list,
  logLine,
  nameField,
  optional,
  outcome,
  runs,
  string,
  struct,
  union,
  varint,
} from '../../protocol/index.ts'

const path = string(16 << 10)

/** From an agent to one of its executors. */
export const toExecutor = union({
  /** First frame: which program to load, and where things are. */
  setup: [
    1,
    struct({
      worker: nameField,
      program: hashField,
      programPath: path,
      /** Folder of the worker's blocks. */
      blocks: path,
      /** Folder from which packages are resolved that the program does not contain. */
      modules: path,
      /** Several lanes run here at once. */
      shared: boolean,
    }),
  ],
  /** Tasks in a row of one lane: see machine/events.ts. */
  batch: [
    2,
    struct({
      lane: varint,
      from: varint,
      generation: varint,
      epoch: varint,
      task: nameField,
      timeoutMs: varint,
      runs,
      items: bytes(limits.frameBytesMax),
    }),
  ],
  /** Abort the running one of these tasks, skip the others. Ranges of numbers within the lane, `to` excluded. */
  cancel: [3, struct({ lane: varint, ranges: list(struct({ from: varint, to: varint })) })],
  /** Nothing of this lane is wanted any more. */
  forget: [4, struct({ lane: varint })],
  /** The block is in this file. */
  blockReady: [5, struct({ block: hashField, path })],
  blockFailed: [6, struct({ block: hashField, code: nameField, message: string(4096) })],
  /** The worker stops: abort what runs; what fails from now on is not reported. */
  /** Answer to needSecret; without a value there is an error. */
  secret: [8, struct({ request: varint, value: optional(bytes(limits.secretBytesMax)), code: nameField, message: string(4096) })],
  stop: [7, struct({ reason: string(1024) })],
})
export type ToExecutor = Infer<typeof toExecutor>
export type BatchFrame = Extract<ToExecutor, { kind: 'batch' }>
export type SetupFrame = Extract<ToExecutor, { kind: 'setup' }>

/** From an executor to its agent. */
export const fromExecutor = union({
  /** The program is loaded. */
  ready: [1, struct({})],
  loadFailed: [2, struct({ code: nameField, message: string(4096), stack: string(limits.errorBytesMax) })],
  outcomes: [3, struct({ lane: varint, from: varint, outcomes: list(outcome) })],
  /** Nothing of the lane from this number on was started, in batches of up to this generation. */
  yielded: [4, struct({ lane: varint, from: varint, generation: varint })],
  /** User code of the lane runs, or does not (its input or result is being moved). */
  clock: [5, struct({ lane: varint, running: boolean })],
  /** The process ends because of this task. */
  exiting: [6, struct({ lane: varint, number: varint })],
  logs: [7, struct({ lines: list(logLine), dropped: varint })],
  progress: [8, struct({ job: jobIdField, stage: varint, index: varint, fraction: float64, note: string(1024) })],
  /** An input's block is not in the worker's folder: fetch it from its holder. */
  /** A task of the lane asks for a secret. */
  needSecret: [10, struct({ request: varint, lane: varint, job: jobIdField, stage: varint, secret: nameField })],
  needBlock: [9, struct({ block: hashField, bytes: varint, holder: nameField })],
})
export type FromExecutor = Infer<typeof fromExecutor>

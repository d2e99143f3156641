// Owns the outcomes of one lane that wait to be sent to the agent, as results are appended to a chunk.
// Must not run user code, but for getters of results while they are encoded.
import {
  ChunkWriter,
  CoxswainError,
  itemInline,
  limits,
  type Outcome,
  type Run,
  type TaskBlock,
  writeBlockItem,
  writeValue,
} from '../../../protocol/index.ts'
import { clipText } from '../../text.ts'
import type { Attempt } from './attempt.ts'
import { looksLarge, storeBlock } from './blocks.ts'
import type { Commit } from './commit.ts'
import { redacted } from './redaction.ts'

const messageBytesMax = 4096

/** Why an attempt failed, as it will be reported. */
export interface AttemptFailure {
  code: string
  message: string
  stack: string
  retryable: boolean
}

/** A failure with texts cut to what may travel. */
export function attemptFailure(code: string, message: string, stack: string, retryable: boolean): AttemptFailure {
  return { code, message: clipText(redacted(message), messageBytesMax), stack: clipText(redacted(stack), limits.errorBytesMax), retryable }
}

/** What a workflow as a step was built into. */
export type Expansion = Pick<Extract<Outcome, { kind: 'expanded' }>, 'stages' | 'inputs' | 'flow' | 'policies'>

function microsFrom(startedAtMs: number, nowMs: number): number {
  return Math.max(0, Math.round((nowMs - startedAtMs) * 1000))
}

/** Appends a value that fits into a message; false, with nothing appended, if it must become a block. Throws VALUE_CANNOT_TRAVEL. */
function appendInline(chunk: ChunkWriter, value: unknown): boolean {
  if (looksLarge(value)) return false
  const writer = chunk.beginItem()
  const start = writer.length
  try {
    writer.byte(itemInline)
    writeValue(writer, value, 'result')
  } catch (error) {
    chunk.dropItem()
    throw error
  }
  if (writer.length - start - 1 > limits.inlineBytesMax) {
    chunk.dropItem()
    return false
  }
  chunk.endItem()
  return true
}

export class Outbox {
  readonly #chunk = new ChunkWriter()
  #blocks: TaskBlock[] = []
  /** The run of the first result in the chunk. */
  #firstRun: Run | undefined
  #outcomes: Outcome[] = []
  /** Number within the lane of the first outcome that waits. */
  #from: number
  #next: number
  /** Since when the time of the tasks in the chunk counts. */
  #sinceMs = 0

  constructor(from: number) {
    this.#from = from
    this.#next = from
  }

  /** Number of the task whose outcome comes next. */
  get next(): number {
    return this.#next
  }

  get empty(): boolean {
    return this.#next === this.#from
  }

  get bytes(): number {
    return this.#chunk.bytes
  }

  /** Goes on with another task number: what was between is no concern of this process. */
  startAt(number: number): void {
    this.#from = number
    this.#next = number
  }

  /** Says when the next task starts. */
  mark(nowMs: number): void {
    if (this.#chunk.count === 0) this.#sinceMs = nowMs
  }

  /** Appends a result that fits into the message; false, with nothing appended, if it must become a block. Throws VALUE_CANNOT_TRAVEL. */
  addInline(attempt: Attempt, value: unknown): boolean {
    // Which task a block is of is only clear among those of one run.
    if (this.#blocks.length > 0 && this.#firstRun !== attempt.run) this.separate(attempt.startedAtMs)
    if (!appendInline(this.#chunk, value)) return false
    this.#added(attempt)
    return true
  }

  /** A result was appended to the chunk. */
  #added({ run }: Attempt): void {
    if (this.#chunk.count === 1) this.#firstRun = run
    this.#next++
  }

  /** Writes a result as a block into the folder and appends its name. Throws VALUE_CANNOT_TRAVEL, or the system's error. */
  addBlock(attempt: Attempt, folder: string, value: unknown): void {
    const { block, bytes } = storeBlock(folder, value)
    if (this.#firstRun !== attempt.run) this.separate(attempt.startedAtMs)
    const writer = this.#chunk.beginItem()
    writeBlockItem(writer, { block, bytes, holder: attempt.worker })
    this.#chunk.endItem()
    this.#blocks.push({ index: attempt.index, block, bytes, holder: attempt.worker })
    this.#added(attempt)
  }

  /** Appends a list as the outcome of one task: each item inline, or as a block where it or all before it is too large. Throws as `addBlock` does. */
  addSpread(attempt: Attempt, folder: string, values: readonly unknown[], startedAtMs: number, nowMs: number): void {
    this.#closeChunk(startedAtMs)
    const chunk = new ChunkWriter()
    const blocks: TaskBlock[] = []
    for (const [index, value] of values.entries()) {
      if (chunk.bytes < limits.spreadBytesMax && appendInline(chunk, value)) continue
      const { block, bytes } = storeBlock(folder, value)
      writeBlockItem(chunk.beginItem(), { block, bytes, holder: attempt.worker })
      chunk.endItem()
      blocks.push({ index, block, bytes, holder: attempt.worker })
    }
    this.#outcomes.push({ kind: 'spread', items: chunk.finish(), blocks, elapsedMicros: microsFrom(startedAtMs, nowMs) })
    this.#next++
  }

  /** Appends what a workflow as a step was built into. */
  addExpanded(built: Expansion, startedAtMs: number, nowMs: number): void {
    this.#closeChunk(startedAtMs)
    this.#outcomes.push({ kind: 'expanded', ...built, elapsedMicros: microsFrom(startedAtMs, nowMs) })
    this.#next++
  }

  /** The next outcome stands for itself. */
  separate(startedAtMs: number): void {
    this.#closeChunk(startedAtMs)
    this.mark(startedAtMs)
  }

  /** What is to be done with the result that was appended last, which stands for itself. */
  commit(commit: Commit, nowMs: number): void {
    this.#closeChunk(nowMs)
    const outcome = this.#outcomes.pop()!
    if (outcome.kind !== 'finished' && outcome.kind !== 'spread' && outcome.kind !== 'expanded')
      throw new Error(`a task that ${outcome.kind} commits nothing`)
    this.#outcomes.push({ kind: 'committed', outcome, ...commit })
  }

  addFailure(failure: AttemptFailure, elapsedMs: number, nowMs: number): void {
    this.#closeChunk(nowMs - elapsedMs)
    this.#outcomes.push({ kind: 'failed', ...failure, elapsedMicros: Math.max(0, Math.round(elapsedMs * 1000)) })
    this.#next++
  }

  addSkipped(nowMs: number): void {
    this.#closeChunk(nowMs)
    const last = this.#outcomes[this.#outcomes.length - 1]
    if (last?.kind === 'skipped') last.count++
    else this.#outcomes.push({ kind: 'skipped', count: 1 })
    this.#next++
  }

  #closeChunk(nowMs: number): void {
    const { count } = this.#chunk
    if (count === 0) return
    const elapsedMicros = Math.max(0, Math.round((nowMs - this.#sinceMs) * 1000))
    this.#outcomes.push({ kind: 'finished', count, items: this.#chunk.finish(), blocks: this.#blocks, elapsedMicros })
    this.#blocks = []
  }

  /** Takes out all that waits. */
  take(nowMs: number): { from: number; outcomes: Outcome[] } {
    this.#closeChunk(nowMs)
    const taken = { from: this.#from, outcomes: this.#outcomes }
    this.#outcomes = []
    this.#from = this.#next
    return taken
  }
}

/** A result that cannot be reported, as a failure. */
export function resultFailure(error: unknown): AttemptFailure {
  const { message, stack } = error instanceof Error ? error : { message: String(error), stack: '' }
  const travels = error instanceof CoxswainError && error.code === 'VALUE_CANNOT_TRAVEL'
  if (travels) return attemptFailure('TASK_RESULT_INVALID', message, '', false)
  const code = (error as NodeJS.ErrnoException).code
  if (typeof code === 'string' && code.startsWith('E')) {
    return attemptFailure('TASK_FAILED', `The worker could not store the result (${code}): ${message}`, stack ?? '', true)
  }
  return attemptFailure('TASK_RESULT_INVALID', message, stack ?? '', false)
}

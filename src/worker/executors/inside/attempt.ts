// Owns one attempt at a task while it runs: its context, signal, log and progress.
// Must not decide what its outcome is.
import { CoxswainError, type ErrorCode, type Run } from '../../../protocol/index.ts'
import { clipText } from '../../text.ts'
import type { BatchFrame } from '../frames.ts'
import { addedTo, type Commit } from './commit.ts'
import { type AttemptFace, TaskContext } from './context.ts'
import type { Link } from './link.ts'
import { AttemptLog, type Output } from './output.ts'
import { redacted } from './redaction.ts'
import type { SecretQuestions } from './secrets.ts'

/** Progress is told at most so often; the latest word wins. */
const progressIntervalMs = 100
const noteBytesMax = 1024

/** What an attempt needs of its process. */
export interface AttemptHost {
  readonly link: Link
  readonly output: Output
  readonly worker: string
  readonly secrets: SecretQuestions
  /** The names of secrets that this task says it uses. */
  secretsOf(task: string): readonly string[]
}

export class Attempt implements AttemptFace {
  readonly host: AttemptHost
  readonly batch: BatchFrame
  readonly run: Run
  /** Number within the stage, and within the lane. */
  readonly index: number
  readonly laneNumber: number
  startedAtMs: number
  /** It has its outcome: what it still does is leftovers. */
  over = false
  reason: CoxswainError | undefined
  /** What is to be done with its result. */
  commits: Commit | undefined
  #controller: AbortController | undefined
  #log: AttemptLog | undefined
  #context: TaskContext | undefined
  #progressAtMs = 0
  #progressTimer: NodeJS.Timeout | undefined

  /** `position`: in the batch; `within`: in the run of it. */
  constructor(host: AttemptHost, batch: BatchFrame, position: number, { run, within }: { run: Run; within: number }, startedAtMs: number) {
    this.host = host
    this.batch = batch
    this.run = run
    this.index = run.first + within
    this.laneNumber = batch.from + position
    this.startedAtMs = startedAtMs
  }

  get context(): TaskContext {
    this.#context ??= new TaskContext(this)
    return this.#context
  }

  get job(): string {
    return this.run.job
  }

  get stage(): number {
    return this.run.stage
  }

  get number(): number {
    return this.run.attempt
  }

  get epoch(): number {
    return this.batch.epoch
  }

  get worker(): string {
    return this.host.worker
  }

  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController()
      if (this.reason) this.#controller.abort(this.reason)
    }
    return this.#controller.signal
  }

  get log(): AttemptLog {
    this.#log ??= new AttemptLog({ job: this.job, stage: this.stage, index: this.index, number: this.number })
    return this.#log
  }

  /** Aborts its signal; the first reason stands. */
  abort(code: ErrorCode, message: string): void {
    if (this.reason) return
    this.reason = new CoxswainError(code, message)
    this.#controller?.abort(this.reason)
  }

  write(stream: 'log' | 'system', text: string): void {
    for (const line of text.split('\n')) this.host.output.line(this.log, stream, line)
    if (this.over) this.host.output.end(this.log)
  }

  progress(fraction: number, note: string): void {
    if (this.over) return
    const now = performance.now()
    if (this.#progressTimer) clearTimeout(this.#progressTimer)
    this.#progressTimer = undefined
    if (now - this.#progressAtMs < progressIntervalMs) {
      this.#progressTimer = setTimeout(() => this.progress(fraction, note), progressIntervalMs)
      return
    }
    this.#progressAtMs = now
    const share = Number.isFinite(fraction) ? Math.min(1, Math.max(0, fraction)) : 0
    const { job, stage, index } = this
    this.host.link.send({ kind: 'progress', job, stage, index, fraction: share, note: clipText(redacted(String(note)), noteBytesMax) })
  }

  commit(changes: unknown): void {
    if (this.over) throw new CoxswainError('INVALID_ARGUMENT', 'ctx.commit: the task has its outcome already.')
    this.commits = addedTo(this.commits, changes)
  }

  async secret(name: string): Promise<string> {
    const { lane, task } = this.batch
    if (!this.host.secretsOf(task).includes(name))
      throw new CoxswainError(
        'SECRET_UNDECLARED',
        `Task ${task} asks for the secret ${JSON.stringify(name)}, which its definition does not name.`,
        { id: name },
      )
    return this.host.secrets.ask(lane, this.job, this.stage, name)
  }

  /** It has its outcome. */
  end(): void {
    this.over = true
    if (this.#log) this.host.output.end(this.#log)
    if (this.#progressTimer) clearTimeout(this.#progressTimer)
  }
}

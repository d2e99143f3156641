// Owns what user code gets as `ctx`. Everything in it is made when it is first touched: most tasks touch nothing.
// Must not know how attempts are run or reported.
import { taskText } from '../../../protocol/index.ts'

/** What the context asks of the attempt it belongs to. */
export interface AttemptFace {
  readonly job: string
  readonly stage: number
  readonly index: number
  readonly number: number
  readonly epoch: number
  readonly worker: string
  readonly signal: AbortSignal
  write(stream: 'log', text: string): void
  progress(fraction: number, note: string): void
  commit(changes: unknown): void
  secret(name: string): Promise<string>
}

/** Attempts of one epoch: fencing tokens of a higher epoch are above all of these. */
const attemptsPerEpoch = 2 ** 20

/** Writes lines to the task's log; also callable itself, for `info`. */
export interface TaskLog {
  (...parts: unknown[]): void
  info(...parts: unknown[]): void
  warn(...parts: unknown[]): void
  error(...parts: unknown[]): void
}

/** The context of one attempt, as its user code sees it. */
export class TaskContext {
  readonly #attempt: AttemptFace
  #log: TaskLog | undefined

  constructor(attempt: AttemptFace) {
    this.#attempt = attempt
  }

  /** Aborted when the task is cancelled, is past its timeout, or its worker stops; the reason is a CoxswainError. */
  get signal(): AbortSignal {
    return this.#attempt.signal
  }

  /** Writes to the task's log: `ctx.log('…')`, `ctx.log.warn('…')`. */
  get log(): TaskLog {
    this.#log ??= createLog(this.#attempt)
    return this.#log
  }

  /** Tells whoever watches the job how far this task is: a fraction from 0 to 1, and a word about it. */
  progress(fraction: number, note = ''): void {
    this.#attempt.progress(fraction, note)
  }

  /** Writes entries and submits jobs with the task's result, or not at all. Throws INVALID_ARGUMENT or VALUE_CANNOT_TRAVEL. */
  commit(changes: unknown): void {
    this.#attempt.commit(changes)
  }

  /** The secret of this name as text, asked for at each call. Rejects with SECRET_UNDECLARED, SECRET_UNKNOWN, FORBIDDEN or SECRETS_UNAVAILABLE. */
  secret(name: string): Promise<string> {
    return this.#attempt.secret(name)
  }

  /** Which attempt at the task this is, from 1. */
  get attempt(): number {
    return this.#attempt.number
  }

  /** Id of the job. */
  get job(): string {
    return this.#attempt.job
  }

  /** The task's name within the cluster: `job/index`, or `job/stage/index`. */
  get task(): string {
    return taskText(this.#attempt.job, this.#attempt.stage, this.#attempt.index, this.#attempt.stage === 0 ? 1 : 2)
  }

  /** A number that only grows from attempt to attempt: whoever is written to can refuse an older one. */
  get fencingToken(): number {
    return this.#attempt.epoch * attemptsPerEpoch + this.#attempt.number
  }

  /** Name of the worker this runs on. */
  get worker(): string {
    return this.#attempt.worker
  }
}

function createLog(attempt: AttemptFace): TaskLog {
  const line =
    (mark: string) =>
    (...parts: unknown[]): void =>
      attempt.write('log', mark + parts.map(textOf).join(' '))
  return Object.assign(line(''), { info: line(''), warn: line('[warn] '), error: line('[error] ') })
}

function textOf(part: unknown): string {
  if (typeof part === 'string') return part
  if (part instanceof Error) return part.stack ?? part.message
  try {
    return JSON.stringify(part) ?? String(part)
  } catch {
    return String(part)
  }
}

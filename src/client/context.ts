// Owns the type of what a running task is given besides its input. The executor makes it.
// Must not hold behaviour.

/** Writes lines to the task's log, as the `console` methods do. */
export interface TaskLog {
  (...values: unknown[]): void
  info(...values: unknown[]): void
  warn(...values: unknown[]): void
  error(...values: unknown[]): void
}

/** The second argument of `run`. */
export interface TaskContext {
  /** Aborts when the task is cancelled, is over its timeout, or its worker drains; the reason is a CoxswainError. */
  readonly signal: AbortSignal
  /** Writes to the log of this attempt: `cox logs JOB`. */
  readonly log: TaskLog
  /** Tells how far the task is, from 0 to 1, with a short note. */
  progress(fraction: number, note?: string): void
  /** Which try this is, counted from 1. */
  readonly attempt: number
  /** The id of the job. */
  readonly job: string
  /** `job/index`, as `cox story` takes it. */
  readonly task: string
  /** Grows with every attempt of this task: give it to what you write to, so that it can refuse an older attempt. */
  readonly fencingToken: number
  /** The worker that runs this. */
  readonly worker: string
}

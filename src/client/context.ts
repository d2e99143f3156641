// Owns the type of what a running task is given besides its input. The executor makes it.
// Must not hold behaviour.
import type { TaskOf } from './define.ts'
import type { WorkflowOf } from './flow/workflow.ts'

/** Writes lines to the task's log, as the `console` methods do. */
export interface TaskLog {
  (...values: unknown[]): void
  info(...values: unknown[]): void
  warn(...values: unknown[]): void
  error(...values: unknown[]): void
}

/** What happens together with the result of a task. */
export interface CommitChanges {
  /** Entries of `cluster.state(space)`: without `value` one is deleted; with `version` it must still be of that, 0: not there. */
  state?: readonly { space: string; key: string; value?: unknown; version?: number }[]
  /** Workflows to be told something, as `cluster.signal` does. */
  signal?: readonly { job: string; name: string; payload?: unknown; id?: string }[]
  /** Tasks and workflows of the same program to be submitted. `id` as in `cluster.submit`. */
  submit?: readonly {
    // biome-ignore lint/suspicious/noExplicitAny: tasks of any input
    task: TaskOf<any, unknown> | WorkflowOf<any, unknown>
    input?: unknown
    id?: string
    labels?: readonly string[]
    priority?: number
  }[]
}

/** The second argument of `run`. */
export interface TaskContext {
  /** Aborts when the task is cancelled, is over its timeout, or its worker drains; the reason is a CoxswainError. */
  readonly signal: AbortSignal
  /** Writes to the log of this attempt: `cox logs JOB`. */
  readonly log: TaskLog
  /** Tells how far the task is, from 0 to 1, with a short note. */
  progress(fraction: number, note?: string): void
  /**
   * Asks for changes that are made together with the result of this task, or not at all: if the attempt fails, is lost or comes too late, nothing of it
   * happens. May be called several times before the task returns. An entry that is not of the `version` that is named fails the attempt with
   * TRANSACTION_CONFLICT, which is retried. Throws INVALID_ARGUMENT or VALUE_CANNOT_TRAVEL.
   */
  commit(changes: CommitChanges): void
  /**
   * The secret of this name, as `cox secret set` stored it; the definition of the task must name it in `secrets`. Asked for at each call, so that a new value
   * counts at once. It is taken out of what the task logs and of its errors; what it returns is its own affair. Rejects with SECRET_UNDECLARED,
   * SECRET_UNKNOWN, FORBIDDEN (the secret is for other tasks) or SECRETS_UNAVAILABLE.
   */
  secret(name: string): Promise<string>
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

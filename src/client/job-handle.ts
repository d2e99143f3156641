// Owns a job as its user holds it: outcome, state, events, logs, cancel. It needs nothing but the job's id.
// Must not release results: whoever holds the id may ask again, until the job's retention is over.
import type { JobView, LogLine, StepView } from '../protocol/index.ts'
import { flowResult } from './flow/flow-result.ts'
import { readStep } from './flow/read-step.ts'
import { JobWaiting, jobView, outcomesInOrder } from './job-waiting.ts'
import type { Parts } from './parts.ts'
import { orAborted } from './pause.ts'
import { BoundedQueue } from './queue.ts'
import { type RerunOptions, rerun } from './rerun.ts'

/** What `events` tells of a job. */
export type JobEvent =
  | { readonly kind: 'state'; readonly state: JobView['state']; readonly reason: string }
  | { readonly kind: 'progress'; readonly index: number; readonly fraction: number; readonly note: string }

/** Options of `logs`. */
export interface LogsOptions {
  /** True: also the lines to come, until the job ends. */
  follow?: boolean
  /** Only this task of the job. */
  index?: number
  signal?: AbortSignal
}

/** Progress that nobody took is dropped beyond this; changes of state are not. */
const eventsMax = 1000
const logLinesMax = 10_000

/** What is known of a job: it has one task, it is a workflow, or it may be anything. */
type JobKind = 'task' | 'workflow' | 'unknown'

/** A job of the cluster. */
export class JobHandle<Output = unknown> {
  /** The job's id. */
  readonly id: string
  readonly #parts: Parts
  readonly #kind: JobKind

  /** @internal */
  constructor(parts: Parts, id: string, kind: JobKind) {
    this.#parts = parts
    this.id = id
    this.#kind = kind
  }

  /**
   * The job's result, once it has one: the task's value, the workflow's, or all values in order where the job is an array of tasks.
   * Rejects with TaskFailedError (the first one of several), TASK_CANCELLED, RESULT_GONE or NOT_FOUND.
   */
  async result(options: { signal?: AbortSignal } = {}): Promise<Output> {
    const { signal } = options
    signal?.throwIfAborted()
    const view = this.#kind === 'task' ? undefined : this.#kind === 'workflow' ? ('workflow' as const) : await this.status()
    if (view === 'workflow' || view?.flow) return (await this.#flowResult(signal)) as Output
    const stages = view?.stages
    const stage = stages ? stages.length - 1 : 0
    const single = stages === undefined || (stages[stage]!.sealed && stages[stage]!.tasks.total === 1)
    const waiting = new JobWaiting(this.#parts, this.id, stage, single)
    try {
      return (await orAborted(waiting.outcome(signal), signal)) as Output
    } finally {
      waiting.close()
    }
  }

  /** What a workflow came to, once it has ended. */
  async #flowResult(signal: AbortSignal | undefined): Promise<unknown> {
    const waiting = new JobWaiting(this.#parts, this.id, 0, false)
    try {
      return await flowResult(this.#parts, this.id, await orAborted(waiting.end(), signal), signal)
    } finally {
      waiting.close()
    }
  }

  /**
   * All outcomes of a job that has ended, in order, as `[index, value or error]`; waits for its end.
   * Results that were taken by `map` or `run` are not kept.
   */
  async *results(options: { signal?: AbortSignal } = {}): AsyncGenerator<[index: number, outcome: unknown]> {
    const { signal } = options
    const waiting = new JobWaiting(this.#parts, this.id, 0, false)
    try {
      await orAborted(waiting.end(), signal)
    } finally {
      waiting.close()
    }
    const { stages } = await this.status()
    const stage = stages.length - 1
    for await (const outcome of outcomesInOrder(this.#parts, this.id, stage, 0, stages[stage]!.tasks.total, signal)) {
      yield [outcome.index, 'error' in outcome ? outcome.error : outcome.value]
    }
  }

  /** Where the job stands. Rejects with NOT_FOUND once its retention is over. */
  async status(): Promise<JobView> {
    return await jobView(this.#parts, this.id)
  }

  /** The steps of a workflow, in order, as they are now. Rejects with NOT_FOUND for any other job. */
  async *steps(): AsyncGenerator<StepView> {
    for (let first: number | undefined = 0; first !== undefined; ) {
      const argument = JSON.stringify({ job: this.id, first })
      const reply = await this.#parts.session.request({ kind: 'ask', view: 'steps', argument })
      const page = JSON.parse(reply.kind === 'view' ? reply.body : 'null') as { steps: StepView[]; next?: number }
      yield* page.steps
      first = page.next
    }
  }

  /**
   * What a step of a workflow came to: its value, which of a signal or an event is the payload, and of a `map` is all values in order. Rejects with its
   * error, or STEP_NOT_READY while it has none, TASK_CANCELLED, RESULT_GONE, JOB_ARCHIVED, NOT_FOUND.
   */
  stepResult(step: Pick<StepView, 'step'>): Promise<unknown> {
    return readStep(this.#parts, this.id, step.step, 'result')
  }

  /**
   * What a step of a workflow was given: its task's input, with all that other steps gave, and of a `map` all inputs in order. They are kept until the job's
   * retention is over. Rejects with STEP_NOT_READY while it waits for others, RESULT_GONE, JOB_ARCHIVED, NOT_FOUND.
   */
  stepInput(step: Pick<StepView, 'step'>): Promise<unknown> {
    return readStep(this.#parts, this.id, step.step, 'input')
  }

  /**
   * Cancels the job; resolves when that is durable. A job that has ended stays as it ended. With `compensate`, of a workflow: what has not ended is given up, and what
   * runs is told to stop; then the compensations of what succeeded run, also of what did so although it was told to stop, in reverse order, and only then it has ended, as cancelled. It goes on with that without
   * a client. Cancelled again without it, it ends at once.
   */
  async cancel(reason = 'cancelled by its user', options: { compensate?: boolean } = {}): Promise<void> {
    const kind = options.compensate === true ? 'compensateJob' : 'cancelJob'
    await this.#parts.session.request({ kind, job: this.id, reason: reason.slice(0, 1000) })
  }

  /**
   * From now on no task of the job begins; those that were handed to a worker already run on, at most some 40 ms of work for each of its lanes. Signals and times
   * are taken in. Resolves when that is durable; rejects with JOB_ENDED or NOT_FOUND.
   */
  async pause(): Promise<void> {
    await this.#parts.session.request({ kind: 'pauseJob', job: this.id, paused: true })
  }

  /** A paused job goes on; one that is not paused does anyway. Rejects with JOB_ENDED or NOT_FOUND. */
  async resume(): Promise<void> {
    await this.#parts.session.request({ kind: 'pauseJob', job: this.id, paused: false })
  }

  /**
   * A workflow that failed or was cancelled goes on in place: what succeeded keeps its results, what failed, was cancelled or never ran for that waits again, with
   * all of its retries. It goes on without a client. With `workflow`, by the definitions of its program: the steps stay as they were planned. Resolves when that is
   * durable. Rejects with CANNOT_RERUN, RESULT_GONE, STEP_VANISHED, PROGRAM_MISSING, OVERLOADED or NOT_FOUND.
   */
  rerun(options: RerunOptions = {}): Promise<void> {
    return rerun(this.#parts, this.id, options)
  }

  /** The job's state now, then its changes and the progress of its tasks, until it has ended. */
  events(options: { signal?: AbortSignal } = {}): AsyncIterableIterator<JobEvent> {
    const events = new BoundedQueue<JobEvent>(eventsMax, () => stopListening())
    const ended = new Set<string>()
    const say = (state: JobView['state'], reason: string): void => {
      if (ended.size > 0) return
      events.push({ kind: 'state', state, reason }, true)
      if (state === 'running') return
      ended.add(state)
      events.end()
    }
    const stopListening = this.#parts.session.listen(this.id, {
      results: nothing,
      failures: nothing,
      changed: say,
      progress: (_stage, index, fraction, note) => events.push({ kind: 'progress', index, fraction, note }),
      lost: error => events.end(error),
    })
    const watching = this.status().then(async view => {
      say(view.state, view.reason ?? '')
      if (view.state !== 'running') return
      await this.#parts.session.request({ kind: 'watch', job: this.id })
      this.#parts.session.establish(this.id)
    })
    watching.catch(error => events.end(error))
    options.signal?.addEventListener('abort', () => events.end(options.signal?.reason), { once: true })
    return events
  }

  /** Lines that the job's tasks wrote. A reader that is too slow misses lines, and is told how many by a line of the stream `system`. */
  logs(options: LogsOptions = {}): AsyncIterableIterator<LogLine> {
    const lines = new BoundedQueue<LogLine>(logLinesMax, () => stop())
    let received = 0
    let known = 0
    const missed = (count: number): void => {
      const text = `${count} lines are missing here: the reader was too slow`
      if (count > 0)
        lines.push({ job: this.id, stage: 0, index: 0, attempt: 0, stream: 'system', atMs: this.#parts.clock.wallMs(), text }, true)
    }
    const message = {
      kind: 'readLogs',
      job: this.id,
      stage: options.index === undefined ? undefined : 0,
      index: options.index,
      follow: options.follow === true,
    } as const
    const stop = this.#parts.session.stream(message, {
      more(reply) {
        missed(reply.dropped)
        for (const line of reply.lines) if (received++ >= known) lines.push(line)
        missed(lines.dropped)
        lines.dropped = 0
        if (reply.ended) lines.end()
      },
      restarted() {
        known = Math.max(known, received)
        received = 0
      },
      fail: error => lines.end(error),
    })
    options.signal?.addEventListener('abort', () => lines.end(options.signal?.reason), { once: true })
    return lines
  }
}

function nothing(): void {}

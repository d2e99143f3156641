// Owns a job as its user holds it: outcome, state, events, logs, cancel. It needs nothing but the job's id.
// Must not release results: whoever holds the id may ask again, until the job's retention is over.
import {
  Chunk,
  CoxswainError,
  decodeValue,
  errorFromWire,
  type JobView,
  type LogLine,
  type StepView,
  type TaskFailure,
} from '../protocol/index.ts'
import { blockOf, inlineValue, isBlock } from './items.ts'
import { endedError, failureError, readOutcomes } from './outcomes.ts'
import type { Parts } from './parts.ts'
import { orAborted } from './pause.ts'
import { BoundedQueue } from './queue.ts'
import type { JobChange, JobListener } from './session.ts'

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

type End = { state: JobChange['state']; reason: string }

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
      const { state, reason } = await orAborted(waiting.end(), signal)
      if (state === 'cancelled') throw endedError(this.id, state, reason)
    } finally {
      waiting.close()
    }
    const { flow, state, reason } = await this.status()
    if (!flow?.output) throw await this.#flowError(flow?.cause, state, reason ?? '')
    const { stage, first, count, list } = flow.output
    const values: unknown[] = []
    for await (const outcome of outcomesInOrder(this.#parts, this.id, stage, first, count, signal)) {
      if ('error' in outcome) throw outcome.error
      values.push(outcome.value)
    }
    return list ? values : values[0]
  }

  /** Why a workflow failed: the error of the first step that nobody caught. */
  async #flowError(cause: NonNullable<JobView['flow']>['cause'], state: JobView['state'], reason: string): Promise<Error> {
    const task = cause?.task
    if (task)
      for await (const outcome of outcomesInOrder(this.#parts, this.id, task.stage, task.index, 1))
        if ('error' in outcome) return outcome.error
    return cause ? errorFromWire(cause.code, cause.message, { id: this.id }) : endedError(this.id, state, reason)
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
    const reply = await this.#parts.session.request({ kind: 'ask', view: 'job', argument: JSON.stringify({ job: this.id }) })
    return JSON.parse(reply.kind === 'view' ? reply.body : 'null') as JobView
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

  /** What a step of a workflow came to: its value, or all values of its tasks in order. Rejects with its error, or RESULT_GONE. */
  async stepResult(step: StepView): Promise<unknown> {
    const { stage, first, tasks } = step
    if (stage === undefined || first === undefined || !tasks)
      throw new CoxswainError('NOT_FOUND', `Step ${step.step} (${step.kind}) has no tasks, and no result of its own.`, { id: this.id })
    const values: unknown[] = []
    for await (const outcome of outcomesInOrder(this.#parts, this.id, stage, first, tasks.total)) {
      if ('error' in outcome) throw outcome.error
      values.push(outcome.value)
    }
    return tasks.total === 1 ? values[0] : values
  }

  /** Cancels the job; resolves when that is durable. A job that has ended stays as it ended. */
  async cancel(reason = 'cancelled by its user'): Promise<void> {
    await this.#parts.session.request({ kind: 'cancelJob', job: this.id, reason: reason.slice(0, 1000) })
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

/** The outcomes that the leader keeps of a stage, in order; what has none is given its error. */
async function* outcomesInOrder(
  parts: Parts,
  job: string,
  stage: number,
  first: number,
  count: number,
  signal?: AbortSignal,
): AsyncGenerator<{ index: number; value: unknown } | { index: number; error: CoxswainError }> {
  let index = first
  const total = first + count
  for await (const page of readOutcomes(parts, job, stage, first, total)) {
    signal?.throwIfAborted()
    const failures = new Map(page.failures.map(failure => [failure.index, failure]))
    const chunks = page.parts.map(part => ({ first: part.first, chunk: new Chunk(part.items) }))
    const end = page.next ?? total
    for (; index < end; index++) {
      const failure = failures.get(index)
      const part = chunks.find(({ first, chunk }) => index >= first && index < first + chunk.count)
      if (failure) yield { index, error: failureError(job, stage, failure) }
      else if (!part) yield { index, error: endedError(job, 'succeeded', '') }
      else if (isBlock(part.chunk, index - part.first)) {
        yield { index, value: decodeValue(await parts.blocks.fetch(blockOf(part.chunk, index - part.first), signal)) }
      } else yield { index, value: inlineValue(part.chunk, index - part.first) }
    }
  }
}

/** Waits for a job's end, and for the value of its only task if it has one. */
class JobWaiting implements JobListener {
  readonly #parts: Parts
  readonly #job: string
  readonly #stage: number
  readonly #single: boolean
  readonly #ended = Promise.withResolvers<End>()
  readonly #value = Promise.withResolvers<{ chunk: Chunk }>()
  readonly #stopListening: () => void

  constructor(parts: Parts, job: string, stage: number, single: boolean) {
    this.#parts = parts
    this.#job = job
    this.#stage = stage
    this.#single = single
    this.#ended.promise.catch(nothing)
    this.#value.promise.catch(nothing)
    this.#stopListening = parts.session.listen(job, this)
    parts.session.request({ kind: 'watch', job }).then(
      () => parts.session.establish(job),
      error => this.lost(error),
    )
  }

  close(): void {
    this.#stopListening()
  }

  end(): Promise<End> {
    return this.#ended.promise
  }

  async outcome(signal: AbortSignal | undefined): Promise<unknown> {
    if (this.#single) {
      const found = await Promise.race([this.#value.promise, this.#ended.promise])
      if ('chunk' in found) {
        const { chunk } = found
        return isBlock(chunk, 0) ? decodeValue(await this.#parts.blocks.fetch(blockOf(chunk, 0), signal)) : inlineValue(chunk, 0)
      }
    }
    const { state, reason } = await this.#ended.promise
    if (state === 'cancelled') throw endedError(this.#job, state, reason)
    const values: unknown[] = []
    const total = this.#single ? 1 : await this.#total()
    for await (const outcome of outcomesInOrder(this.#parts, this.#job, this.#stage, 0, total, signal)) {
      if ('error' in outcome) throw outcome.error
      values.push(outcome.value)
    }
    if (values.length < total) throw endedError(this.#job, state, reason)
    return total === 1 ? values[0] : values
  }

  async #total(): Promise<number> {
    const view = await new JobHandle(this.#parts, this.#job, 'unknown').status()
    return view.stages[this.#stage]!.tasks.total
  }

  results(stage: number, first: number, items: Uint8Array): void {
    if (this.#single && stage === this.#stage && first === 0) this.#value.resolve({ chunk: new Chunk(items) })
  }

  failures(stage: number, failures: readonly TaskFailure[]): void {
    const failure = failures[0]
    if (this.#single && stage === this.#stage && failure) this.#value.reject(failureError(this.#job, stage, failure))
  }

  changed(state: JobChange['state'], reason: string): void {
    if (state !== 'running') this.#ended.resolve({ state, reason })
  }

  progress(): void {}

  lost(error: CoxswainError): void {
    this.#value.reject(error)
    this.#ended.reject(error)
  }
}

// Owns waiting for a job's end, and reading what its tasks came to, in order.
// Must not know more of a job than its id.
import { Chunk, type CoxswainError, decodeValue, type JobView, type TaskFailure } from '../protocol/index.ts'
import { blockOf, inlineValue, isBlock } from './items.ts'
import { endedError, failureError, readOutcomes } from './outcomes.ts'
import type { Parts } from './parts.ts'
import type { FlowResult, JobChange, JobListener } from './session.ts'

/** How a job ended; a small result of a workflow comes with it. */
export interface End {
  state: JobChange['state']
  reason: string
  result?: FlowResult | undefined
}

/** Where a job stands. Rejects with NOT_FOUND once its retention is over. */
export async function jobView(parts: Parts, job: string): Promise<JobView> {
  const reply = await parts.session.request({ kind: 'ask', view: 'job', argument: JSON.stringify({ job }) })
  return JSON.parse(reply.kind === 'view' ? reply.body : 'null') as JobView
}

/** The outcomes that the leader keeps of a stage, in order; what has none is given its error. */
export async function* outcomesInOrder(
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

/** The values of tasks, in order; throws the first error among them. */
export async function valuesInOrder(
  parts: Parts,
  job: string,
  { stage, first, count }: { stage: number; first: number; count: number },
  signal?: AbortSignal,
): Promise<unknown[]> {
  const values: unknown[] = []
  for await (const outcome of outcomesInOrder(parts, job, stage, first, count, signal)) {
    if ('error' in outcome) throw outcome.error
    values.push(outcome.value)
  }
  return values
}

/** Waits for a job's end, and for the value of its only task if it has one. */
export class JobWaiting implements JobListener {
  readonly #parts: Parts
  readonly #job: string
  readonly #stage: number
  readonly #single: boolean
  readonly #ended = Promise.withResolvers<End>()
  readonly #value = Promise.withResolvers<{ chunk: Chunk }>()
  readonly #stopListening: () => void

  /** `submitted`: it is watched by its own submission, which is about to be sent. */
  constructor(parts: Parts, job: string, stage: number, single: boolean, submitted = false) {
    this.#parts = parts
    this.#job = job
    this.#stage = stage
    this.#single = single
    this.#ended.promise.catch(nothing)
    this.#value.promise.catch(nothing)
    this.#stopListening = parts.session.listen(job, this)
    if (submitted) return
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
    if (state === 'cancelled' || (state === 'failed' && reason !== '')) throw endedError(this.#job, state, reason)
    const total = this.#single ? 1 : await this.#total()
    const values = await valuesInOrder(this.#parts, this.#job, { stage: this.#stage, first: 0, count: total }, signal)
    if (values.length < total) throw endedError(this.#job, state, reason)
    return total === 1 ? values[0] : values
  }

  async #total(): Promise<number> {
    return (await jobView(this.#parts, this.#job)).stages[this.#stage]!.tasks.total
  }

  results(stage: number, first: number, items: Uint8Array): void {
    if (this.#single && stage === this.#stage && first === 0) this.#value.resolve({ chunk: new Chunk(items) })
  }

  failures(stage: number, failures: readonly TaskFailure[]): void {
    const failure = failures[0]
    if (this.#single && stage === this.#stage && failure) this.#value.reject(failureError(this.#job, stage, failure))
  }

  changed(state: JobChange['state'], reason: string, result?: FlowResult): void {
    if (state !== 'running') this.#ended.resolve({ state, reason, result })
  }

  progress(): void {}

  lost(error: CoxswainError): void {
    this.#value.reject(error)
    this.#ended.reject(error)
  }
}

function nothing(): void {}

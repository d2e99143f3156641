// Owns one job made of calls of `run`: call number i is its task i, answered and cancelled on its own.
// Must not choose which calls go together: run.ts does.
import {
  type BlockReference,
  Chunk,
  ChunkWriter,
  type CoxswainError,
  decodeValue,
  limits,
  type TaskBlock,
  type TaskFailure,
  writeBlockItem,
} from '../protocol/index.ts'
import type { TaskOf } from './define.ts'
import { blockOf, inlineValue, isBlock } from './items.ts'
import { endedError, failureError, readOutcomes } from './outcomes.ts'
import { type JobOptions, jobPlan, newJobId, type Parts, type Prepared } from './parts.ts'
import { abortReason } from './pause.ts'
import type { RunLimits } from './policies.ts'
import type { JobChange, JobListener } from './session.ts'
import type { Submitter } from './submitter.ts'

/** Options of `run`. */
export type RunOptions = Pick<JobOptions, 'priority' | 'labels' | 'signal'> & RunLimits

/** So long a full leader is asked again before the caller is told. */
const patienceMs = 60_000

interface Waiter {
  resolve(value: unknown): void
  reject(error: unknown): void
}

/** Calls that became one job: call number i is its task i. */
export class RunBatch implements JobListener {
  readonly task: TaskOf<unknown, unknown>
  readonly chunk = new ChunkWriter()
  readonly #parts: Parts
  readonly #options: RunOptions
  readonly #job: string
  readonly #blocks: TaskBlock[] = []
  /** Undefined once settled. */
  readonly #waiters: (Waiter | undefined)[] = []
  #unsettled = 0
  #stage = 0
  #submitted = false
  /** Tasks that are to be cancelled as soon as the leader knows them. */
  readonly #aborted: number[] = []
  #finished = false
  /** Results that are blocks and under way. */
  readonly #fetching = new Set<number>()
  #stopListening: () => void = () => undefined

  constructor(parts: Parts, task: TaskOf<unknown, unknown>, options: RunOptions) {
    this.#parts = parts
    this.task = task
    this.#options = options
    this.#job = newJobId(parts.platform)
  }

  get count(): number {
    return this.#waiters.length
  }

  get full(): boolean {
    return this.chunk.count >= limits.chunkTasksMax || this.chunk.bytes >= limits.chunkBytesMax
  }

  addBlock(reference: BlockReference): void {
    this.#blocks.push({ index: this.chunk.count, ...reference })
    writeBlockItem(this.chunk.beginItem(), reference)
    this.chunk.endItem()
  }

  /** The outcome of the call that was added last. */
  wait(signal: AbortSignal | undefined): Promise<unknown> {
    const index = this.#waiters.length
    this.#unsettled++
    return new Promise((resolve, reject) => {
      if (!signal) {
        this.#waiters.push({ resolve, reject })
        return
      }
      const aborted = (): void => {
        const waiter = this.#settle(index)
        if (!waiter) return
        this.#cancel(index)
        waiter.reject(abortReason(signal))
        this.#finish()
      }
      const forget = (): void => signal.removeEventListener('abort', aborted)
      this.#waiters.push({
        resolve(value) {
          forget()
          resolve(value)
        },
        reject(error) {
          forget()
          reject(error)
        },
      })
      signal.addEventListener('abort', aborted)
    })
  }

  send(submitter: Submitter, prepared: Prepared): void {
    const items = this.chunk.finish()
    const { session } = this.#parts
    // The id was made for exactly this content, so it says as much as a hash.
    const plan = jobPlan(this.#job, prepared.stage, this.#job, session.id, this.#options, false)
    const inputs = [{ stage: this.#stage, first: 0, items, blocks: this.#blocks, seal: true }]
    this.#stopListening = session.listen(this.#job, this)
    submitter.submit({ plan, inputs, prepared, watch: true, signal: undefined, patienceMs }).then(
      () => {
        this.#submitted = true
        session.establish(this.#job)
        for (const index of this.#aborted) this.#cancel(index)
        this.#finish()
      },
      error => this.fail(error),
    )
  }

  /** Settles all that wait with this error. */
  fail(error: unknown): void {
    for (let index = 0; index < this.#waiters.length; index++) this.#settle(index)?.reject(error)
    this.#stopListening()
  }

  #settle(index: number): Waiter | undefined {
    const waiter = this.#waiters[index]
    if (!waiter) return undefined
    this.#waiters[index] = undefined
    this.#unsettled--
    return waiter
  }

  #cancel(index: number): void {
    if (!this.#submitted) this.#aborted.push(index)
    else {
      const ranges = [{ first: index, count: 1 }]
      // The caller has gone; a cancel that comes too late changes nothing.
      this.#parts.session.request({ kind: 'cancelTasks', job: this.#job, stage: this.#stage, ranges }).catch(() => undefined)
    }
  }

  /** When the last call is settled, nobody asks for this job again. */
  #finish(): void {
    if (this.#unsettled > 0 || !this.#submitted || this.#finished) return
    this.#finished = true
    // Whoever waited may call again at once: that call goes first.
    this.#parts.clock.soon(() => this.#parts.clock.soon(() => this.#giveUp()))
  }

  #giveUp(): void {
    this.#parts.session.post({
      kind: 'releaseResults',
      job: this.#job,
      stage: this.#stage,
      ranges: [{ first: 0, count: this.#waiters.length }],
    })
    this.#stopListening()
  }

  results(_stage: number, first: number, items: Uint8Array): void {
    // Results prove that the leader knows the job, even if its answer to the submit is still under way.
    this.#submitted = true
    const chunk = new Chunk(items)
    for (let position = 0; position < chunk.count; position++) {
      const index = first + position
      if (!this.#waiters[index]) continue
      if (isBlock(chunk, position)) this.#fetch(index, blockOf(chunk, position))
      else this.#resolve(index, () => inlineValue(chunk, position))
    }
    this.#finish()
  }

  #resolve(index: number, value: () => unknown): void {
    const waiter = this.#settle(index)
    try {
      waiter?.resolve(value())
    } catch (error) {
      waiter?.reject(error)
    }
  }

  #fetch(index: number, reference: BlockReference): void {
    if (this.#fetching.has(index)) return
    this.#fetching.add(index)
    this.#parts.blocks
      .fetch(reference)
      .then(
        bytes => this.#resolve(index, () => decodeValue(bytes)),
        error => this.#settle(index)?.reject(error),
      )
      .finally(() => this.#finish())
  }

  failures(stage: number, failures: readonly TaskFailure[]): void {
    this.#submitted = true
    for (const failure of failures) this.#settle(failure.index)?.reject(failureError(this.#job, stage, failure))
    this.#finish()
  }

  changed(state: JobChange['state'], reason: string): void {
    if (state !== 'running' && this.#unsettled > 0) this.#readRest(state, reason).catch(error => this.fail(error))
  }

  /** The job ended: what has no outcome yet is asked for once, and else has none. */
  async #readRest(state: JobChange['state'], reason: string): Promise<void> {
    for await (const page of readOutcomes(this.#parts, this.#job, this.#stage, 0, this.#waiters.length)) {
      for (const part of page.parts) this.results(this.#stage, part.first, part.items)
      this.failures(this.#stage, page.failures)
    }
    // Blocks may still be on their way: only a cancelled job leaves tasks without an outcome.
    if (state === 'cancelled') this.fail(endedError(this.#job, state, reason))
  }

  progress(): void {}

  lost(error: CoxswainError): void {
    this.fail(error)
  }
}

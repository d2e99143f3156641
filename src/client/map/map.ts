// Owns `map`: an asynchronous iterator of results over any number of inputs, with back-pressure both ways.
// Must not make a promise, timer or message per task beyond the one that `next` returns.
import { CoxswainError, limits, type StagePolicy } from '../../protocol/index.ts'
import type { TaskOf } from '../define.ts'
import { endedError, readOutcomes } from '../outcomes.ts'
import { checkJobOptions, type JobOptions, newJobId, type Parts } from '../parts.ts'
import { abortReason, pause } from '../pause.ts'
import { parseTaskLimits, type TaskLimits } from '../policies.ts'
import type { Submitter } from '../submitter.ts'
import { Feeder, type Source } from './feeder.ts'
import { Receiver } from './receiver.ts'
import { Sender } from './sender.ts'

/** Options of `map`. Its limits are those of its tasks. */
export interface MapOptions extends JobOptions, TaskLimits {
  /** True: results in the order of the inputs (default). False: as they come. */
  ordered?: boolean
  /** `'throw'`: the first failed task ends the iteration and cancels the rest (default). `'yield'`: its error is yielded like a result. */
  errors?: 'throw' | 'yield'
  /** True: `[index, result]` instead of results. */
  entries?: boolean
  /** How many tasks may be outstanding: inputs pulled whose results were not taken. Default 16,384, fewer where they are large. */
  window?: number
}

const windowDefault = 16_384
/** Before the first results tell how large they are. */
const windowAtFirst = 1000
/** However large tasks are, so many may be outstanding. */
const windowMin = 16
/** Bytes of inputs or results outstanding, as far as their mean tells. */
const windowBytes = 16 << 20
/** The same for bytes in blocks, which are on the disks of workers. */
const windowBlockBytes = 1 << 30

/** So long the end of an iteration waits for its cancel to be durable. */
const cancelWaitMsMax = 1000

/** One run of `map`. It begins with the first `next`. */
export class MapRun implements AsyncIterableIterator<unknown> {
  readonly #parts: Parts
  readonly #task: TaskOf<unknown, unknown>
  readonly #source: Source
  readonly #submitter: Submitter
  readonly #options: MapOptions
  readonly #policies: StagePolicy[]
  readonly #job: string
  readonly #entries: boolean
  /** After so many taken results more inputs are pulled. */
  #pullEvery = 1
  #state: 'new' | 'running' | 'ended' = 'new'
  #feeder!: Feeder
  #sender!: Sender
  #receiver!: Receiver
  #stopListening: () => void = () => undefined
  #wake: (() => void) | undefined
  /** Calls of `next` that wait, and the end of the last of them. */
  #waitingCalls = 0
  #lastCall: Promise<void> = Promise.resolve()
  #takenAtPull = 0
  #error: { error: unknown } | undefined

  constructor(parts: Parts, submitter: Submitter, task: TaskOf<unknown, unknown>, source: Source, options: MapOptions) {
    checkJobOptions(options)
    const limited = parseTaskLimits(options, 'map: ', 'INVALID_ARGUMENT')
    const { window } = options
    if (window !== undefined && (!Number.isInteger(window) || window < 1)) {
      throw new CoxswainError('INVALID_ARGUMENT', `window is ${window}: it must be a whole number, 1 or more.`, { id: 'window' })
    }
    this.#parts = parts
    this.#submitter = submitter
    this.#task = task
    this.#source = source
    this.#options = options
    this.#policies = limited ? [{ stage: 0, ...limited, stepTimeoutMs: 0 }] : []
    this.#entries = options.entries === true
    this.#job = options.id ?? newJobId(parts.platform)
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<IteratorResult<unknown>> {
    if (this.#state === 'running' && this.#waitingCalls === 0 && this.#error === undefined) {
      const receiver = this.#receiver
      const index = receiver.next()
      if (index >= 0 && receiver.ready) {
        let value: unknown
        try {
          value = receiver.take()
        } catch (error) {
          return this.#later(() => this.#outcome(index, Promise.reject(error)))
        }
        if (receiver.taken - this.#takenAtPull >= this.#pullEvery) this.#pull()
        return Promise.resolve({ value: this.#entries ? [index, value] : value, done: false })
      }
    }
    return this.#later(() => this.#slow())
  }

  /** Calls of `next` that cannot be answered at once are answered one after the other. */
  async #later(answer: () => Promise<IteratorResult<unknown>>): Promise<IteratorResult<unknown>> {
    const before = this.#lastCall
    const done = Promise.withResolvers<void>()
    this.#lastCall = done.promise
    this.#waitingCalls++
    try {
      if (this.#waitingCalls > 1) await before
      return await answer()
    } finally {
      this.#waitingCalls--
      done.resolve()
    }
  }

  async #slow(): Promise<IteratorResult<unknown>> {
    if (this.#state === 'new') await this.#start()
    while (this.#state === 'running') {
      const receiver = this.#receiver
      const index = receiver.next()
      if (this.#error) return this.#abandon(this.#error.error)
      if (index >= 0) {
        const answer = await this.#outcome(index, receiver.takeLater())
        if (receiver.taken - this.#takenAtPull >= this.#pullEvery) this.#pull()
        return answer
      }
      if (this.#feeder.ended && receiver.taken >= this.#feeder.pulled) this.#finish()
      else if (receiver.failure) return this.#abandon(receiver.failure)
      else if (this.#feeder.ended && receiver.endState !== 'running') await this.#readRest()
      else {
        receiver.flush()
        this.#pull()
        await new Promise<void>(resolve => {
          this.#wake = resolve
        })
      }
    }
    return { value: undefined, done: true }
  }

  /** The job has ended, but results are missing: they are asked for once, and else they are gone. */
  async #readRest(): Promise<void> {
    const receiver = this.#receiver
    for await (const page of readOutcomes(this.#parts, this.#job, 0, receiver.taken, this.#feeder.pulled)) {
      for (const part of page.parts) receiver.results(0, part.first, part.items)
      receiver.failures(0, page.failures)
    }
    if (receiver.receivedCount < this.#feeder.pulled) receiver.lost(endedError(this.#job, receiver.endState, ''))
    else receiver.endState = 'running'
  }

  async #outcome(index: number, taken: Promise<unknown>): Promise<IteratorResult<unknown>> {
    try {
      const value = await taken
      return { value: this.#entries ? [index, value] : value, done: false }
    } catch (error) {
      if (this.#options.errors !== 'yield') return this.#abandon(error)
      return { value: this.#entries ? [index, error] : error, done: false }
    }
  }

  async #start(): Promise<void> {
    const { signal } = this.#options
    const parts = this.#parts
    const job = this.#job
    if (signal?.aborted) {
      this.#state = 'ended'
      throw abortReason(signal)
    }
    this.#state = 'running'
    const failed = (error: unknown): void => this.#fail(error)
    this.#receiver = new Receiver({ parts, job, ordered: this.#options.ordered !== false, wake: () => this.#wakeUp() })
    const prepared = parts.plans.find(this.#task) ?? (await parts.plans.get(this.#task))
    if (this.#state !== 'running') return
    if (signal?.aborted) throw abortReason(signal)
    this.#sender = new Sender({
      parts,
      submitter: this.#submitter,
      prepared,
      job,
      options: this.#options,
      policies: this.#policies,
      failed,
      acknowledged: () => this.#wakeUp(),
    })
    this.#feeder = new Feeder({
      parts,
      task: this.#task,
      source: this.#source,
      sender: this.#sender,
      room: () => this.#room(),
      failed,
      over: () => this.#wakeUp(),
    })
    this.#stopListening = parts.session.listen(job, this.#receiver)
    signal?.addEventListener('abort', this.#aborted)
    this.#pull()
  }

  readonly #aborted = (): void => this.#fail(abortReason(this.#options.signal!))

  #fail(error: unknown): void {
    this.#error ??= { error }
    this.#wakeUp()
  }

  #wakeUp(): void {
    const wake = this.#wake
    this.#wake = undefined
    wake?.()
  }

  #pull(): void {
    this.#takenAtPull = this.#receiver.taken
    this.#pullEvery = Math.min(limits.chunkTasksMax, Math.max(1, this.#window() >> 2))
    this.#feeder.pull()
  }

  #room(): number {
    return this.#window() - (this.#feeder.pulled - this.#receiver.taken)
  }

  /** How many tasks may be outstanding, as far as the sizes seen so far tell. */
  #window(): number {
    const { receivedCount, receivedBytes, blockBytes } = this.#receiver
    const { pulled, inputBytes } = this.#feeder
    const most = this.#options.window ?? (receivedCount === 0 ? windowAtFirst : windowDefault)
    const bytesEach = Math.max(pulled === 0 ? 0 : inputBytes / pulled, receivedCount === 0 ? 0 : receivedBytes / receivedCount)
    const blockBytesEach = (pulled === 0 ? 0 : this.#feeder.blockBytes / pulled) + (receivedCount === 0 ? 0 : blockBytes / receivedCount)
    const byBytes = Math.min(windowBytes / Math.max(bytesEach, 1), windowBlockBytes / Math.max(blockBytesEach, 1))
    return Math.min(most, Math.max(windowMin, Math.floor(byBytes)))
  }

  #finish(): void {
    this.#receiver.flush()
    this.#end()
  }

  #end(): void {
    this.#state = 'ended'
    this.#stopListening()
    this.#receiver.close()
    this.#sender?.close()
    this.#options.signal?.removeEventListener('abort', this.#aborted)
    this.#wakeUp()
  }

  /** Ends early: the rest is cancelled, what was not taken is given up, and the source is closed. */
  async #stop(reason: string): Promise<void> {
    if (this.#state !== 'running') {
      this.#state = 'ended'
      return
    }
    const pulled = this.#feeder?.pulled ?? 0
    this.#end()
    const cancelled = pulled > 0 ? this.#cancel(pulled, reason) : undefined
    await this.#feeder?.close()
    await cancelled
  }

  /** Resolves when the cancel is durable; without a connection it is not waited for. */
  async #cancel(pulled: number, reason: string): Promise<void> {
    const { session, clock } = this.#parts
    const ranges = [{ first: 0, count: pulled }]
    const done = session.request({ kind: 'cancelJob', job: this.#job, reason }).then(() => {
      session.post({ kind: 'releaseResults', job: this.#job, stage: 0, ranges })
    }, nothing)
    await Promise.race([done, pause(clock, cancelWaitMsMax)])
  }

  async #abandon(error: unknown): Promise<never> {
    await this.#stop(error instanceof Error ? error.message.slice(0, 200) : 'its caller gave up').catch(nothing)
    throw error
  }

  async return(value?: unknown): Promise<IteratorResult<unknown>> {
    await this.#stop('its caller needs no more results')
    return { value, done: true }
  }

  async throw(error?: unknown): Promise<IteratorResult<unknown>> {
    return this.#abandon(error)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return()
  }
}

function nothing(): void {}

// Owns the writes of one leadership, one after the other in the journal and several under way: each is one transaction that compares the leader's key and
// the journal's end, and replaces the end. What must be alone (compaction, what an append left to do) waits until nothing is under way.
// Must not read to learn what became of a write: it sends the same one again.
import { CoxswainError, OverloadedError } from '../../protocol/errors.ts'
import type { Append } from '../journal.ts'
import { appendsInFlightMax, copyOfAppend } from '../rules.ts'
import type { Operation } from './api.ts'
import { type Part, putsOf } from './blobs.ts'
import type { Caller } from './caller.ts'
import { Indexes } from './indexes.ts'
import { endKey } from './keys.ts'
import { dropsOf, type Plan, planAppend, transactionBytesMax } from './plan.ts'
import type { End } from './values.ts'
import { judge, ledSince, requestOf, type Write } from './write.ts'

/** What a step that has the journal to itself may do. */
export interface Alone {
  readonly indexes: Indexes
  readonly end: End
  /** Writes, if this leadership is not over; else it throws FENCED. */
  commit(operations: readonly Operation[], change: Partial<Omit<End, 'sequence'>>): Promise<void>
}

type Outcome = 'durable' | 'fenced'

interface Waiting {
  run(): Promise<void>
  /** It is over before its turn came. */
  refuse(failure: CoxswainError | undefined): void
}

/** What a leadership works with. */
export interface TermOptions {
  caller: Caller
  epoch: number
  /** Revision at which its claim changed the leader's key. */
  fence: number
  /** Where its claim left the journal. */
  end: End
  /** Transactions of appends under way at once. */
  inFlightMax: number
  /** What an append with this first index left to be done. */
  sweep(alone: Alone, firstIndex: number): Promise<void>
  /** It is over, and not by `resign`: another one leads, or the store failed. Called once. */
  lost(failure: CoxswainError | undefined): void
}

function failureOf(error: unknown): CoxswainError {
  if (error instanceof CoxswainError) return error
  return new CoxswainError('JOURNAL_WRITE_FAILED', `The store broke: ${String(error)}`, { cause: error })
}

/** The writes of one leadership. */
export class Term {
  readonly epoch: number
  readonly fence: number
  readonly indexes: Indexes
  readonly #options: TermOptions
  readonly #queue: Waiting[] = []
  #state: 'leading' | 'resigned' | 'deposed' | CoxswainError = 'leading'
  /** Where the journal ends when all that was sent is done, and as far as it is known to be done. */
  #end: End
  #durable: End
  #asked = 0
  #inFlight = 0
  #pumping = false
  /** It is about to resign. */
  #closing = false
  /** Ends when all that was sent so far is over. */
  #tail: Promise<void> = Promise.resolve()
  #sweeps: Promise<unknown> = Promise.resolve()
  #roomCallback: (() => void) | undefined

  constructor(options: TermOptions) {
    this.#options = options
    this.epoch = options.epoch
    this.fence = options.fence
    this.#end = options.end
    this.#durable = options.end
    this.indexes = new Indexes(options.caller)
  }

  /** True as long as it may write, as far as it knows. */
  get leads(): boolean {
    return this.#state === 'leading'
  }

  /** Where the journal ends, as far as that is known to be durable. */
  get durable(): End {
    return this.#durable
  }

  /** Ends when what appends left to be done so far is done. */
  get swept(): Promise<unknown> {
    return this.#sweeps
  }

  append(append: Append): Promise<Outcome> {
    if (this.#asked >= appendsInFlightMax) return Promise.reject(new OverloadedError(`${appendsInFlightMax} appends are under way.`))
    if (this.#state !== 'leading' || this.#closing) return this.#refusal()
    const copy = copyOfAppend(append)
    this.#asked++
    return new Promise<Outcome>((resolve, reject) => {
      this.#put({ run: () => this.#append(copy, resolve, reject), refuse: failure => (failure ? reject(failure) : resolve('fenced')) })
    }).finally(() => this.#asked--)
  }

  #refusal(): Promise<'fenced'> {
    return this.#state instanceof CoxswainError ? Promise.reject(this.#state) : Promise.resolve('fenced')
  }

  /** Runs what must have the journal to itself, in its turn. */
  alone<T>(work: (alone: Alone) => Promise<T>): Promise<T> {
    if (this.#state !== 'leading' || this.#closing) return Promise.reject(this.#over())
    return this.#alone(work, false)
  }

  #alone<T>(work: (alone: Alone) => Promise<T>, first: boolean): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const run = async (): Promise<void> => {
        await this.#tail
        this.indexes.trim()
        if (this.#state !== 'leading') return reject(this.#over())
        await work(this.#hold()).then(resolve, reject)
      }
      this.#put({ run, refuse: failure => reject(failure ?? this.#over()) }, first)
    })
  }

  /** Does what an append left to do, before anything else. */
  sweep(firstIndex: number): void {
    const swept = this.#alone(alone => this.#options.sweep(alone, firstIndex), true)
    this.#sweeps = Promise.all([this.#sweeps, swept]).catch(() => undefined)
  }

  /** Puts and deletes that only need this to be the leader's, such as parts that no key names yet. False: it is not. */
  async fenced(operations: readonly Operation[]): Promise<boolean> {
    if (this.#state !== 'leading' && this.#state !== 'resigned') return false
    const { succeeded } = await this.#options.caller.settle({ compare: [ledSince(this.fence)], success: operations })
    if (!succeeded) this.lose()
    return succeeded
  }

  /** Puts parts, several in one transaction where they fit. */
  async putParts(parts: readonly Part[]): Promise<boolean> {
    let some: Part[] = []
    let bytes = 0
    for (const [at, part] of parts.entries()) {
      some.push(part)
      bytes += part.value.length
      const next = parts[at + 1]
      if (next && bytes + next.value.length <= transactionBytesMax && some.length < 50) continue
      if (!(await this.fenced(putsOf(some)))) return false
      some = []
      bytes = 0
    }
    return true
  }

  /** Ends it on purpose: what was asked before is done first, then `last`; what comes from now on is refused. Throws JOURNAL_WRITE_FAILED. */
  async resign(last: () => Promise<void>): Promise<void> {
    if (this.#state !== 'leading' || this.#closing) return
    const done = this.#alone(async () => {
      this.#state = 'resigned'
      await last()
    }, false)
    this.#closing = true
    try {
      await done
    } catch (error) {
      // Whoever was deposed meanwhile has nothing left to give up.
      if (!(error instanceof CoxswainError) || error.code !== 'FENCED') throw error
    }
  }

  /** It is over. Without a failure another one leads. */
  lose(failure?: CoxswainError): void {
    if (this.#state !== 'leading') return
    const told = !this.#closing || failure !== undefined
    this.#state = failure ?? 'deposed'
    for (const waiting of this.#queue.splice(0)) waiting.refuse(failure)
    this.#roomCallback?.()
    if (told) this.#options.lost(failure)
  }

  #over(): CoxswainError {
    if (this.#state instanceof CoxswainError) return this.#state
    return new CoxswainError('FENCED', `Epoch ${this.epoch} does not lead: nothing was changed.`)
  }

  #put(waiting: Waiting, first = false): void {
    if (first) this.#queue.unshift(waiting)
    else this.#queue.push(waiting)
    if (!this.#pumping) void this.#pump()
  }

  async #pump(): Promise<void> {
    this.#pumping = true
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) await next.run()
    this.#pumping = false
  }

  /** Sends one append as soon as it may; what becomes of it is told later, in the order of the calls. */
  async #append(append: Append, resolve: (outcome: Outcome) => void, reject: (error: unknown) => void): Promise<void> {
    let plan: Plan | undefined
    try {
      plan = await this.#plan(append)
    } catch (error) {
      this.lose(failureOf(error))
      await this.#tail
      return reject(error)
    }
    const before = this.#tail
    if (plan === undefined) {
      await before
      return void this.#refusal().then(resolve, reject)
    }
    this.#inFlight++
    const from = this.#end
    this.#end = plan.end
    const outcome = this.#settle({ from, to: plan.end, ...plan }, before)
    const over = (async (): Promise<void> => {
      const [result] = await Promise.allSettled([outcome, before])
      this.#inFlight--
      this.#roomCallback?.()
      if (result.status === 'fulfilled') resolve(result.value)
      else reject(result.reason)
    })()
    this.#tail = over
    if (plan.todo) this.sweep(append.firstIndex)
  }

  /** Undefined: it is refused. */
  async #plan(append: Append): Promise<Plan | undefined> {
    while (this.#inFlight >= this.#options.inFlightMax && this.#state === 'leading')
      await new Promise<void>(resolve => {
        this.#roomCallback = resolve
      })
    const isNext = append.epoch === this.epoch && append.firstIndex === this.#end.lastIndex + 1 && append.count >= 1
    if (!isNext) {
      // Those before it may still be under way: they are not refused with it.
      await this.#tail
      this.lose()
    }
    if (this.#state !== 'leading') return undefined
    const drops = dropsOf(append)
    if (this.#inFlight === 0) this.indexes.trim()
    if (!this.indexes.knows(drops)) {
      await this.#tail
      await this.indexes.load(drops)
    }
    const plan = planAppend(append, this.#end, this.indexes)
    if (plan.before.length > 0 && !(await this.putParts(plan.before))) return undefined
    return this.#state === 'leading' ? plan : undefined
  }

  #hold(): Alone {
    const end = (): End => this.#end
    return {
      indexes: this.indexes,
      get end() {
        return end()
      },
      commit: async (operations, change) => {
        const from = this.#end
        const to = { ...from, ...change, sequence: from.sequence + 1 }
        this.#end = to
        if ((await this.#settle({ from, to, operations }, Promise.resolve())) === 'fenced') throw this.#over()
      },
    }
  }

  /** Sends a write until its outcome is known. An answer that says that it came too early is waited out: those before it are still under way. */
  async #settle(write: Write, before: Promise<void>): Promise<Outcome> {
    const { to } = write
    const request = requestOf(write, this.fence)
    try {
      for (let early = 0; early < 2; ) {
        const outcome = judge(write, this.fence, await this.#options.caller.settle(request))
        if (outcome === 'durable' && to.sequence > this.#durable.sequence) this.#durable = to
        if (outcome === 'fenced') this.lose()
        if (outcome !== 'early') return outcome
        early++
        await before
        // Where one before it failed, it can never be its turn.
        if (!this.leads) return await this.#refusal()
      }
      throw new CoxswainError('JOURNAL_WRITE_FAILED', 'etcd does not have a write that it acknowledged.', { id: endKey })
    } catch (error) {
      this.lose(failureOf(error))
      throw error
    }
  }
}

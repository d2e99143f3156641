// Owns spaces and transactions as users write them: reads that are remembered, writes that wait, all of it sent at once.
// Must not repeat what a user's function did but by calling it again.
import { Chunk, ChunkWriter, CoxswainError, type Exchange, limits } from '../protocol/index.ts'
import type { TaskOf } from './define.ts'
import type { WorkflowOf } from './flow/workflow.ts'
import { addInline, inlineValue } from './items.ts'
import type { LockGrant } from './locks.ts'
import { type JobOptions, newJobId, type Parts } from './parts.ts'
import { pause } from './pause.ts'
import { prepareJob } from './submission.ts'
import { messageOf, type Submission, type Submitter, spread } from './submitter.ts'
import { signalItem } from './telling.ts'

/** An entry of a space. */
export interface StateEntry<T> {
  value: T
  /** Given by the transaction that wrote it; no version comes twice. */
  version: number
}

/** What a write may depend on. */
export interface WriteOptions {
  /** It must still be of this version, 0: not there. Else TRANSACTION_CONFLICT. */
  version?: number
}

/** Options of `transact`. */
export interface TransactOptions {
  /** How often the function is called again where another transaction was faster. Default 20. */
  retries?: number
  signal?: AbortSignal
}

const retriesDefault = 20
const pauseMsBase = 2
const pauseMsMax = 200

/** A small durable key-value space: each key has a value and a version. For what must not be lost and is not large. */
export class StateSpace<T> {
  readonly name: string
  readonly #spaces: Spaces

  /** @internal Made by `cluster.state`. */
  constructor(spaces: Spaces, name: string) {
    this.#spaces = spaces
    this.name = name
  }

  /** The value of a key, or undefined. Linearizable: what was answered to anyone before is seen. */
  async get(key: string): Promise<T | undefined> {
    return (await this.entry(key))?.value
  }

  /** The value of a key with its version, or undefined. */
  async entry(key: string): Promise<StateEntry<T> | undefined> {
    return (await this.#spaces.read(this.name, key)) as StateEntry<T> | undefined
  }

  /** Writes a value; resolves with its version when that is durable. */
  async set(key: string, value: T, options: WriteOptions = {}): Promise<number> {
    return this.#spaces.write({ space: this.name, key, item: itemOf(this.name, key, value) }, options)
  }

  /** Deletes a key; one that is not there stays so. */
  async delete(key: string, options: WriteOptions = {}): Promise<void> {
    await this.#spaces.write({ space: this.name, key, item: undefined }, options)
  }

  /** All entries whose keys begin with `prefix`, in the order of their keys. What changes meanwhile may or may not be among them. */
  async *entries(options: { prefix?: string } = {}): AsyncGenerator<[key: string, value: T, version: number]> {
    yield* this.#spaces.list(this.name, options.prefix ?? '') as AsyncGenerator<[string, T, number]>
  }
}

/** A space within a transaction: it reads what was written in it before. */
export interface TransactionSpace<T> {
  get(key: string): Promise<T | undefined>
  set(key: string, value: T): void
  delete(key: string): void
}

/** What happens together or not at all. */
export class Transaction {
  readonly #spaces: Spaces
  readonly #read = new Map<string, { space: string; key: string; version: number; value: unknown }>()
  readonly #written = new Map<string, Exchange['writes'][number] & { value: unknown }>()
  readonly #grants = new Set<LockGrant>()
  readonly #signals: Exchange['signals'] = []
  readonly #jobs: Promise<Submission>[] = []

  /** @internal Made by `cluster.transact`. */
  constructor(spaces: Spaces) {
    this.#spaces = spaces
  }

  /** A space: what is read of it must still be so when the transaction is done. */
  state<T = unknown>(name: string): TransactionSpace<T> {
    checkName(name)
    return {
      get: async key => (await this.#get(name, key)) as T | undefined,
      set: (key, value) => {
        this.#written.set(nameOf(name, key), { space: name, key, item: itemOf(name, key, value), value })
      },
      delete: key => {
        checkKey(key)
        this.#written.set(nameOf(name, key), { space: name, key, item: undefined, value: undefined })
      },
    }
  }

  /** The lock must still be held. Throws LOCK_LOST where that is known to be over. */
  holds(grant: LockGrant): void {
    grant.checkHeld()
    this.#grants.add(grant)
  }

  /** Tells a workflow something with the rest, as `cluster.signal` does. One that has ended ends the transaction with JOB_ENDED. Throws VALUE_CANNOT_TRAVEL. */
  signal(job: string, name: string, payload?: unknown, options: { id?: string } = {}): void {
    const signal = options.id ?? this.#spaces.parts.platform.random.uuid()
    this.#signals.push({ job, name, signal, item: signalItem(name, payload) })
  }

  /** Submits a task or workflow with the rest; gives the job's id. */
  submit<Input>(
    definition: TaskOf<Input, unknown> | WorkflowOf<Input, unknown>,
    ...call: undefined extends Input ? [input?: Input, options?: JobOptions] : [input: Input, options?: JobOptions]
  ): string {
    const [input, options = {}] = call
    const id = options.id ?? newJobId(this.#spaces.parts.platform)
    const job = prepareJob(this.#spaces.parts, definition as TaskOf<unknown, unknown>, input, { ...options, id }, true)
    job.catch(nothing)
    this.#jobs.push(job)
    return id
  }

  async #get(space: string, key: string): Promise<unknown> {
    const name = nameOf(space, key)
    const written = this.#written.get(name)
    if (written) return written.value
    const known = this.#read.get(name)
    if (known) return known.value
    const entry = await this.#spaces.read(space, key)
    const value = entry?.value
    this.#read.set(name, { space, key, version: entry?.version ?? 0, value })
    return value
  }

  /** @internal What is to be sent. */
  async finish(): Promise<{ exchange: Exchange; jobs: Submission[] }> {
    for (const grant of this.#grants) if (grant.lost) throw grant.signal.reason
    const checks = [...this.#read.values()].map(({ space, key, version }) => ({ space, key, version }))
    const writes = [...this.#written.values()].map(({ space, key, item }) => ({ space, key, item }))
    const { transactionEntriesMax, transactionSignalsMax, transactionJobsMax } = limits
    atMost(transactionEntriesMax, 'reads and writes at most # entries each', checks, writes)
    atMost(transactionSignalsMax, 'sends at most # signals', this.#signals)
    atMost(transactionJobsMax, 'submits at most # jobs', this.#jobs)
    const grants = [...this.#grants].map(grant => grant.id)
    return { exchange: { checks, writes, grants, signals: this.#signals }, jobs: await Promise.all(this.#jobs) }
  }
}

function atMost(max: number, rule: string, ...lists: readonly unknown[][]): void {
  const many = lists.find(list => list.length > max)
  if (many) throw new CoxswainError('INVALID_ARGUMENT', `A transaction ${rule.replace('#', String(max))}; this one has ${many.length}.`)
}

function nameOf(space: string, key: string): string {
  return JSON.stringify([space, key])
}

function checkName(name: string): void {
  if (typeof name !== 'string' || name === '' || Buffer.byteLength(name) > limits.nameBytesMax)
    throw new CoxswainError('INVALID_ARGUMENT', `The name of a state is a text of 1 to ${limits.nameBytesMax} bytes.`, { id: 'name' })
}

function checkKey(key: string): void {
  if (typeof key !== 'string' || key === '' || Buffer.byteLength(key) > limits.spaceKeyBytesMax)
    throw new CoxswainError('INVALID_ARGUMENT', `A key is a text of 1 to ${limits.spaceKeyBytesMax} bytes.`, { id: 'key' })
}

/** A value as it is stored. Throws VALUE_CANNOT_TRAVEL. */
function itemOf(space: string, key: string, value: unknown): Buffer {
  checkKey(key)
  const chunk = new ChunkWriter()
  if (addInline(chunk, value)) return chunk.finish()
  throw new CoxswainError(
    'VALUE_CANNOT_TRAVEL',
    `The value of ${space}/${key} is larger than ${limits.inlineBytesMax} bytes: keep it elsewhere, and its place here.`,
    {
      id: key,
    },
  )
}

/** The spaces of one client. */
export class Spaces {
  readonly parts: Parts
  readonly #submitter: Submitter
  #next = 1
  /** Transactions without an answer. */
  readonly #open = new Set<number>()

  constructor(parts: Parts, submitter: Submitter) {
    this.parts = parts
    this.#submitter = submitter
  }

  state<T>(name: string): StateSpace<T> {
    checkName(name)
    return new StateSpace<T>(this, name)
  }

  async read(space: string, key: string): Promise<StateEntry<unknown> | undefined> {
    checkKey(key)
    const reply = await this.parts.session.request({ kind: 'readEntries', space, keys: [key] })
    const entry = reply.kind === 'entries' ? reply.entries[0] : undefined
    return entry?.item ? { value: inlineValue(new Chunk(entry.item), 0), version: entry.version } : undefined
  }

  async *list(space: string, prefix: string): AsyncGenerator<[string, unknown, number]> {
    for (let after: string | undefined = ''; after !== undefined; ) {
      const message = { kind: 'listEntries', space, prefix, after, limit: limits.transactionEntriesMax } as const
      const reply = await this.parts.session.request(message)
      if (reply.kind !== 'entries') return
      for (const { key, version, item } of reply.entries) if (item) yield [key, inlineValue(new Chunk(item), 0), version]
      after = reply.next
    }
  }

  write(write: Exchange['writes'][number], { version }: WriteOptions): Promise<number> {
    const { space, key } = write
    checkKey(key)
    const checks = version === undefined ? [] : [{ space, key, version }]
    return this.#send({ checks, writes: [write], grants: [], signals: [] }, [])
  }

  async transact<R>(body: (transaction: Transaction) => R | Promise<R>, options: TransactOptions): Promise<R> {
    const { signal } = options
    const retries = options.retries ?? retriesDefault
    if (!Number.isInteger(retries) || retries < 0)
      throw new CoxswainError('INVALID_ARGUMENT', `retries is ${retries}: it must be a whole number from 0.`, { id: 'retries' })
    for (let attempt = 0; ; attempt++) {
      signal?.throwIfAborted()
      const transaction = new Transaction(this)
      const result = await body(transaction)
      try {
        const { exchange, jobs } = await transaction.finish()
        await this.#send(exchange, jobs)
        return result
      } catch (error) {
        if ((error as CoxswainError).code !== 'TRANSACTION_CONFLICT' || attempt >= retries) throw error
        await pause(this.parts.clock, spread(this.parts, Math.min(pauseMsMax, pauseMsBase * 2 ** attempt)), signal)
      }
    }
  }

  /** One transaction; the programs that its jobs need are sent where they are missing. */
  async #send(exchange: Exchange, jobs: readonly Submission[]): Promise<number> {
    return this.#submitter.withPrograms(jobs, async () => {
      const number = this.#next++
      this.#open.add(number)
      try {
        const before = Math.min(...this.#open)
        const reply = await this.parts.session.request({ kind: 'transact', number, before, exchange, jobs: jobs.map(messageOf) })
        return reply.kind === 'transacted' ? reply.version : 0
      } finally {
        this.#open.delete(number)
      }
    })
  }
}

function nothing(): void {}

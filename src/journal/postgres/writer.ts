// Owns the order of what is written: appends that wait go together into one transaction, each after the one before.
// Must not know how a transaction is sent.
import { OverloadedError } from '../../protocol/errors.ts'
import type { Append, Claim } from '../journal.ts'
import { appendsInFlightMax, copyOfAppend } from '../rules.ts'
import { Commits, type WriterNeeds, type WritingTenure, writeFailed } from './commits.ts'
import { fault } from './faults.ts'
import type { SessionOptions } from './session.ts'
import type { Leading } from './tenure.ts'

/** Bytes of appends in one transaction (one append may pass it). */
const batchBytesMax = 8 << 20
/** What is under way when the store is closed has so long to end. */
const goodbyeMs = 2000

type Outcome = 'durable' | 'fenced'

/** An append that waits, and the leadership under which it was asked for. */
interface Waiting {
  kind: 'append'
  append: Append
  tenure: WritingTenure | undefined
  resolve(outcome: Outcome): void
  reject(error: unknown): void
}

/** Anything else that has its place in the order. */
interface Work {
  kind: 'work'
  run(): Promise<void>
}

function bytesOf({ records, payloads }: Append): number {
  return payloads.reduce((sum, { bytes }) => sum + bytes.length, records.length)
}

/** True where rows of the history go, which have to be read before. */
function takesFromHistory({ history }: Append): boolean {
  return history?.emptied !== undefined || history?.forgotten !== undefined
}

/** What appends and claims. */
export class Writer {
  readonly #leading: Leading
  readonly #batch: WriterNeeds['batch']
  readonly #commits: Commits
  readonly #queue: (Waiting | Work)[] = []
  #waiting = 0
  #running: Promise<void> | undefined
  #closed = false

  constructor(options: SessionOptions, leading: Leading, needs: WriterNeeds) {
    this.#leading = leading
    this.#batch = needs.batch
    this.#commits = new Commits(options, needs)
  }

  async append(append: Append): Promise<Outcome> {
    if (this.#closed) throw writeFailed('The store is closed.')
    if (this.#waiting >= appendsInFlightMax) throw new OverloadedError(`${appendsInFlightMax} appends are under way.`)
    const copy = copyOfAppend(append)
    // As the claim that began it made it.
    const tenure = this.#leading.tenure as WritingTenure | undefined
    this.#waiting++
    try {
      return await new Promise<Outcome>((resolve, reject) => this.#enqueue({ kind: 'append', append: copy, tenure, resolve, reject }))
    } finally {
      this.#waiting--
    }
  }

  /** Claims, when what was asked before is over. Resolves with the new leadership, undefined if another one was faster. */
  claim(claim: Claim): Promise<WritingTenure | undefined> {
    const copy = { ...claim, opening: copyOfAppend(claim.opening) }
    return this.#inOrder(() => this.#commits.claim(copy))
  }

  /** Resolves when all that was asked before is over. */
  settled(): Promise<void> {
    return this.#inOrder(async () => undefined)
  }

  /** Whatever is under way ends now, with an unknown outcome. */
  cut(): void {
    this.#commits.cut()
  }

  async close(): Promise<void> {
    this.#closed = true
    const cut = setTimeout(() => this.#commits.end(), goodbyeMs)
    await this.#running
    clearTimeout(cut)
    await this.#commits.close()
  }

  #inOrder<T>(work: () => Promise<T>): Promise<T> {
    if (this.#closed) return Promise.reject(writeFailed('The store is closed.'))
    return new Promise<T>((resolve, reject) => this.#enqueue({ kind: 'work', run: () => work().then(resolve, reject) }))
  }

  #enqueue(item: Waiting | Work): void {
    this.#queue.push(item)
    // What is asked for in the same turn goes together.
    this.#running ??= Promise.resolve().then(() => this.#run())
  }

  async #run(): Promise<void> {
    for (let item = this.#queue[0]; item !== undefined; item = this.#queue[0]) {
      if (item.kind === 'append') await this.#appendSome()
      else {
        this.#queue.shift()
        await item.run()
      }
    }
    this.#running = undefined
  }

  /** Takes from the queue what may become durable together, and settles it. */
  async #appendSome(): Promise<void> {
    const first = this.#queue[0] as Waiting
    const { tenure } = first
    const some: Waiting[] = []
    let next = (tenure?.end.lastIndex ?? 0) + 1
    let bytes = 0
    for (let item = this.#queue[0]; item?.kind === 'append'; item = this.#queue[0]) {
      const { append } = item
      const fits =
        !tenure?.over && item.tenure === tenure && append.epoch === tenure?.epoch && append.firstIndex === next && append.count > 0
      if (!fits || (some.length > 0 && (bytes > batchBytesMax || takesFromHistory(append) || takesFromHistory(some[0]!.append)))) break
      some.push(item)
      this.#queue.shift()
      next += append.count
      bytes += bytesOf(append)
    }
    if (some.length > 0 && tenure) return this.#settle(tenure, some)
    this.#queue.shift()
    this.#refuse(first)
  }

  #refuse({ tenure, resolve, reject }: Waiting): void {
    if (tenure?.failure) return reject(writeFailed(`The store was given up: ${tenure.failure.message}`, tenure.failure))
    if (tenure) this.#leading.end(tenure)
    resolve('fenced')
  }

  async #settle(tenure: WritingTenure, some: readonly Waiting[]): Promise<void> {
    try {
      const batch = await this.#batch(
        some.map(({ append }) => append),
        tenure.end,
      )
      const outcome = await this.#commits.commit(tenure, batch)
      if (outcome === 'durable') tenure.end = batch.end
      else this.#leading.end(tenure)
      for (const { resolve } of some) resolve(outcome)
    } catch (error) {
      const failure = fault(error, 'JOURNAL_WRITE_FAILED', 'The journal on PostgreSQL was not written')
      this.#leading.end(tenure, failure)
      for (const { reject } of some) reject(failure.code === 'JOURNAL_WRITE_FAILED' ? failure : writeFailed(failure.message, failure))
    }
  }
}

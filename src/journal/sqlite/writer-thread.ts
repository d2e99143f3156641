// Owns the leader's side of the writer's thread: what was asked and not answered, in order, with named limits, and what happens when the thread dies.
// Must not block: everything that touches a disk is on the other side.
import { MessageChannel, type MessagePort, type Worker } from 'node:worker_threads'
import { CoxswainError, OverloadedError } from '../../protocol/errors.ts'
import type { Append } from '../journal.ts'
import { appendsInFlightMax } from '../rules.ts'
import { fromWire, type WireError } from './faults.ts'
import { appendBytes, encodeAppend, Ring, SlabPool, slotKind, slotStatus } from './slabs.ts'
import { extension, failure, lastWords, opened, spawn, type ThreadOwner } from './threads.ts'
import type { FromWriter, ToWriter, WriterCall, WriterStart } from './wire.ts'

/** Bytes of all appends under way together; the next is refused with OVERLOADED (one append may pass it). */
const appendBytesInFlightMax = 256 << 20
/** Calls beside appends under way at once. */
const callsInFlightMax = 128

interface Waiting {
  resolve(value: never): void
  reject(error: Error): void
  slab: number
  bytes: number
}

/** The writer's thread as the leader's thread sees it. */
export class WriterThread {
  readonly #port: MessagePort
  readonly #ring: Ring
  readonly #pool: SlabPool
  readonly #owner: ThreadOwner
  #waiting: Waiting[] = []
  readonly #answers = new Map<number, FromWriter & { kind: 'answer' }>()
  readonly #compactions: Omit<Waiting, 'slab' | 'bytes'>[] = []
  #settled = 0
  #appends = 0
  #appendBytes = 0
  #failure: CoxswainError | undefined
  #ended = false

  private constructor(worker: Worker, port: MessagePort, ring: Ring, owner: ThreadOwner) {
    this.#port = port
    this.#ring = ring
    this.#owner = owner
    this.#pool = new SlabPool((slab, memory) => this.#tell({ kind: 'slab', slab, memory }))
    port.on('message', (message: FromWriter) => this.#heard(message))
    port.unref()
    worker.on('error', error => this.fail(failure(error)))
    worker.on('exit', () => this.#exited())
  }

  /** Starts the thread and waits until the files are open. `checkpoints` is its end of the channel to the reader. */
  static async start(folder: string, rowBytesKept: number, checkpoints: MessagePort, owner: ThreadOwner): Promise<WriterThread> {
    const { port1, port2 } = new MessageChannel()
    const ring = new Ring()
    const start: WriterStart = { folder, rowBytesKept, ring: ring.memory, port: port2, checkpoints }
    const worker = spawn(new URL(`./writer${extension}`, import.meta.url), start, [port2, checkpoints])
    try {
      await opened(worker, port1)
    } catch (error) {
      port1.close()
      throw error
    }
    return new WriterThread(worker, port1, ring, owner)
  }

  /** Queues an append; its bytes are copied before this returns. */
  append(append: Append): Promise<'durable' | 'fenced'> {
    const bytes = appendBytes(append)
    if (this.#appends >= appendsInFlightMax || (this.#appends > 0 && this.#appendBytes + bytes > appendBytesInFlightMax)) {
      return Promise.reject(new OverloadedError(`${this.#appends} appends of ${this.#appendBytes} bytes are under way.`))
    }
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    const slab = this.encode(append)
    this.#appends++
    this.#appendBytes += bytes
    return this.#ask(slotKind.append, slab, bytes)
  }

  /** An append will come in a moment. */
  rouse(): void {
    if (this.#waiting.length === 0) this.#ring.rouse()
  }

  /** Stands still until something of what was asked is answered, at most so long. */
  standStill(msMax: number): void {
    if (this.#waiting.length === 0) return
    this.#ring.standStill(this.#settled, msMax)
    this.#settle()
  }

  /** Writes an append into a slab of its own, for `append` or a claim. */
  encode(append: Append): number {
    const { slab, memory } = this.#pool.take(appendBytes(append))
    encodeAppend(memory, append)
    return slab
  }

  /** Queues a call behind all that was asked before. */
  call<T extends string | undefined>(call: WriterCall, slab = -1): Promise<T> {
    const refusal = this.#failure !== undefined && call.call !== 'close' ? this.#failure : undefined
    const full = this.#waiting.length - this.#appends >= callsInFlightMax
    if (refusal !== undefined || full) {
      if (slab >= 0) this.#pool.release(slab)
      return Promise.reject(refusal ?? new OverloadedError(`${callsInFlightMax} calls of the journal are under way.`))
    }
    this.#tell({ kind: 'call', call })
    return this.#ask(slotKind.call, slab, -1)
  }

  /** Compacts; resolves when the last step is done. */
  async compact(epoch: number, index: number): Promise<void> {
    if (this.#compactions.length >= callsInFlightMax) throw new OverloadedError(`${callsInFlightMax} compactions are under way.`)
    const done = new Promise<void>((resolve, reject) => this.#compactions.push({ resolve: resolve as () => void, reject }))
    try {
      await this.call({ call: 'compact', epoch, index })
    } catch (error) {
      this.#compactions.pop()
      throw error
    }
    this.#hold()
    return done
  }

  /** Rejects everything under way and to come. */
  fail(error: CoxswainError): void {
    if (this.#failure !== undefined) return
    this.#failure = error
    for (const { reject } of this.#waiting) reject(error)
    for (const { reject } of this.#compactions.splice(0)) reject(error)
    this.#owner.failed(error)
  }

  /** Lets the thread finish what was asked, close its files and end. */
  async close(): Promise<void> {
    if (this.#ended) return
    this.#failure ??= new CoxswainError('JOURNAL_WRITE_FAILED', 'The store is closed.')
    await this.call({ call: 'close' })
    this.#ended = true
    this.#port.close()
  }

  #ask<T>(kind: number, slab: number, bytes: number): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#waiting.push({ resolve: resolve as (value: never) => void, reject, slab, bytes })
      if (this.#waiting.length === 1) this.#hold()
      this.#ring.ask(kind, slab)
    })
  }

  #tell(message: ToWriter): void {
    this.#port.postMessage(message)
  }

  /** Keeps the process alive while something is under way, and only then. */
  #hold(): void {
    if (this.#waiting.length + this.#compactions.length > 0) this.#port.ref()
    else this.#port.unref()
  }

  #heard(message: FromWriter): void {
    if (message.kind === 'log') this.#owner.log(message.level, message.event, message.fields)
    else if (message.kind === 'failed') this.fail(failure(fromWire(message.error)))
    else if (message.kind === 'compacted') this.#compacted(message.error)
    else if (message.kind === 'answer') this.#answers.set(message.slot, message)
    this.#settle()
  }

  #compacted(error: WireError | undefined): void {
    const compaction = this.#compactions.shift()
    if (error === undefined) compaction?.resolve(undefined as never)
    else compaction?.reject(fromWire(error))
    this.#hold()
  }

  #settle(): void {
    const { done } = this.#ring
    while (this.#settled !== done) {
      const slot = this.#settled
      const status = this.#ring.status(slot)
      const answer = this.#answers.get(slot)
      // The message that says more is behind the one that woke us.
      if (status === slotStatus.answered && answer === undefined) return
      if (status === slotStatus.failed && this.#failure === undefined) return
      this.#answers.delete(slot)
      this.#settled = (slot + 1) | 0
      const waiting = this.#waiting.shift()!
      if (waiting.slab >= 0) this.#pool.release(waiting.slab)
      if (waiting.bytes >= 0) {
        this.#appends--
        this.#appendBytes -= waiting.bytes
      }
      if (this.#waiting.length === 0) this.#hold()
      if (answer?.error !== undefined) waiting.reject(fromWire(answer.error))
      else if (status === slotStatus.failed) waiting.reject(this.#failure!)
      else waiting.resolve((answer === undefined ? (status === slotStatus.durable ? 'durable' : 'fenced') : answer.value) as never)
    }
  }

  #exited(): void {
    this.#ended = true
    // The end of a thread may be told before its last words are heard.
    for (const last of lastWords<FromWriter>(this.#port)) this.#heard(last)
    const error = new CoxswainError('JOURNAL_WRITE_FAILED', "The journal's writer ended.")
    for (const { reject } of this.#waiting) reject(error)
    this.#waiting = []
    this.#port.close()
    this.fail(error)
  }
}

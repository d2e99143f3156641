// Owns the leader's side of the reader's thread: questions and answers, with a named limit, and what happens when the thread dies.
// Must not block: everything that touches a disk is on the other side.
import { MessageChannel, type MessagePort, type TransferListItem, type Worker } from 'node:worker_threads'
import { CoxswainError, OverloadedError } from '../../protocol/errors.ts'
import { readsInFlightMax } from '../rules.ts'
import { fromWire } from './faults.ts'
import { extension, failure, lastWords, opened, spawn, type ThreadOwner } from './threads.ts'
import type { FromReader, Question, ReaderStart } from './wire.ts'

/** The reader's thread as the leader's thread sees it. */
export class ReaderThread {
  readonly #port: MessagePort
  readonly #waiting = new Map<number, { resolve(value: never): void; reject(error: Error): void }>()
  readonly #owner: ThreadOwner
  #next = 0
  #closed = false

  private constructor(worker: Worker, port: MessagePort, owner: ThreadOwner) {
    this.#port = port
    this.#owner = owner
    port.on('message', (message: FromReader) => this.#heard(message))
    port.unref()
    worker.on('error', error => owner.failed(failure(error)))
    worker.on('exit', () => this.#exited())
  }

  /** Starts the thread, which opens the files once `filesThere` resolves, and waits until they are open. */
  static async start(
    folder: string,
    checkpoints: MessagePort | undefined,
    owner: ThreadOwner,
    filesThere: Promise<unknown>,
  ): Promise<ReaderThread> {
    const { port1, port2 } = new MessageChannel()
    const start: ReaderStart = { folder, port: port2, ...(checkpoints === undefined ? {} : { checkpoints }) }
    const worker = spawn(
      new URL(`./reader${extension}`, import.meta.url),
      start,
      checkpoints === undefined ? [port2] : [port2, checkpoints],
    )
    try {
      await filesThere
      port1.postMessage('open')
      await opened(worker, port1)
    } catch (error) {
      port1.close()
      await worker.terminate()
      throw error
    }
    return new ReaderThread(worker, port1, owner)
  }

  /** Asks; answers come in the order of the questions. */
  ask<T>(question: Question, transfer: TransferListItem[] = []): Promise<T> {
    if (this.#closed) return Promise.reject(new CoxswainError('UNAVAILABLE', 'The store is closed.'))
    if (this.#waiting.size >= readsInFlightMax)
      return Promise.reject(new OverloadedError(`${readsInFlightMax} reads of the journal are under way.`))
    return new Promise<T>((resolve, reject) => {
      const number = this.#next++
      this.#waiting.set(number, { resolve: resolve as (value: never) => void, reject })
      if (this.#waiting.size === 1) this.#port.ref()
      this.#port.postMessage({ number, question }, transfer)
    })
  }

  /** Lets the thread answer what was asked, close its files and end. */
  async close(): Promise<void> {
    if (this.#closed) return
    const done = this.ask<void>({ ask: 'close' })
    this.#closed = true
    await done
    this.#port.close()
  }

  #heard(message: FromReader): void {
    if (message.kind === 'log') this.#owner.log(message.level, message.event, message.fields)
    else if (message.kind === 'failed') this.#owner.failed(failure(fromWire(message.error)))
    if (message.kind !== 'answer') return
    const waiting = this.#waiting.get(message.number)
    this.#waiting.delete(message.number)
    if (this.#waiting.size === 0) this.#port.unref()
    if (message.error === undefined) waiting?.resolve(message.value as never)
    else waiting?.reject(fromWire(message.error))
  }

  #exited(): void {
    // The end of a thread may be told before its last words are heard.
    for (const last of lastWords<FromReader>(this.#port)) this.#heard(last)
    const error = new CoxswainError('UNAVAILABLE', "The journal's reader ended.")
    for (const { reject } of this.#waiting.values()) reject(error)
    this.#waiting.clear()
    this.#port.close()
    if (!this.#closed) this.#owner.failed(new CoxswainError('JOURNAL_WRITE_FAILED', "The journal's reader ended."))
    this.#closed = true
  }
}

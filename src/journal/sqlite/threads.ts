// Owns how the journal's threads are started, and what their owner is told.
// Must not know what they are asked.
import { type MessagePort, receiveMessageOnPort, type TransferListItem, Worker } from 'node:worker_threads'
import { CoxswainError } from '../../protocol/errors.ts'
import { fromWire } from './faults.ts'
import type { Log } from './ledger.ts'
import type { FromReader, FromWriter } from './wire.ts'

/** What this release's files end with: sources run as they are, the package holds JavaScript. */
export const extension = import.meta.url.endsWith('.ts') ? '.ts' : '.js'

/** What the owner of a thread is told. */
export interface ThreadOwner {
  log: Log
  /** The store is to be given up. */
  failed(error: CoxswainError): void
}

/** Starts a thread of this room; it does not keep the process alive. */
export function spawn(file: URL, start: object, transfer: TransferListItem[]): Worker {
  // The process's own flags may be for its main script only, such as --input-type.
  const worker = new Worker(file, { execArgv: [], workerData: start, transferList: transfer })
  worker.unref()
  return worker
}

/** Resolves when the thread has opened the files; rejects with why it did not. */
export function opened(worker: Worker, port: MessagePort): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (error?: Error) => {
      port.off('message', listen)
      worker.off('error', settle)
      if (error === undefined) resolve()
      else reject(error)
    }
    const listen = (message: FromWriter | FromReader) => {
      if (message.kind === 'ready') settle()
      else if (message.kind === 'refused') settle(fromWire(message.error))
    }
    port.on('message', listen)
    worker.once('error', settle)
  })
}

/** Any error as one of ours. */
export function failure(error: Error): CoxswainError {
  if (error instanceof CoxswainError) return error
  return new CoxswainError('JOURNAL_WRITE_FAILED', `The journal broke: ${error.message}.`, { cause: error })
}

/** What a thread said and nobody has heard yet. */
export function lastWords<T>(port: MessagePort): T[] {
  const words: T[] = []
  for (let received = receiveMessageOnPort(port); received !== undefined; received = receiveMessageOnPort(port))
    words.push(received.message as T)
  return words
}

// Owns the SQLite backend's face: a store that can lead, and a reader that cannot.
// Must not touch a disk in the caller's thread, except to look at the folder once.
import type { CoxswainError } from '../../protocol/index.ts'
import type { History, HistoryPage, HistoryRow } from '../history.ts'
import type { Append, Claim, Journal, JournalRow, JournalSize, Leadership, LeadershipView, Snapshot, Snapshots, Store } from '../journal.ts'
import { Lost } from '../lost.ts'
import { type Inspectable, type Inspection, rowBytesKeptDefault } from '../rules.ts'
import { checkFolder, prepareFolder } from './folder.ts'
import type { Log, WrittenSnapshot } from './ledger.ts'
import { ReaderThread } from './reader-thread.ts'
import { WriterThread } from './writer-thread.ts'

/** A snapshot goes to the other thread in pieces of this size. */
const snapshotPieceBytes = 4 << 20

/** How a SQLite store is opened. */
export interface SqliteOptions {
  /** On a local disk, owned by this user; made if it is not there. It is this store's alone: nothing else may open files in it. */
  folder: string
  /** Rows up to this size together are kept by `compact` although nobody needs them, so that stories can be told. */
  rowBytesKept?: number
  /** Told what the operator should know. */
  log?: Log
}

/** What can be asked of a journal that another process may be writing. */
export interface StoreReader extends Inspectable {
  journal: Pick<Journal, 'read' | 'payload' | 'size'>
  history: History
  snapshots: Pick<Snapshots, 'latest'>
  leadership: Pick<Leadership, 'view'>
  close(): Promise<void>
}

function readingJournal(reader: ReaderThread): StoreReader['journal'] {
  return {
    read: (fromIndex, rowsMax) => reader.ask<JournalRow[]>({ ask: 'read', fromIndex, rowsMax }),
    payload: payload => reader.ask<Uint8Array | undefined>({ ask: 'payload', payload }),
    size: () => reader.ask<JournalSize>({ ask: 'size' }),
  }
}

function readingHistory(reader: ReaderThread): History {
  return {
    page: query => reader.ask<HistoryPage>({ ask: 'history', query }),
    row: job => reader.ask<HistoryRow | undefined>({ ask: 'historyRow', job }),
  }
}

function inspection(reader: ReaderThread): Inspection {
  return {
    payloadIds: (after, idsMax) => reader.ask<number[]>({ ask: 'payloadIds', after, idsMax }),
    snapshots: () => reader.ask<{ index: number; holds: boolean }[]>({ ask: 'snapshots' }),
    problems: () => reader.ask<string[]>({ ask: 'problems' }),
  }
}

/** A store in a folder, with its two threads. */
class SqliteStore implements Store, Inspectable {
  readonly journal: Journal
  readonly history: History
  readonly snapshots: Snapshots
  readonly leadership: Leadership
  readonly inspect: Inspection
  readonly #writer: WriterThread
  readonly #reader: ReaderThread
  readonly #lost: Lost
  #saving: Promise<unknown> = Promise.resolve()
  #closing: Promise<void> | undefined

  constructor(writer: WriterThread, reader: ReaderThread, lost: Lost) {
    this.#writer = writer
    this.#reader = reader
    this.#lost = lost
    this.journal = {
      append: append => this.#append(append),
      rouse: () => writer.rouse(),
      standStill: msMax => writer.standStill(msMax),
      ...readingJournal(reader),
      compact: (epoch, index) => writer.compact(epoch, index),
    }
    this.history = readingHistory(reader)
    this.snapshots = {
      save: snapshot => {
        const saved = this.#saving.then(() => this.#save(snapshot)).catch((error: unknown) => this.#savedOr(error))
        this.#saving = saved.catch(() => undefined)
        return saved
      },
      latest: () => reader.ask<Snapshot | undefined>({ ask: 'latestSnapshot' }),
    }
    this.leadership = {
      view: () => reader.ask<LeadershipView>({ ask: 'view' }),
      claim: claim => this.#claim(claim),
      resign: () => this.#resign(),
      onLost: callback => lost.listen(callback),
    }
    this.inspect = inspection(reader)
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#lost.forget()
    await this.#saving
    await this.#reader.close()
    await this.#writer.close()
  }

  async #append(append: Append): Promise<'durable' | 'fenced'> {
    const outcome = await this.#writer.append(append)
    if (outcome === 'fenced') this.#lost.happened()
    return outcome
  }

  async #claim({ opening, ...claim }: Claim): Promise<'claimed' | 'lost'> {
    const slab = this.#writer.encode(opening)
    const outcome = await this.#writer.call<'claimed' | 'lost'>({ call: 'claim', claim, slab }, slab)
    if (outcome === 'claimed') this.#lost.leading()
    return outcome
  }

  async #resign(): Promise<void> {
    this.#lost.resigned()
    await this.#writer.call({ call: 'resign' })
  }

  async #save({ state, ...head }: Snapshot): Promise<'durable' | 'fenced'> {
    const snapshot = { index: head.index, epoch: head.epoch, hash: Uint8Array.from(head.hash) }
    if ((await this.#writer.call({ call: 'checkSnapshot', snapshot })) === 'fenced') return this.#fenced()
    await this.#reader.ask({ ask: 'beginSnapshot', snapshot })
    for (let at = 0; at < state.length; at += snapshotPieceBytes) {
      const piece = new Uint8Array(Math.min(snapshotPieceBytes, state.length - at))
      piece.set(state.subarray(at, at + piece.length))
      await this.#reader.ask({ ask: 'addToSnapshot', piece }, [piece.buffer])
    }
    const written = await this.#reader.ask<WrittenSnapshot>({ ask: 'endSnapshot' })
    const outcome = await this.#writer.call<'durable' | 'fenced'>({ call: 'saveSnapshot', snapshot: written })
    return outcome === 'fenced' ? this.#fenced() : outcome
  }

  /** Whoever leads after this process clears away what it does not know, also a file that is being written: that is no failure. */
  #savedOr(error: unknown): 'fenced' {
    if (this.#lost.leads) throw error
    return 'fenced'
  }

  #fenced(): 'fenced' {
    this.#lost.happened()
    return 'fenced'
  }
}

const silent: Log = () => undefined

/** Opens the store in a folder, made if it is not there. Several processes may; one of them leads. */
export async function openSqliteStore({
  folder,
  rowBytesKept = rowBytesKeptDefault,
  log = silent,
}: SqliteOptions): Promise<Store & Inspectable> {
  await prepareFolder(folder)
  const lost = new Lost()
  let failWriter = (_: CoxswainError): void => undefined
  const failed = (error: CoxswainError) => {
    log('error', 'journal-failed', { code: error.code, message: error.message, folder })
    lost.happened(error)
  }
  const { port1, port2 } = new MessageChannel()
  // Both threads load at once; the reader opens the files when the writer has made them.
  const writing = WriterThread.start(folder, rowBytesKept, port1, { log, failed })
  const reading = ReaderThread.start(folder, port2, { log, failed: error => failWriter(error) }, writing)
  const [writer, reader] = await Promise.allSettled([writing, reading])
  if (writer.status === 'rejected') throw writer.reason
  if (reader.status === 'rejected') {
    await writer.value.close()
    throw reader.reason
  }
  failWriter = error => writer.value.fail(error)
  return new SqliteStore(writer.value, reader.value, lost)
}

/** Opens the journal in a folder for reading only, also while a leader in another process writes it. */
export async function openSqliteReader(folder: string, log: Log = silent): Promise<StoreReader> {
  await checkFolder(folder)
  const failed = (error: CoxswainError) => log('error', 'journal-failed', { code: error.code, message: error.message, folder })
  const reader = await ReaderThread.start(folder, undefined, { log, failed }, Promise.resolve())
  return {
    journal: readingJournal(reader),
    history: readingHistory(reader),
    snapshots: { latest: () => reader.ask<Snapshot | undefined>({ ask: 'latestSnapshot' }) },
    leadership: { view: () => reader.ask<LeadershipView>({ ask: 'view' }) },
    inspect: inspection(reader),
    close: () => reader.close(),
  }
}

// Owns how what is kept sealed is read: what must be sealed, and that it is what was sealed there.
// Must not write.
import { CoxswainError, isSealed, type PayloadId, type Sealer } from '../../protocol/index.ts'
import { corruptHistory, type HistoryPage, type HistoryQuery, type HistoryRow } from '../history.ts'
import type { JournalRow, Snapshot } from '../journal.ts'
import { corruptPayload, corruptRow } from '../row.ts'
import type { StoreReader } from '../sqlite/store.ts'
import { type Beginning, sameBeginning, splitBeginning } from './beginning.ts'

const rowsAtOnce = 256
const historyRowsAtOnce = 1000
const changed = 'is not what was sealed there'
const inClear = 'is in clear, where all that is kept is encrypted'

/** What a row is about. Its beginning is within it: a row is where others learn of it. */
export function aboutRow({ firstIndex, count, epoch }: Pick<JournalRow, 'firstIndex' | 'count' | 'epoch'>): string {
  return `row ${firstIndex} ${count} ${epoch}`
}

/** What a snapshot is about. */
export function aboutSnapshot({ index, epoch, hash }: Omit<Snapshot, 'state'>): string {
  return `snapshot ${index} ${epoch} ${Buffer.from(hash).toString('hex')}`
}

/** What a payload is about. */
export function aboutPayload({ journal }: Beginning, payload: PayloadId): string {
  return `payload ${journal} ${payload}`
}

/** What the body of a row of the history is about: also of all that stands beside it in clear, but for its payloads, which go before it. */
export function aboutHistory({ journal }: Beginning, row: Omit<HistoryRow, 'payloads' | 'body'>): string {
  const { number, place, job, name, state, labels, submittedAtMs } = row
  return `history ${journal} ${JSON.stringify([number, place, job, name, state, labels, submittedAtMs])}`
}

/** Opens what a store keeps. Rows in clear are read as they are up to where sealing began, and refused from there on. */
export class Opener {
  readonly #sealer: Sealer
  readonly #store: StoreReader
  #beginning: Beginning | undefined
  /** The last row that was read in clear: sealing began behind it, or it does not belong there. */
  #clearIndex = 0
  /** Where to go on looking for the first sealed row. */
  #lookAt = 1

  constructor(sealer: Sealer, store: StoreReader) {
    this.#sealer = sealer
    this.#store = store
  }

  /** Where sealing began, if anything read until now told it. */
  get known(): Beginning | undefined {
    return this.#beginning
  }

  /** This handle began it, or goes on with it. */
  begins(beginning: Beginning): void {
    this.#learn(beginning, beginning.index)
  }

  /** Where sealing began; undefined if it did not. */
  async beginning(): Promise<Beginning | undefined> {
    if (this.#beginning !== undefined) return this.#beginning
    const { firstIndex, lastIndex } = await this.#store.journal.size()
    // In a journal that is sealed the newest row tells it. One in clear may have been put behind sealed ones by somebody: then all are looked at, once.
    if (lastIndex >= this.#lookAt) this.rows(await this.#store.journal.read(lastIndex, 1))
    for (let next = Math.max(firstIndex, this.#lookAt); this.#beginning === undefined && next <= lastIndex; ) {
      const rows = await this.#store.journal.read(next, rowsAtOnce)
      if (rows.length === 0) break
      this.rows(rows)
      next = rows.at(-1)!.firstIndex + rows.at(-1)!.count
      this.#lookAt = next
    }
    return this.#beginning
  }

  /** Rows as they were before they were sealed. Throws JOURNAL_CORRUPT or ENCRYPTION_KEY_WRONG. */
  rows(rows: readonly JournalRow[]): JournalRow[] {
    return rows.map(row => this.#row(row))
  }

  async payload(payload: PayloadId): Promise<Uint8Array | undefined> {
    const bytes = await this.#store.journal.payload(payload)
    if (bytes === undefined) return undefined
    // Looked for behind the read: what was written sealed came with a sealed row.
    const beginning = await this.beginning()
    if (beginning === undefined || payload < beginning.payload) return bytes
    if (!isSealed(bytes)) throw corruptPayload(payload, inClear)
    const opened = this.#sealer.open(bytes, aboutPayload(beginning, payload))
    if (opened === undefined) throw corruptPayload(payload, changed)
    return opened
  }

  async historyPage(query: HistoryQuery): Promise<HistoryPage> {
    const page = await this.#store.history.page(query)
    if (page.rows.length === 0) return page
    const beginning = await this.beginning()
    return { ...page, rows: page.rows.map(row => this.#historyRow(row, beginning)) }
  }

  async historyRow(job: string): Promise<HistoryRow | undefined> {
    const row = await this.#store.history.row(job)
    return row && this.#historyRow(row, await this.beginning())
  }

  async snapshot(): Promise<Snapshot | undefined> {
    const snapshot = await this.#store.snapshots.latest()
    if (snapshot === undefined) return undefined
    if (!isSealed(snapshot.state)) {
      const beginning = await this.beginning()
      if (beginning !== undefined && snapshot.index >= beginning.index) throw corruptSnapshot(snapshot.index, inClear)
      return snapshot
    }
    const opened = this.#sealer.open(snapshot.state, aboutSnapshot(snapshot))
    const parts = opened && splitBeginning(opened)
    if (parts === undefined) throw corruptSnapshot(snapshot.index, changed)
    this.#learn(parts.beginning, snapshot.index)
    return { ...snapshot, state: parts.bytes }
  }

  /** What is sealed and does not open, in words: the history, of which nobody else reads all, and the newest snapshot. */
  async problems(): Promise<string[]> {
    const problems: string[] = []
    const look = async (work: () => Promise<number | undefined>): Promise<number | undefined> => {
      try {
        return await work()
      } catch (error) {
        if (!(error instanceof CoxswainError)) throw error
        problems.push(error.message)
        return undefined
      }
    }
    await look(async () => (await this.snapshot())?.index)
    let below: number | undefined
    do below = await look(async () => (await this.historyPage({ below, rowsMax: historyRowsAtOnce })).next)
    while (below !== undefined)
    return problems
  }

  #row(row: JournalRow): JournalRow {
    const { firstIndex, records } = row
    const known = this.#beginning
    if (!isSealed(records)) {
      if (known !== undefined && firstIndex >= known.index) throw corruptRow(firstIndex, inClear)
      this.#clearIndex = Math.max(this.#clearIndex, firstIndex)
      return row
    }
    const opened = this.#sealer.open(records, aboutRow(row))
    const parts = opened && splitBeginning(opened)
    if (parts === undefined) throw corruptRow(firstIndex, changed)
    this.#learn(parts.beginning, firstIndex)
    return { ...row, records: parts.bytes }
  }

  /** Something sealed at `index` says where sealing began. */
  #learn(beginning: Beginning, index: number): void {
    if (beginning.index > index) throw corruptRow(index, 'is sealed, but older than where sealing began')
    if (this.#beginning !== undefined && !sameBeginning(this.#beginning, beginning)) throw corruptRow(index, 'is of another journal')
    if (this.#clearIndex >= beginning.index) throw corruptRow(this.#clearIndex, inClear)
    this.#beginning = beginning
  }

  #historyRow(row: HistoryRow, beginning: Beginning | undefined): HistoryRow {
    if (beginning === undefined || row.place < beginning.place) return row
    const opened = this.#sealer.open(row.body, aboutHistory(beginning, row))
    if (opened === undefined) throw corruptHistory(row.job)
    return { ...row, body: opened }
  }
}

function corruptSnapshot(index: number, problem: string): CoxswainError {
  return new CoxswainError('JOURNAL_CORRUPT', `The snapshot at record ${index} ${problem}.`, { id: String(index) })
}

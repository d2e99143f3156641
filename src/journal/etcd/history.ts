// Owns questions to the history in etcd: rows stand in the order of their numbers, and pages are found by looking at them.
// Must not write.
import type { JobId } from '../../protocol/index.ts'
import { type History, type HistoryPage, type HistoryQuery, type HistoryRow, matches, rowsLookedAtMax } from '../history.ts'
import { decodeHistory, decodeJob } from './history-values.ts'
import { historyBelow, historyKey, jobKey } from './keys.ts'
import type { Reader } from './reader.ts'

/** Rows that one read brings. */
const rowsPerRead = 200
/** Bytes of bodies in one answer (one row may pass it). */
const pageBytesMax = 4 << 20

/** The history, as any handle reads it. */
export class EtcdHistory implements History {
  readonly #reader: Reader
  /** Ends when what was appended so far can be found. */
  readonly #settled: () => Promise<unknown>

  constructor(reader: Reader, settled: () => Promise<unknown>) {
    this.#reader = reader
    this.#settled = settled
  }

  async page(query: HistoryQuery): Promise<HistoryPage> {
    await this.#settled()
    const rows: HistoryRow[] = []
    let below = query.below ?? Number.POSITIVE_INFINITY
    let bytes = 0
    for (let looked = 0; looked < rowsLookedAtMax; ) {
      const limit = Math.min(rowsPerRead, rowsLookedAtMax - looked)
      const found = await this.#reader.range({ ...historyBelow(below), descending: true, limit })
      for (const { key, value } of found.rows) {
        const row = decodeHistory(key, value)
        looked++
        below = row.number
        // Times grow with numbers: all that follow are older.
        if (query.sinceMs !== undefined && row.submittedAtMs < query.sinceMs) return { rows, next: undefined }
        if (!matches(row, query)) continue
        rows.push(row)
        bytes += row.body.length
        if (rows.length === query.rowsMax || bytes > pageBytesMax) return { rows, next: below }
      }
      if (!found.more) return { rows, next: undefined }
    }
    return { rows, next: below }
  }

  async row(job: JobId): Promise<HistoryRow | undefined> {
    await this.#settled()
    const [leads] = (await this.#reader.range({ key: jobKey(job) })).rows
    if (leads === undefined) return undefined
    const [kept] = (await this.#reader.range({ key: historyKey(decodeJob(job, leads.value)) })).rows
    const row = kept && decodeHistory(kept.key, kept.value)
    return row?.job === job ? row : undefined
  }

  /** Rows that are not what was written, in words, and how many there are. */
  async examine(): Promise<{ rows: number; problems: string[] }> {
    const problems: string[] = []
    let below = Number.POSITIVE_INFINITY
    for (let rows = 0; ; ) {
      const found = await this.#reader.range({ ...historyBelow(below), descending: true, limit: rowsPerRead })
      for (const { key, value } of found.rows) {
        rows++
        below = Number.parseInt(key.slice(key.indexOf('/') + 1), 16)
        try {
          decodeHistory(key, value)
        } catch (error) {
          problems.push((error as Error).message)
        }
      }
      if (!found.more) return { rows, problems }
    }
  }
}

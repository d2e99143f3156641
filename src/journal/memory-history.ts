// Owns the history on a disk in memory. Must not be shared but through the disk.
import {
  corruptHistory,
  type History,
  type HistoryChange,
  type HistoryPage,
  type HistoryQuery,
  type HistoryRow,
  historyChecksum,
  matches,
  rowsLookedAtMax,
} from './history.ts'
import type { MemoryDisk } from './memory.ts'

/** The number of a row that is there already, or undefined. */
export function repeatedRow(disk: MemoryDisk, { rows }: HistoryChange): number | undefined {
  const numbers = rows.map(({ number }) => number)
  return numbers.find((number, at) => disk.history.has(number) || numbers.indexOf(number) < at)
}

/** Does what an append says about the history. */
export function changeHistory(disk: MemoryDisk, { rows, emptied, forgotten }: HistoryChange): void {
  for (const row of rows) disk.history.set(row.number, { row, checksum: historyChecksum(row) })
  for (const range of [emptied, forgotten]) {
    if (range === undefined) continue
    for (const [number, kept] of disk.history) {
      const { row } = kept
      if (row.place < range.first || row.place >= range.first + range.count) continue
      const holds = historyChecksum(row) === kept.checksum
      // What a damaged row names may be another's.
      if (holds) for (const payload of row.payloads) disk.payloads.delete(payload)
      if (range === forgotten) disk.history.delete(number)
      else if (holds) {
        kept.row = { ...row, payloads: [] }
        kept.checksum = historyChecksum(kept.row)
      }
    }
  }
}

/** Rows that are not what was written, in words. */
export function historyProblems(disk: MemoryDisk): string[] {
  return [...disk.history.values()]
    .filter(({ row, checksum }) => historyChecksum(row) !== checksum)
    .map(({ row }) => corruptHistory(row.job).message)
}

/** The history of a memory disk. */
export class MemoryHistory implements History {
  readonly #disk: MemoryDisk

  constructor(disk: MemoryDisk) {
    this.#disk = disk
  }

  async page(query: HistoryQuery): Promise<HistoryPage> {
    const below = query.below ?? Number.POSITIVE_INFINITY
    const numbers = [...this.#disk.history.keys()].filter(number => number < below).sort((a, b) => b - a)
    const rows: HistoryRow[] = []
    for (const [looked, number] of numbers.entries()) {
      if (looked === rowsLookedAtMax) return { rows, next: numbers[looked - 1] }
      const { row } = this.#disk.history.get(number)!
      if (!matches(row, query)) continue
      rows.push(this.#checked(number))
      if (rows.length === query.rowsMax) return { rows, next: number }
    }
    return { rows, next: undefined }
  }

  async row(job: string): Promise<HistoryRow | undefined> {
    for (const [number, { row }] of this.#disk.history) if (row.job === job) return this.#checked(number)
    return undefined
  }

  #checked(number: number): HistoryRow {
    const { row, checksum } = this.#disk.history.get(number)!
    if (historyChecksum(row) !== checksum) throw corruptHistory(row.job)
    return { ...row, body: Uint8Array.from(row.body) }
  }
}

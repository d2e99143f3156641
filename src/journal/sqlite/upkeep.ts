// Owns compaction, in steps so small that appends between them hardly wait: old rows, sparse segments, free pages, and the write-ahead log's size.
// Must not remove what a start from the older snapshot needs.
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { CoxswainError } from '../../protocol/errors.ts'
import type { PayloadId } from '../../protocol/index.ts'
import { corruptPayload, rowBytes } from '../row.ts'
import { compactableTo } from '../rules.ts'
import { pragma } from './format.ts'
import type { Ledger } from './ledger.ts'
import { readFromSegment } from './segments.ts'

/** Rows that one step removes. */
const rowsPerStep = 256
/** Payload bytes that one step moves out of a sparse segment (one payload may pass it). */
const moveBytesPerStep = 4 << 20
/** Free pages that stay in the file to be used again; those above are given back to the disk. */
const freePagesKept = 4096
/** Free pages that one step gives back. */
const freePagesPerStep = 256

interface KeptPayload {
  payload: PayloadId
  size: number
  checksum: number
  segment: number
  position: number
}

/** What one compaction does, step by step. */
export class Compaction {
  readonly #ledger: Ledger
  readonly #epoch: number
  readonly #rowBytesKept: number
  readonly #end: number
  readonly #oldest: StatementSync
  readonly #deleteBelow: StatementSync
  readonly #payloadsOf: StatementSync
  readonly #move: StatementSync
  readonly #steps: Iterator<void>

  constructor(ledger: Ledger, epoch: number, index: number, rowBytesKept: number) {
    this.#ledger = ledger
    this.#epoch = epoch
    this.#rowBytesKept = rowBytesKept
    const { database } = ledger
    const newest = database.prepare('SELECT fallback FROM snapshot ORDER BY last_index DESC LIMIT 1').get() as
      | { fallback: number }
      | undefined
    this.#end = compactableTo(index, newest?.fallback ?? 0)
    this.#oldest = database.prepare(`SELECT first_index AS firstIndex, count, length(records) AS records, length(manifest) AS manifest
      FROM journal ORDER BY first_index LIMIT ${rowsPerStep + 1}`)
    this.#deleteBelow = database.prepare('DELETE FROM journal WHERE first_index < ?')
    this.#payloadsOf = database.prepare(
      `SELECT payload, size, checksum, segment, position FROM payload WHERE segment = ? ORDER BY position LIMIT 1024`,
    )
    this.#move = database.prepare('UPDATE payload SET segment = ?, position = ? WHERE payload = ?')
    this.#steps = this.#all()
  }

  /** Does the next step; true when nothing is left. Throws FENCED when this process does not lead any more. */
  step(): boolean {
    if (!this.#ledger.leads(this.#epoch)) throw this.#fenced()
    return this.#steps.next().done === true
  }

  #fenced(): CoxswainError {
    return new CoxswainError('FENCED', `Epoch ${this.#epoch} does not lead: the journal was not compacted.`)
  }

  *#all(): Generator<void, void> {
    while (this.#removeRows()) yield
    for (const segment of this.#ledger.segments.sparse()) {
      try {
        while (this.#moveSome(segment)) yield
        this.#ledger.segments.removeEmpty()
      } catch (error) {
        // A damaged payload stays where it is, and its segment with it: whoever reads it is told.
        if (!(error instanceof CoxswainError) || error.code !== 'JOURNAL_CORRUPT') throw error
        this.#ledger.log('error', 'journal-payload-damaged', { segment, message: error.message })
      }
    }
    const { database } = this.#ledger
    while (Number(pragma(database, 'freelist_count')) > freePagesKept) {
      giveBackPages(database)
      yield
    }
  }

  /** Removes some of the oldest rows; true if there may be more to remove. */
  #removeRows(): boolean {
    const rows = this.#oldest.all() as { firstIndex: number; count: number; records: number; manifest: number }[]
    let kept = this.#ledger.leader().rowBytes
    let bytes = 0
    let gone = 0
    // The last of those read stays in any case: it is the newest row, or the next step's.
    for (; gone < rows.length - 1; gone++) {
      const { firstIndex, count, records, manifest } = rows[gone]!
      const size = rowBytes(records, manifest)
      kept -= size
      if (firstIndex + count - 1 >= this.#end || kept < this.#rowBytesKept) break
      bytes += size
    }
    if (gone === 0) return false
    const done = this.#ledger.transaction(() => {
      if (!this.#ledger.count(-gone, { rowBytes: -bytes, payloads: 0, payloadBytes: 0, historyRows: 0 })) return undefined
      this.#deleteBelow.run(rows[gone]!.firstIndex)
      return true
    })
    if (done === undefined) throw this.#fenced()
    return gone === rowsPerStep
  }

  /** Moves some payloads of a sparse segment to the one that is being filled; true if it may hold more. */
  #moveSome(segment: number): boolean {
    const { folder, segments } = this.#ledger
    // A table made STRICT keeps the types of its columns.
    const found = this.#payloadsOf.all(segment) as unknown as KeptPayload[]
    if (found.length === 0) return false
    let bytes = 0
    let most = 0
    while (most < found.length && bytes < moveBytesPerStep) bytes += found[most++]!.size
    const moved = found.slice(0, most)
    const pieces = moved.map(kept => {
      const piece = readFromSegment(folder, kept.payload, kept, kept.size, kept.checksum)
      if (piece === undefined) throw corruptPayload(kept.payload, `is missing with segment ${segment}`)
      return piece
    })
    const places = segments.write(pieces)
    segments.sync()
    const done = this.#ledger.transaction(() => {
      if (!this.#ledger.count(0)) return undefined
      moved.forEach(({ payload }, i) => {
        this.#move.run(places[i]!.segment, places[i]!.position, payload)
      })
      return true
    })
    if (done === undefined) throw this.#fenced()
    for (const { size } of moved) segments.dropped(segment, size)
    return true
  }
}

/** Gives some free pages at the end of the file back to the disk. */
function giveBackPages(database: DatabaseSync): void {
  // The pragma frees one page per step of its statement: `all` runs it to the end.
  database.prepare(`PRAGMA incremental_vacuum(${freePagesPerStep})`).all()
}

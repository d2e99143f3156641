// Owns reading of the journal's files: rows checked against their chain, payloads against their checksums, and what all of it takes.
// Must not change anything but the write-ahead log's place: a checkpoint moves what is durable already.
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { JobId, PayloadId } from '../../protocol/index.ts'
import type { HistoryPage, HistoryQuery, HistoryRow } from '../history.ts'
import type { JournalRow, JournalSize, LeadershipView } from '../journal.ts'
import { corruptPayload, corruptRow, decodeManifest, payloadChecksum, type RowBefore, rowBytes, rowEnd, rowProblem } from '../row.ts'
import { openForReading, openForWriting, rowColumns, rowFrom } from './database.ts'
import { folderBytes, Mark } from './files.ts'
import { pragma } from './format.ts'
import { HistoryShelf } from './history.ts'
import { leaderStatement, readLeader } from './leader-row.ts'
import { readFromSegment } from './segments.ts'

/** Rows of one answer together (one row may pass it). */
const readBytesMax = 32 << 20

/** How often a payload is looked up anew because compaction moved it meanwhile. */
const movesMax = 8

interface PayloadRow {
  size: number
  checksum: number
  segment: number
  position: number
  bytes: Uint8Array | null
}

function statements(database: DatabaseSync) {
  return {
    begin: database.prepare('BEGIN'),
    end: database.prepare('COMMIT'),
    leader: leaderStatement(database),
    rowsFrom: database.prepare(`SELECT ${rowColumns} FROM journal
      WHERE first_index >= coalesce((SELECT max(first_index) FROM journal WHERE first_index <= ?), 0) ORDER BY first_index LIMIT ?`),
    rowBefore: database.prepare(`SELECT ${rowColumns} FROM journal WHERE first_index < ? ORDER BY first_index DESC LIMIT 1`),
    firstIndex: database.prepare('SELECT min(first_index) AS firstIndex FROM journal'),
    payload: database.prepare('SELECT size, checksum, segment, position, bytes FROM payload WHERE payload = ?'),
    payloadsFrom: database.prepare('SELECT payload FROM payload WHERE payload >= ? ORDER BY payload LIMIT 2'),
    payloadsTo: database.prepare('SELECT payload FROM payload WHERE payload <= ? ORDER BY payload DESC LIMIT 2'),
    payloadIds: database.prepare('SELECT payload FROM payload WHERE payload > ? ORDER BY payload LIMIT ?'),
    rowSums: database.prepare('SELECT count(*) AS number, coalesce(sum(length(records) + length(manifest)), 0) AS bytes FROM journal'),
    payloadSums: database.prepare('SELECT count(*) AS number, coalesce(sum(size), 0) AS bytes FROM payload'),
    manifests: database.prepare('SELECT first_index AS firstIndex, manifest FROM journal WHERE length(manifest) > 0 ORDER BY first_index'),
    payloadHead: database.prepare('SELECT size, checksum FROM payload WHERE payload = ?'),
  } satisfies Record<string, StatementSync>
}

/** The journal's files as they are read. */
export class Library {
  readonly database: DatabaseSync
  readonly #folder: string
  readonly #run: ReturnType<typeof statements>
  readonly #history: HistoryShelf
  #mark: Mark | undefined
  readonly #checkpointing: DatabaseSync | undefined

  /** With `checkpoints` it can also bring the write-ahead log in; that connection is opened now, while there are descriptors. */
  constructor(folder: string, checkpoints = false) {
    this.#folder = folder
    this.database = openForReading(folder)
    this.#checkpointing = checkpoints ? openForWriting(folder) : undefined
    this.#run = statements(this.database)
    this.#history = new HistoryShelf(this.database)
  }

  /** Rows from the one that holds `fromIndex` on, each checked. */
  read(fromIndex: number, rowsMax: number): JournalRow[] {
    // The mark first: whatever it names is durable, so what is read after it must go at least as far.
    const acknowledged = this.#acknowledged() ?? 0
    return this.#atOnce(() => {
      const rows: JournalRow[] = []
      let before: RowBefore | undefined
      let bytes = 0
      for (const columns of this.#run.rowsFrom.iterate(fromIndex, rowsMax)) {
        const { manifest, ...row } = rowFrom(columns)
        before ??= this.#before(row.firstIndex)
        const problem = rowProblem({ ...row, manifest }, before)
        if (problem !== undefined) throw corruptRow(row.firstIndex, problem)
        before = rowEnd(row)
        // A row that ends before `fromIndex` is only the last one there is.
        if (before.lastIndex < fromIndex) continue
        rows.push(row)
        bytes += row.records.length
        if (bytes >= readBytesMax) return rows
      }
      if (rows.length < rowsMax) this.#checkEnd(before, acknowledged)
      return rows
    })
  }

  /** A payload's bytes, checked; undefined if it was dropped. */
  payload(payload: PayloadId): Uint8Array | undefined {
    for (let move = 0; move < movesMax; move++) {
      // A table made STRICT keeps the types of its columns; a damaged one is met by the checks below.
      const row = this.#run.payload.get(payload) as unknown as PayloadRow | undefined
      if (row === undefined) return undefined
      this.#checkOrder(payload)
      if (row.segment > 0) {
        const bytes = readFromSegment(this.#folder, payload, row, row.size, row.checksum)
        if (bytes !== undefined) return bytes
        continue
      }
      if (!(row.bytes instanceof Uint8Array) || row.bytes.length !== row.size)
        throw corruptPayload(payload, 'has another size than was written')
      if (payloadChecksum(row.bytes) !== row.checksum) throw corruptPayload(payload, 'does not match its checksum')
      return row.bytes
    }
    throw corruptPayload(payload, 'is missing with its segment')
  }

  /**
   * A payload's checksum does not cover its number. Where a changed byte gives one payload the number of another, the numbers around the place that SQLite
   * finds are not in order any more.
   */
  #checkOrder(payload: PayloadId): void {
    const [, next] = this.#run.payloadsFrom.all(payload)
    const [, last] = this.#run.payloadsTo.all(payload)
    const ordered = (next === undefined || Number(next['payload']) > payload) && (last === undefined || Number(last['payload']) < payload)
    if (!ordered) throw corruptPayload(payload, 'is not the only one of its number')
  }

  history(query: HistoryQuery): HistoryPage {
    return this.#atOnce(() => this.#history.page(query))
  }

  historyRow(job: JobId): HistoryRow | undefined {
    return this.#history.row(job)
  }

  view(): LeadershipView {
    const { epoch, leader, pid, processStart, address } = readLeader(this.#run.leader)
    return { epoch, leader, pid, processStart, address }
  }

  size(): JournalSize {
    return this.#atOnce(() => {
      const { lastIndex, rows, rowBytes, payloads, payloadBytes, historyRows } = readLeader(this.#run.leader)
      const firstIndex = Number(this.#run.firstIndex.get()?.['firstIndex'] ?? 1)
      return { firstIndex, lastIndex, rows, rowBytes, payloads, payloadBytes, historyRows, diskBytes: folderBytes(this.#folder) }
    })
  }

  payloadIds(after: PayloadId, idsMax: number): PayloadId[] {
    return this.#run.payloadIds.all(after, idsMax).map(row => Number(row['payload']))
  }

  /** What is wrong in the database's own structures, in its totals, and between payloads and the rows that name them. */
  problems(): string[] {
    const found: string[] = []
    for (const row of this.database.prepare('PRAGMA integrity_check(20)').all()) {
      const words = String(Object.values(row)[0])
      if (words !== 'ok') found.push(`SQLite: ${words}`)
    }
    const acknowledged = this.#acknowledged()
    if (acknowledged === undefined) found.push('The mark of what was acknowledged is damaged.')
    this.#atOnce(() => {
      const leader = readLeader(this.#run.leader)
      const payloads = this.#run.payloadSums.get() as { number: number; bytes: number }
      const newest = this.#before(Number.MAX_SAFE_INTEGER)
      if (newest !== undefined && newest.epoch !== leader.epoch)
        found.push(`The newest row is of epoch ${newest.epoch} where the leader's row says ${leader.epoch}.`)
      const rows = this.#run.rowSums.get() as { number: number; bytes: number }
      const bytes = rows.number * rowBytes(0, 0) + rows.bytes
      if (rows.number !== leader.rows || bytes !== leader.rowBytes)
        found.push(`${rows.number} rows of ${bytes} bytes are kept where the leader's row counts ${leader.rows} of ${leader.rowBytes}.`)
      if (payloads.number !== leader.payloads || payloads.bytes !== leader.payloadBytes) {
        found.push(
          `${payloads.number} payloads of ${payloads.bytes} bytes are kept where the leader's row counts ${leader.payloads} of ${leader.payloadBytes}.`,
        )
      }
      this.#compareManifests(found)
      found.push(...this.#history.problems(leader.historyRows))
    })
    return found
  }

  /** Brings what is durable in the write-ahead log into the database, beside the writer. */
  checkpoint(): void {
    if (this.#checkpointing !== undefined) pragma(this.#checkpointing, 'wal_checkpoint(PASSIVE)')
  }

  close(): void {
    this.#mark?.close()
    this.#checkpointing?.close()
    this.database.close()
  }

  /** Runs `work` on one state of the database. */
  #atOnce<T>(work: () => T): T {
    this.#run.begin.run()
    try {
      return work()
    } finally {
      this.#run.end.run()
    }
  }

  #acknowledged(): number | undefined {
    try {
      this.#mark ??= new Mark(this.#folder, false)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0
      throw error
    }
    return this.#mark.read()
  }

  #before(firstIndex: number): RowBefore | undefined {
    const columns = this.#run.rowBefore.get(firstIndex)
    return columns === undefined ? undefined : rowEnd(rowFrom(columns))
  }

  /** The journal was read to its end: nothing may be missing behind it. */
  #checkEnd(last: RowBefore | undefined, acknowledged: number): void {
    const { lastIndex } = readLeader(this.#run.leader)
    const end = last?.lastIndex ?? 0
    const expected = Math.max(lastIndex, acknowledged)
    if (end < expected) throw corruptRow(end + 1, `is missing, although all up to ${expected} were acknowledged`)
    if (end > lastIndex) throw corruptRow(end, `is the newest, where the leader's row says that ${lastIndex} is`)
  }

  #compareManifests(found: string[]): void {
    for (const row of this.#run.manifests.iterate()) {
      for (const { payload, bytes, checksum } of decodeManifest(row['manifest'] as Uint8Array)) {
        const kept = this.#run.payloadHead.get(payload) as { size: number; checksum: number } | undefined
        if (kept === undefined || (kept.size === bytes && kept.checksum === checksum)) continue
        found.push(`Payload ${payload} is not what the row at record ${Number(row['firstIndex'])} names.`)
      }
    }
  }
}

// Owns what is read of the journal: rows, payloads, sizes, who leads, and what does not fit together. On the primary only.
// Must not write.
import { CoxswainError, OverloadedError } from '../../protocol/errors.ts'
import type { PayloadId } from '../../protocol/index.ts'
import type { JournalRow, JournalSize, LeadershipView } from '../journal.ts'
import { corruptPayload, corruptRow, type KeptRow, noHash, payloadChecksum, rowEnd, rowProblem, sameBytes } from '../row.ts'
import { readsInFlightMax } from '../rules.ts'
import type { JournalEnd } from './batch.ts'
import { checkedLeader, type LeaderRow, leaderStatement, viewOf } from './leader-row.ts'
import { leaseMs } from './lease.ts'
import type { Line } from './line.ts'
import type { Session, Statement } from './session.ts'

/** Bytes of rows in one answer (one row may pass it). */
const readBytesMax = 8 << 20

const rowColumns = 'first_index AS "firstIndex", count, epoch, previous_hash AS "previousHash", hash'

/** A row as it is read; without bytes where only what comes behind it was asked for. */
interface ReadRow extends Omit<KeptRow, 'records' | 'manifest' | 'firstIndex'> {
  /** Null where the journal has no row there. */
  firstIndex: number | null
  records: Uint8Array | null
  manifest: Uint8Array | null
  lastIndex: number
  /** Rows that were looked at; all of them are in the answer, unless they were too large together. */
  looked: number
  seenHash: Uint8Array | null
}

/** Rows from one on, the two before it without their bytes, beside what the leader's row says at that moment. */
function readStatement(schema: string): Statement {
  return {
    name: 'read',
    text: `SELECT l.last_index AS "lastIndex", r.*,
        (SELECT hash FROM ${schema}.journal WHERE first_index <= $3 ORDER BY first_index DESC LIMIT 1) AS "seenHash"
      FROM ${schema}.leader AS l LEFT JOIN (
        SELECT ${rowColumns}, CASE WHEN first_index + count > $1 THEN records END AS records, CASE WHEN first_index + count > $1 THEN manifest END AS manifest,
          looked FROM (
          SELECT *, count(*) OVER () AS looked, sum(size) OVER (ORDER BY first_index ROWS UNBOUNDED PRECEDING) - size AS bytes_before FROM (
            SELECT *, CASE WHEN first_index + count > $1 THEN octet_length(records) + octet_length(manifest) ELSE 0 END AS size
            FROM ${schema}.journal
            WHERE first_index >= coalesce((SELECT min(first_index) FROM (
              SELECT first_index FROM ${schema}.journal WHERE first_index <= $1 ORDER BY first_index DESC LIMIT 2) AS before), 0)
            ORDER BY first_index LIMIT $2::int + 2
          ) AS sized
        ) AS counted WHERE bytes_before < ${readBytesMax}
      ) AS r ON true WHERE l.id = 1 ORDER BY r."firstIndex"`,
  }
}

/** What a store reads. */
export class Reader {
  readonly #line: Line
  readonly #schema: string
  readonly #leader: Statement
  readonly #read: Statement
  readonly #payload: Statement
  /** The newest row that this handle has seen: the journal may never again be without it. */
  #seen: JournalEnd = { lastIndex: 0, hash: noHash }
  #inFlight = 0

  constructor(line: Line, schema: string) {
    this.#line = line
    this.#schema = schema
    this.#leader = leaderStatement(schema, leaseMs)
    this.#read = readStatement(schema)
    this.#payload = { name: 'payload', text: `SELECT size, checksum, bytes FROM ${schema}.payload WHERE payload = $1` }
  }

  /** Runs a statement that reads, within the limit of those under way. */
  async ask<T>(statement: Statement, values: readonly unknown[] = []): Promise<T[]> {
    if (this.#inFlight >= readsInFlightMax) throw new OverloadedError(`${readsInFlightMax} reads are under way.`)
    this.#inFlight++
    try {
      return await this.#line.read<T>(statement, values)
    } finally {
      this.#inFlight--
    }
  }

  async read(fromIndex: number, rowsMax: number): Promise<JournalRow[]> {
    const seen = this.#seen
    const found = await this.ask<ReadRow>(this.#read, [fromIndex, rowsMax, seen.lastIndex])
    const { lastIndex, seenHash } = found[0] ?? { lastIndex: 0, seenHash: null }
    this.#checkSeen(seen, lastIndex, seenHash)
    const answer: JournalRow[] = []
    let before: ReturnType<typeof rowEnd> | undefined
    for (const { firstIndex, records, manifest, lastIndex: _, looked: __, seenHash: ___, ...head } of found) {
      if (firstIndex === null || answer.length === rowsMax) break
      const row = { ...head, firstIndex, records: records ?? noHash, manifest: manifest ?? noHash }
      if (records !== null) {
        const problem = rowProblem(row, before)
        if (problem !== undefined) throw corruptRow(firstIndex, problem)
        const { manifest: ____, ...face } = row
        answer.push(face)
      }
      before = rowEnd(row)
    }
    const all = found.length === (found[0]?.looked ?? 1) && found.length < rowsMax + 2 && answer.length < rowsMax
    if (all && (before?.lastIndex ?? 0) !== lastIndex) throw corruptRow(lastIndex, 'is missing')
    const newest = answer.at(-1)
    if (newest) this.sawEnd(rowEnd(newest))
    return answer
  }

  /** Remembers the end of a row that is in the journal. */
  sawEnd(end: JournalEnd): void {
    if (end.lastIndex > this.#seen.lastIndex) this.#seen = { lastIndex: end.lastIndex, hash: end.hash }
  }

  #checkSeen(seen: JournalEnd, lastIndex: number, hash: Uint8Array | null): void {
    if (lastIndex >= seen.lastIndex && (hash === null || seen.lastIndex === 0 || sameBytes(hash, seen.hash))) return
    throw new CoxswainError(
      'JOURNAL_WENT_BACK',
      `The journal on PostgreSQL does not hold what it held at record ${seen.lastIndex}: it was replaced by an older copy of itself.`,
      { id: String(seen.lastIndex) },
    )
  }

  async payload(payload: PayloadId): Promise<Uint8Array | undefined> {
    const [kept] = await this.ask<{ size: number; checksum: number; bytes: Uint8Array }>(this.#payload, [payload])
    if (kept === undefined) return undefined
    if (kept.bytes.length !== kept.size || payloadChecksum(kept.bytes) !== kept.checksum)
      throw corruptPayload(payload, 'does not match its checksum')
    return kept.bytes
  }

  async leader(): Promise<LeaderRow> {
    const seen = this.#seen
    const row = checkedLeader((await this.ask<LeaderRow>(this.#leader))[0])
    this.#checkSeen(seen, row.lastIndex, row.lastIndex === seen.lastIndex ? row.hash : null)
    return row
  }

  async view(): Promise<LeadershipView> {
    return viewOf(await this.leader())
  }

  async size(): Promise<JournalSize> {
    const tables = ['leader', 'journal', 'payload', 'snapshot', 'snapshot_piece', 'history', 'history_key']
    const disk = tables.map(table => `pg_total_relation_size('${this.#schema}.${table}')`).join(' + ')
    const [row] = await this.ask<JournalSize>({
      name: 'size',
      text: `SELECT coalesce((SELECT min(first_index) FROM ${this.#schema}.journal), 1) AS "firstIndex", last_index AS "lastIndex", row_count AS rows,
        row_bytes AS "rowBytes", payload_count AS payloads, payload_bytes AS "payloadBytes", history_rows AS "historyRows", ${disk} AS "diskBytes"
        FROM ${this.#schema}.leader WHERE id = 1`,
    })
    return row!
  }

  /** Where the journal ends, for who wants to go on there. Throws JOURNAL_CORRUPT where that cannot be believed. */
  async end(session: Session): Promise<JournalEnd & { epoch: number }> {
    const leader = checkedLeader((await session.query<LeaderRow>(this.#leader))[0])
    const text = `SELECT ${rowColumns}, manifest, records FROM ${this.#schema}.journal ORDER BY first_index DESC LIMIT 1`
    const [row] = await session.query<KeptRow>({ name: 'newest', text })
    const problem = row && rowProblem(row, undefined)
    if (row && problem !== undefined) throw corruptRow(row.firstIndex, problem)
    const end = row ? rowEnd(row) : { lastIndex: 0, epoch: 0, hash: noHash }
    // Between the two looks somebody may have appended: then the claim is lost, and nothing is wrong.
    if (end.lastIndex < leader.lastIndex) throw corruptRow(leader.lastIndex, 'is missing')
    if (end.lastIndex === leader.lastIndex && !sameBytes(end.hash, leader.hash))
      throw corruptRow(end.lastIndex, "is not the one that the leader's row names")
    return { lastIndex: leader.lastIndex, hash: leader.hash, epoch: leader.epoch }
  }

  async payloadIds(after: PayloadId, idsMax: number): Promise<PayloadId[]> {
    const text = `SELECT payload FROM ${this.#schema}.payload WHERE payload > $1 ORDER BY payload LIMIT $2`
    return (await this.ask<{ payload: PayloadId }>({ name: 'payload ids', text }, [after, idsMax])).map(({ payload }) => payload)
  }

  /** Totals that do not fit what is there, as one session sees both at once. */
  async problems(session: Session): Promise<string[]> {
    const s = this.#schema
    const text = `SELECT row_count AS counted, (SELECT count(*) FROM ${s}.journal) AS rows,
      row_bytes AS "countedBytes", (SELECT coalesce(sum(96 + octet_length(records) + octet_length(manifest)), 0)::bigint FROM ${s}.journal) AS bytes,
      payload_count AS "countedPayloads", (SELECT count(*) FROM ${s}.payload) AS payloads,
      payload_bytes AS "countedPayloadBytes", (SELECT coalesce(sum(size), 0)::bigint FROM ${s}.payload) AS "payloadBytes"
      FROM ${s}.leader WHERE id = 1`
    const [found] = await session.query<Record<string, number>>({ name: 'totals', text })
    const pairs = [
      ['rows', 'counted'],
      ['bytes', 'countedBytes'],
      ['payloads', 'countedPayloads'],
      ['payloadBytes', 'countedPayloadBytes'],
    ] as const
    return pairs
      .filter(([there, counted]) => found![there] !== found![counted])
      .map(([there, counted]) => `There are ${found![there]} ${there} where the leader's row counts ${found![counted]}.`)
  }
}

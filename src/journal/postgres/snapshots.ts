// Owns snapshots: written in pieces, read back before one is named, and the newest found that holds; and letting go of rows that they stand for.
// Must not delay an append: all but the last moment of it goes over a connection of its own.
import { randomUUID } from 'node:crypto'
import { CoxswainError, OverloadedError } from '../../protocol/errors.ts'
import type { Snapshot } from '../journal.ts'
import { noSnapshotHolds, rowBytes, sameBytes, snapshotHash } from '../row.ts'
import { snapshotIsOf } from '../rules.ts'
import { fault, fencedState, stateOf } from './faults.ts'
import type { Line } from './line.ts'
import type { Statement } from './session.ts'
import type { Leading, Tenure } from './tenure.ts'

type Log = (level: 'info' | 'warn' | 'error', event: string, fields?: Record<string, unknown>) => void

const pieceBytes = 4 << 20
/** How often the snapshots may be replaced under a read of the newest; a leader saves one now and then, not all the time. */
const replacedMax = 8
/** Rows that go in one transaction. */
const rowsPerStep = 2000

interface SnapshotRow {
  index: number
  epoch: number
  hash: Uint8Array
  size: number
  checksum: Uint8Array
  pieces: string
  fallback: number
}

/** The snapshots of a schema. */
export class SnapshotShelf {
  readonly #line: Line
  readonly #schema: string
  readonly #leading: Leading
  readonly #log: Log
  readonly #rowBytesKept: number
  #saving: Promise<unknown> = Promise.resolve()

  constructor(line: Line, schema: string, leading: Leading, log: Log, rowBytesKept: number) {
    this.#line = line
    this.#schema = schema
    this.#leading = leading
    this.#log = log
    this.#rowBytesKept = rowBytesKept
  }

  save({ state, ...head }: Snapshot): Promise<'durable' | 'fenced'> {
    const copy = { ...head, hash: Uint8Array.from(head.hash) }
    const saved = this.#saving.then(() => this.#save(copy, state))
    this.#saving = saved.catch(() => undefined)
    return saved
  }

  /** The newest whose checksum holds. A leader elsewhere may replace it meanwhile: then the new one is read. */
  async latest(): Promise<Snapshot | undefined> {
    for (let replaced = 0; replaced < replacedMax; replaced++) {
      const rows = await this.#all()
      const firstIndex = rows[0]?.firstIndex ?? (await this.#firstIndex())
      for (const row of rows) {
        const state = await this.#stateOf(row)
        if (state !== undefined) return { index: row.index, epoch: row.epoch, hash: row.hash, state }
      }
      const now = new Set((await this.#all()).map(({ pieces }) => pieces))
      const bad = rows.filter(({ pieces }) => now.has(pieces))
      for (const { index } of bad) this.#log('error', 'snapshot-damaged', { schema: this.#schema, index })
      if (bad.length < rows.length || now.size > rows.length) continue
      if (firstIndex > 1) throw noSnapshotHolds(firstIndex)
      return undefined
    }
    throw new OverloadedError(`The snapshots were replaced ${replacedMax} times while they were read.`)
  }

  /** All that are named, oldest first, and whether each holds. */
  async list(): Promise<{ index: number; holds: boolean }[]> {
    const found: { index: number; holds: boolean }[] = []
    for (const row of (await this.#all()).reverse()) found.push({ index: row.index, holds: await this.#holds(row) })
    return found
  }

  /** Lets go of rows that end before `index`, some at a time, as long as more than the budget is left. */
  async compact(epoch: number, index: number): Promise<void> {
    const tenure = this.#leading.tenure
    if (tenure?.epoch !== epoch) throw new CoxswainError('FENCED', `Epoch ${epoch} does not lead: nothing was compacted.`)
    const s = this.#schema
    const sizes = `SELECT first_index AS "firstIndex", count, octet_length(records) AS records, octet_length(manifest) AS manifest,
      (SELECT row_bytes FROM ${s}.leader WHERE id = 1) AS kept FROM ${s}.journal ORDER BY first_index LIMIT ${rowsPerStep}`
    for (;;) {
      const rows = await this.#line.read<Record<'firstIndex' | 'count' | 'records' | 'manifest' | 'kept', number>>({
        name: 'sizes',
        text: sizes,
      })
      let kept = rows[0]?.kept ?? 0
      let below = 0
      for (const { firstIndex, count, records, manifest } of rows) {
        kept -= rowBytes(records, manifest)
        if (kept < this.#rowBytesKept || firstIndex + count > index) break
        below = firstIndex + count
      }
      const gone = await this.#fenced(tenure, { name: 'compact', text: `SELECT ${s}.compact($1, $2, $3) AS gone` }, [below])
      if (gone === 'fenced') throw new CoxswainError('FENCED', `Epoch ${epoch} does not lead: nothing was compacted.`)
      if (Number(gone['gone']) < rowsPerStep) return
    }
  }

  async #save(head: Omit<Snapshot, 'state'>, state: Uint8Array): Promise<'durable' | 'fenced'> {
    const tenure = this.#leading.tenure
    if (tenure?.epoch !== head.epoch) return 'fenced'
    const others = await this.#all()
    const text = `SELECT hash, first_index + count - 1 AS last FROM ${this.#schema}.journal WHERE first_index <= $1 ORDER BY first_index DESC LIMIT 1`
    const [row] = await this.#line.read<{ hash: Uint8Array; last: number }>({ name: 'row at', text }, [head.index])
    const problem = snapshotIsOf(head, row?.last === head.index ? row.hash : undefined, others[0]?.index ?? 0)
    if (problem !== undefined) throw new CoxswainError('INVALID_ARGUMENT', problem)
    const written = await this.#write(head, state)
    if (!(await this.#holds(written))) throw new CoxswainError('JOURNAL_WRITE_FAILED', 'A snapshot reads back other than it was written.')
    let fallback = 0
    for (const other of others) {
      if (other.index === head.index || !(await this.#holds(other))) continue
      fallback = other.index
      break
    }
    const save = { name: 'save snapshot', text: `SELECT ${this.#schema}.save_snapshot($1, $2, $3, $4, $5, $6, $7, $8)` }
    const { index, hash, size, checksum, pieces } = written
    const outcome = await this.#fenced(tenure, save, [index, hash, size, checksum, pieces, fallback])
    return outcome === 'fenced' ? outcome : 'durable'
  }

  /** Writes the pieces. Until a row names them they are nothing, and go with the next snapshot. */
  async #write(head: Omit<Snapshot, 'state'>, state: Uint8Array): Promise<SnapshotRow> {
    const pieces = randomUUID()
    const digest = snapshotHash(head.index, head.epoch, head.hash)
    const insert = { name: 'insert piece', text: `INSERT INTO ${this.#schema}.snapshot_piece (pieces, number, bytes) VALUES ($1, $2, $3)` }
    try {
      const session = await this.#line.session()
      for (let at = 0, number = 0; at < state.length; at += pieceBytes, number++) {
        const piece = Buffer.from(state.subarray(at, at + pieceBytes))
        digest.update(piece)
        await session.query(insert, [pieces, number, piece])
      }
    } catch (error) {
      throw fault(error, 'JOURNAL_WRITE_FAILED', 'The snapshot was not written')
    }
    return { ...head, size: state.length, checksum: digest.digest(), pieces, fallback: 0 }
  }

  /** Runs what only the leader may. Where its outcome is not known the leader hears of a failure, and may do the same again. */
  async #fenced(tenure: Tenure, statement: Statement, values: readonly unknown[]): Promise<'fenced' | Record<string, unknown>> {
    try {
      const session = await this.#line.session()
      const [row] = await session.query<Record<string, unknown>>(statement, [tenure.epoch, tenure.holder, ...values])
      return row!
    } catch (error) {
      if (stateOf(error) !== fencedState) throw fault(error, 'JOURNAL_WRITE_FAILED', 'The snapshots were not changed')
      this.#leading.end(tenure)
      return 'fenced'
    }
  }

  /** The newest first, each with the first index of the journal at that moment. */
  #all(): Promise<(SnapshotRow & { firstIndex: number })[]> {
    const text = `SELECT last_index AS index, epoch, hash, size, checksum, pieces, fallback, coalesce((SELECT min(first_index) FROM ${this.#schema}.journal), 1) AS "firstIndex"
      FROM ${this.#schema}.snapshot ORDER BY last_index DESC`
    return this.#line.read({ name: 'snapshots', text })
  }

  async #firstIndex(): Promise<number> {
    const text = `SELECT coalesce(min(first_index), 1) AS first FROM ${this.#schema}.journal`
    return (await this.#line.read<{ first: number }>({ name: 'first', text }))[0]!.first
  }

  async *#piecesOf({ pieces }: SnapshotRow): AsyncGenerator<Uint8Array, void> {
    const text = `SELECT bytes FROM ${this.#schema}.snapshot_piece WHERE pieces = $1 AND number = $2`
    for (let number = 0; ; number++) {
      const [piece] = await this.#line.read<{ bytes: Uint8Array }>({ name: 'piece', text }, [pieces, number])
      if (piece === undefined) return
      yield piece.bytes
    }
  }

  async #stateOf(row: SnapshotRow): Promise<Uint8Array | undefined> {
    const found: Uint8Array[] = []
    for await (const piece of this.#piecesOf(row)) found.push(piece)
    const state = Buffer.concat(found)
    const { index, epoch, hash, size, checksum } = row
    const holds = state.length === size && sameBytes(snapshotHash(index, epoch, hash).update(state).digest(), checksum)
    return holds ? state : undefined
  }

  async #holds(row: SnapshotRow): Promise<boolean> {
    const { index, epoch, hash, size, checksum } = row
    const digest = snapshotHash(index, epoch, hash)
    let bytes = 0
    for await (const piece of this.#piecesOf(row)) {
      digest.update(piece)
      bytes += piece.length
    }
    return bytes === size && sameBytes(digest.digest(), checksum)
  }
}

// Owns the files of snapshots: writing one in pieces, syncing and reading it back, and finding the newest that holds.
// Must not name a snapshot in the database: the writer does, in a fenced transaction.
import { randomBytes } from 'node:crypto'
import { closeSync, fdatasyncSync, openSync, readFileSync, readSync, renameSync, writeSync } from 'node:fs'
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { OverloadedError } from '../../protocol/errors.ts'
import type { Snapshot } from '../journal.ts'
import { noSnapshotHolds, sameBytes, snapshotHash } from '../row.ts'
import { isScarce } from './faults.ts'
import { filePath, removeFile, syncFolder } from './files.ts'
import type { Log, WrittenSnapshot } from './ledger.ts'
import type { SnapshotHead } from './wire.ts'

/** A file is read back in pieces of this size. */
const pieceBytes = 4 << 20

/** How often the snapshots may be replaced under a read of the newest; a leader saves one now and then, not all the time. */
const replacedMax = 8

interface SnapshotRow {
  index: number
  epoch: number
  hash: Uint8Array
  size: number
  checksum: Uint8Array
  file: string
  fallback: number
}

interface Writing {
  head: SnapshotHead
  file: string
  descriptor: number
  digest: ReturnType<typeof snapshotHash>
  size: number
}

/** The newest names the newest older one that held when it was saved; for those behind it nobody asks any more. */
function fallbackHolds({ fallback }: SnapshotRow, newest: boolean, older: readonly { row: SnapshotRow; holds: boolean }[]): boolean {
  if (!newest) return fallback === 0
  const holding = older.find(({ holds }) => holds)?.row.index ?? 0
  return fallback === holding || older.some(({ row, holds }) => row.index === fallback && !holds)
}

/** The snapshots of a folder, for the reader's thread. */
export class SnapshotFiles {
  readonly #folder: string
  readonly #rows: StatementSync
  readonly #firstIndex: StatementSync
  readonly #named: StatementSync
  readonly #database: DatabaseSync
  #writing: Writing | undefined

  constructor(folder: string, database: DatabaseSync) {
    this.#folder = folder
    this.#rows = database.prepare(
      'SELECT last_index AS "index", epoch, hash, size, checksum, file, fallback FROM snapshot ORDER BY last_index DESC',
    )
    this.#database = database
    this.#named = database.prepare('SELECT 1 FROM snapshot WHERE file = ?')
    this.#firstIndex = database.prepare('SELECT min(first_index) AS firstIndex FROM journal')
  }

  /** Begins a file; one left unfinished is given up. */
  begin(head: SnapshotHead): void {
    this.#giveUp()
    const file = `snapshot-${head.index}-${randomBytes(4).toString('hex')}`
    const descriptor = openSync(filePath(this.#folder, `${file}.part`), 'wx', 0o600)
    this.#writing = { head, file, descriptor, digest: snapshotHash(head.index, head.epoch, head.hash), size: 0 }
  }

  add(piece: Uint8Array): void {
    const writing = this.#open()
    for (let done = 0; done < piece.length; ) done += writeSync(writing.descriptor, piece, done)
    writing.digest.update(piece)
    writing.size += piece.length
  }

  /** Syncs the file, reads it back, gives it its name. Tells what its row has to say. */
  end(): WrittenSnapshot {
    const { head, file, descriptor, digest, size } = this.#open()
    fdatasyncSync(descriptor)
    closeSync(descriptor)
    this.#writing = undefined
    const checksum = digest.digest()
    const part = `${file}.part`
    const finished = `${file}.snap`
    if (!this.#fileHolds({ ...head, size, checksum, file: part, fallback: 0 }))
      throw new Error(`the snapshot ${part} reads back other than written`)
    renameSync(filePath(this.#folder, part), filePath(this.#folder, finished))
    syncFolder(this.#folder)
    const older = this.#all().find(row => row.index < head.index && this.#fileHolds(row))
    return { ...head, size, checksum, file: finished, fallback: older?.index ?? 0 }
  }

  /** The newest whose checksum holds. A leader in another process may replace it meanwhile: then the new one is read. */
  latest(log: Log): Snapshot | undefined {
    for (let replaced = 0; replaced < replacedMax; replaced++) {
      const { rows, firstIndex } = this.#atOnce(() => ({
        rows: this.#all(),
        firstIndex: Number(this.#firstIndex.get()?.['firstIndex'] ?? 1),
      }))
      const bad: SnapshotRow[] = []
      for (const row of rows) {
        const state = this.#stateOf(row)
        if (state !== undefined) return { index: row.index, epoch: row.epoch, hash: row.hash, state }
        bad.push(row)
        if (!this.#isNamed(row)) break
        log('error', 'snapshot-damaged', { folder: this.#folder, file: row.file, index: row.index })
      }
      if (!bad.every(row => this.#isNamed(row))) continue
      if (firstIndex > 1) throw noSnapshotHolds(firstIndex)
      return undefined
    }
    throw new OverloadedError(`The snapshots in ${this.#folder} were replaced ${replacedMax} times while they were read.`)
  }

  /** All that are named, oldest first. */
  list(): { index: number; holds: boolean }[] {
    const all = this.#all().map(row => ({ row, holds: this.#fileHolds(row) }))
    return all
      .map(({ row, holds }, at) => ({ row, holds: holds && fallbackHolds(row, at === 0, all.slice(at + 1)) }))
      .filter(({ holds, row }) => holds || this.#isNamed(row))
      .map(({ row, holds }) => ({ index: row.index, holds }))
      .reverse()
  }

  close(): void {
    this.#giveUp()
  }

  #all(): SnapshotRow[] {
    // A table made STRICT keeps the types of its columns.
    return this.#rows.all() as unknown as SnapshotRow[]
  }

  /** False where the leader let go of it since it was read about. */
  #isNamed({ file }: SnapshotRow): boolean {
    return this.#named.get(file) !== undefined
  }

  /** Runs `work` on one state of the database. */
  #atOnce<T>(work: () => T): T {
    this.#database.exec('BEGIN')
    try {
      return work()
    } finally {
      this.#database.exec('COMMIT')
    }
  }

  #open(): Writing {
    if (this.#writing === undefined) throw new Error('no snapshot is being written')
    return this.#writing
  }

  #giveUp(): void {
    if (this.#writing === undefined) return
    closeSync(this.#writing.descriptor)
    removeFile(filePath(this.#folder, `${this.#writing.file}.part`))
    this.#writing = undefined
  }

  #stateOf({ index, epoch, hash, size, checksum, file }: SnapshotRow): Uint8Array | undefined {
    let state: Buffer
    try {
      state = readFileSync(filePath(this.#folder, file))
    } catch (error) {
      if (isScarce(error)) throw error
      return undefined
    }
    const holds = state.length === size && sameBytes(snapshotHash(index, epoch, hash).update(state).digest(), checksum)
    return holds ? state : undefined
  }

  #fileHolds({ index, epoch, hash, size, checksum, file }: SnapshotRow): boolean {
    let descriptor: number
    try {
      descriptor = openSync(filePath(this.#folder, file), 'r')
    } catch {
      return false
    }
    try {
      const piece = Buffer.allocUnsafe(Math.min(pieceBytes, size + 1))
      const digest = snapshotHash(index, epoch, hash)
      let got = 0
      for (;;) {
        const read = readSync(descriptor, piece, 0, piece.length, got)
        if (read === 0) return got === size && sameBytes(digest.digest(), checksum)
        digest.update(piece.subarray(0, read))
        got += read
      }
    } catch {
      return false
    } finally {
      closeSync(descriptor)
    }
  }
}

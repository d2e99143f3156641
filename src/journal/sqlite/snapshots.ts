// Owns the files of snapshots: writing one in pieces, syncing and reading it back, and finding the newest that holds.
// Must not name a snapshot in the database: the writer does, in a fenced transaction.
import { randomBytes } from 'node:crypto'
import { closeSync, fdatasyncSync, openSync, readFileSync, readSync, renameSync, writeSync } from 'node:fs'
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { Snapshot } from '../journal.ts'
import { noSnapshotHolds, sameBytes, snapshotHash } from '../row.ts'
import { filePath, removeFile, syncFolder } from './files.ts'
import type { Log, WrittenSnapshot } from './ledger.ts'
import type { SnapshotHead } from './wire.ts'

/** A file is read back in pieces of this size. */
const pieceBytes = 4 << 20

interface SnapshotRow {
  index: number
  epoch: number
  hash: Uint8Array
  size: number
  checksum: Uint8Array
  file: string
}

interface Writing {
  head: SnapshotHead
  file: string
  descriptor: number
  digest: ReturnType<typeof snapshotHash>
  size: number
}

/** The snapshots of a folder, for the reader's thread. */
export class SnapshotFiles {
  readonly #folder: string
  readonly #rows: StatementSync
  readonly #firstIndex: StatementSync
  #writing: Writing | undefined

  constructor(folder: string, database: DatabaseSync) {
    this.#folder = folder
    this.#rows = database.prepare('SELECT last_index AS "index", epoch, hash, size, checksum, file FROM snapshot ORDER BY last_index DESC')
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
    if (!this.#fileHolds({ ...head, size, checksum, file: part })) throw new Error(`the snapshot ${part} reads back other than written`)
    renameSync(filePath(this.#folder, part), filePath(this.#folder, finished))
    syncFolder(this.#folder)
    const older = this.#all().find(row => row.index < head.index && this.#fileHolds(row))
    return { ...head, size, checksum, file: finished, fallback: older?.index ?? 0 }
  }

  /** The newest whose checksum holds. */
  latest(log: Log): Snapshot | undefined {
    for (const row of this.#all()) {
      const state = this.#stateOf(row)
      if (state !== undefined) return { index: row.index, epoch: row.epoch, hash: row.hash, state }
      log('error', 'snapshot-damaged', { folder: this.#folder, file: row.file, index: row.index })
    }
    const firstIndex = Number(this.#firstIndex.get()?.['firstIndex'] ?? 1)
    if (firstIndex > 1) throw noSnapshotHolds(firstIndex)
    return undefined
  }

  /** All that are named, oldest first. */
  list(): { index: number; holds: boolean }[] {
    return this.#all()
      .reverse()
      .map(row => ({ index: row.index, holds: this.#fileHolds(row) }))
  }

  close(): void {
    this.#giveUp()
  }

  #all(): SnapshotRow[] {
    // A table made STRICT keeps the types of its columns.
    return this.#rows.all() as unknown as SnapshotRow[]
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
    } catch {
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

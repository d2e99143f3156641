// Owns the names of all files in the journal's folder, and the witness file that says how far the journal was acknowledged.
// Must not open SQLite's files: opening and closing them by other means drops the locks of this process.
import { closeSync, fsyncSync, openSync, readdirSync, readSync, statSync, unlinkSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'

const segmentPattern = /^payloads-(\d{6,})\.seg$/
const snapshotPattern = /^snapshot-\d+-[0-9a-f]+\.(?:snap|part)$/

/** The database with rows, small payloads and the leader. */
export function databasePath(folder: string): string {
  return join(folder, 'journal.db')
}

/** The database whose lock the leader's process holds. It stays empty. */
export function lockPath(folder: string): string {
  return join(folder, 'lock.db')
}

/** A file of large payloads. */
export function segmentPath(folder: string, segment: number): string {
  return join(folder, `payloads-${String(segment).padStart(6, '0')}.seg`)
}

/** A file of the folder by its name. */
export function filePath(folder: string, name: string): string {
  return join(folder, name)
}

/** Numbers of all segment files that are there. */
export function segmentNumbers(folder: string): number[] {
  return readdirSync(folder)
    .map(name => segmentPattern.exec(name)?.[1])
    .filter(digits => digits !== undefined)
    .map(Number)
}

/** Names of all snapshot files that are there, finished or not. */
export function snapshotNames(folder: string): string[] {
  return readdirSync(folder).filter(name => snapshotPattern.test(name))
}

/** Makes names in a folder durable. */
export function syncFolder(folder: string): void {
  const descriptor = openSync(folder, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

/** Removes a file; true if it was there. */
export function removeFile(path: string): boolean {
  try {
    unlinkSync(path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}

/** Bytes that all files of the folder take. */
export function folderBytes(folder: string): number {
  let bytes = 0
  for (const name of readdirSync(folder)) bytes += statSync(join(folder, name), { throwIfNoEntry: false })?.size ?? 0
  return bytes
}

const markBytes = 12

/**
 * The last index that was acknowledged, written after each commit and never synced. SQLite ends a damaged write-ahead log at the damage without a word, so
 * acknowledged rows could vanish silently: then the journal ends before its mark. A power loss may leave an older mark, never a newer one.
 */
export class Mark {
  readonly #descriptor: number
  readonly #bytes = Buffer.alloc(markBytes)

  /** Opens the mark for reading, and for writing if `writable`. Throws ENOENT where there is none to read. */
  constructor(folder: string, writable: boolean) {
    this.#descriptor = openSync(join(folder, 'mark'), writable ? 'a+' : 'r', 0o600)
    if (!writable) return
    // 'a+' makes the file without emptying it, but appends: positions count only with 'r+'.
    closeSync(this.#descriptor)
    this.#descriptor = openSync(join(folder, 'mark'), 'r+')
  }

  /** The index, 0 if nothing was written yet, undefined if the mark is damaged. */
  read(): number | undefined {
    const read = readSync(this.#descriptor, this.#bytes, 0, markBytes, 0)
    if (read === 0) return 0
    if (read < markBytes || crc32(this.#bytes.subarray(0, 8)) !== this.#bytes.readUInt32LE(8)) return undefined
    return this.#bytes.readUInt32LE(0) + this.#bytes.readUInt32LE(4) * 2 ** 32
  }

  write(lastIndex: number): void {
    this.#bytes.writeUInt32LE(lastIndex % 2 ** 32, 0)
    this.#bytes.writeUInt32LE(Math.floor(lastIndex / 2 ** 32), 4)
    this.#bytes.writeUInt32LE(crc32(this.#bytes.subarray(0, 8)), 8)
    writeSync(this.#descriptor, this.#bytes, 0, markBytes, 0)
  }

  close(): void {
    closeSync(this.#descriptor)
  }
}

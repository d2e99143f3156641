// Owns what a row is on every backend: its manifest of payloads, its hash, and how a row is checked against the one before it.
// Must not know where rows are kept, or what records mean.
import { createHash, hash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { CoxswainError } from '../protocol/errors.ts'
import type { PayloadId } from '../protocol/index.ts'
import type { JournalRow } from './journal.ts'

/** Bytes of a hash. */
export const hashBytes = 32

/** What the first row of a journal has for its previous hash. */
export const noHash: Uint8Array = new Uint8Array(hashBytes)

/** Bytes that one payload takes in a manifest: number, size, checksum. */
const manifestEntryBytes = 16

/** Bytes that a row takes beside its records and its manifest, for the accounting of what is kept. */
const rowHeadBytes = 96

/** A payload as its row names it. */
export interface ManifestEntry {
  payload: PayloadId
  bytes: number
  checksum: number
}

/** A row with its manifest, as a backend keeps it. */
export interface KeptRow extends JournalRow {
  manifest: Uint8Array
}

/** The checksum of a payload's bytes. */
export function payloadChecksum(bytes: Uint8Array): number {
  return crc32(bytes)
}

function putInteger(buffer: Buffer, value: number, offset: number): void {
  buffer.writeUInt32LE(value % 2 ** 32, offset)
  buffer.writeUInt32LE(Math.floor(value / 2 ** 32), offset + 4)
}

/** Number, size and checksum of each payload, in the order of the append. */
export function encodeManifest(entries: readonly ManifestEntry[]): Buffer {
  const manifest = Buffer.allocUnsafe(entries.length * manifestEntryBytes)
  let offset = 0
  for (const { payload, bytes, checksum } of entries) {
    putInteger(manifest, payload, offset)
    manifest.writeUInt32LE(bytes, offset + 8)
    manifest.writeUInt32LE(checksum, offset + 12)
    offset += manifestEntryBytes
  }
  return manifest
}

/** The payloads that a row's manifest names. */
export function decodeManifest(manifest: Uint8Array): ManifestEntry[] {
  const buffer = Buffer.from(manifest.buffer, manifest.byteOffset, manifest.byteLength)
  const entries: ManifestEntry[] = []
  for (let offset = 0; offset + manifestEntryBytes <= buffer.length; offset += manifestEntryBytes) {
    entries.push({
      payload: buffer.readUInt32LE(offset) + buffer.readUInt32LE(offset + 4) * 2 ** 32,
      bytes: buffer.readUInt32LE(offset + 8),
      checksum: buffer.readUInt32LE(offset + 12),
    })
  }
  return entries
}

const head = Buffer.allocUnsafe(40)
/** Records up to this size are put behind the rest of their row to be hashed in one call. */
const copiedBytesMax = 16 << 10

/** SHA-256 over the previous hash, the head, the manifest and the records. */
export function rowHash(row: Omit<KeptRow, 'hash'>): Uint8Array {
  putInteger(head, row.firstIndex, 0)
  putInteger(head, row.count, 8)
  putInteger(head, row.epoch, 16)
  putInteger(head, row.manifest.length, 24)
  putInteger(head, row.records.length, 32)
  if (row.records.length > copiedBytesMax)
    return createHash('sha256').update(row.previousHash).update(head).update(row.manifest).update(row.records).digest()
  // In one go: for a small row most of the time goes into setting a hash up.
  return hash('sha256', Buffer.concat([row.previousHash, head, row.manifest, row.records]), 'buffer')
}

/** The bytes that a row counts for in what is kept. */
export function rowBytes(recordsBytes: number, manifestBytes: number): number {
  return rowHeadBytes + recordsBytes + manifestBytes
}

/** What is known of the row before: where it ends and its hash. */
export interface RowBefore {
  lastIndex: number
  epoch: number
  hash: Uint8Array
}

/** Where a row ends, for the row after it. */
export function rowEnd(row: JournalRow): RowBefore {
  return { lastIndex: row.firstIndex + row.count - 1, epoch: row.epoch, hash: row.hash }
}

/** Why a row cannot be believed, or undefined if it can. `before` is undefined where the row before was let go. */
export function rowProblem(row: KeptRow, before: RowBefore | undefined): string | undefined {
  if (row.count < 1) return 'holds no records'
  if (before !== undefined) {
    if (row.firstIndex !== before.lastIndex + 1) return `begins at ${row.firstIndex} where ${before.lastIndex + 1} was expected`
    if (row.epoch < before.epoch) return `is of epoch ${row.epoch}, older than the ${before.epoch} before it`
    if (!sameBytes(row.previousHash, before.hash)) return 'does not continue the chain of hashes'
  }
  return sameBytes(rowHash(row), row.hash) ? undefined : 'does not match its hash'
}

/** True for equal bytes. */
export function sameBytes(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0
}

/** The error of a row that cannot be believed; its `id` is the index of the row's first record. */
export function corruptRow(index: number, problem: string): CoxswainError {
  return new CoxswainError('JOURNAL_CORRUPT', `The journal's row at record ${index} ${problem}.`, { id: String(index) })
}

/** The error of a payload whose bytes are not those that were written; its `id` is the payload's number. */
export function corruptPayload(payload: PayloadId, problem: string): CoxswainError {
  return new CoxswainError('JOURNAL_CORRUPT', `Payload ${payload} of the journal ${problem}.`, { id: `payload ${payload}` })
}

/** SHA-256 over a snapshot's head and state. Feed `update` with the state's bytes. */
export function snapshotHash(index: number, epoch: number, hash: Uint8Array): ReturnType<typeof createHash> {
  const numbers = Buffer.allocUnsafe(16)
  putInteger(numbers, index, 0)
  putInteger(numbers, epoch, 8)
  return createHash('sha256').update(numbers).update(hash)
}

/** What to say when the journal was not read to the end because a snapshot that is needed does not hold. */
export function noSnapshotHolds(firstIndex: number): CoxswainError {
  return new CoxswainError(
    'JOURNAL_CORRUPT',
    `No kept snapshot matches its checksum, and the journal begins at record ${firstIndex}: the state cannot be rebuilt.`,
    { id: String(firstIndex) },
  )
}

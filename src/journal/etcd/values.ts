// Owns the bytes of what is kept in etcd about who leads, the journal's end, rows and lists of payloads; each with a checksum.
// Must not read or write keys.
import { crc32 } from 'node:zlib'
import { CoxswainError } from '../../protocol/errors.ts'
import type { PayloadId } from '../../protocol/index.ts'
import { recordVersion } from '../../protocol/limits.ts'
import type { LeadershipView } from '../journal.ts'
import { corruptPayload, corruptRow, hashBytes, type KeptRow } from '../row.ts'

/** Version of all keys and values. A prefix of a newer one is refused. */
const etcdFormat = 1

/** Puts a checksum before bytes. */
export function sealed(bytes: Uint8Array): Buffer {
  const whole = Buffer.allocUnsafe(bytes.length + 4)
  whole.writeUInt32LE(crc32(bytes))
  whole.set(bytes, 4)
  return whole
}

/** What is behind the checksum, or undefined where it does not hold. */
export function unsealed(value: Uint8Array): Buffer | undefined {
  const whole = Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  if (whole.length < 4 || whole.readUInt32LE() !== crc32(whole.subarray(4))) return undefined
  return whole.subarray(4)
}

/** Plain data with a checksum. */
export function sealedJson(data: unknown): Buffer {
  return sealed(Buffer.from(JSON.stringify(data)))
}

/** Who leads, as it is kept. */
export interface LeaderValue extends LeadershipView {
  format: number
  records: number
  /** Of the key `alive`; it also makes each claim's value different from all others. */
  claim: string
}

/** The value of the leader's key. */
export function encodeLeader(value: Omit<LeaderValue, 'format' | 'records'>): Buffer {
  return sealedJson({ format: etcdFormat, records: recordVersion, ...value })
}

function damaged(key: string): CoxswainError {
  return new CoxswainError('JOURNAL_CORRUPT', `The key ${key} of the journal in etcd does not match its checksum.`, { id: key })
}

/** Reads the leader's key. A newer format is told as such, whatever else it has. */
export function decodeLeader(bytes: Uint8Array): LeaderValue {
  const text = unsealed(bytes)
  if (text === undefined) throw damaged('leader')
  // The checksum held: these are the bytes that a claim wrote.
  const value = JSON.parse(text.toString()) as LeaderValue
  if (value.format > etcdFormat) throw newer('format', value.format, etcdFormat)
  return value
}

/** The error of data that a newer release wrote. */
export function newer(what: string, found: number, known: number): CoxswainError {
  return new CoxswainError('JOURNAL_VERSION', `The journal in etcd has ${what} ${found}; this release knows ${known}.`, { id: what })
}

/** Where the journal ends and what is kept. No two writes of one journal leave the same. */
export interface End {
  /** Writes of all leaders so far. */
  sequence: number
  lastIndex: number
  rows: number
  rowBytes: number
  payloads: number
  payloadBytes: number
  historyRows: number
  /** The largest number that a payload ever had. */
  lastPayload: PayloadId
  /** Of the newest row. */
  hash: Uint8Array
}

const endNumbers = ['sequence', 'lastIndex', 'rows', 'rowBytes', 'payloads', 'payloadBytes', 'historyRows', 'lastPayload'] as const

/** The value of the end's key. */
export function encodeEnd(end: End): Buffer {
  const bytes = Buffer.alloc(endNumbers.length * 8 + hashBytes)
  for (const [at, name] of endNumbers.entries()) bytes.writeDoubleLE(end[name], at * 8)
  bytes.set(end.hash, endNumbers.length * 8)
  return sealed(bytes)
}

/** Reads the end's key. */
export function decodeEnd(value: Uint8Array): End {
  const bytes = unsealed(value)
  if (bytes?.length !== endNumbers.length * 8 + hashBytes) throw damaged('end')
  const numbers = Object.fromEntries(endNumbers.map((name, at) => [name, bytes.readDoubleLE(at * 8)]))
  // The names are those of the interface.
  return { ...(numbers as unknown as Omit<End, 'hash'>), hash: Uint8Array.from(bytes.subarray(endNumbers.length * 8)) }
}

/** A row whose manifest and records may stand elsewhere. */
export interface RowHead extends Omit<KeptRow, 'manifest' | 'records'> {
  manifestBytes: number
  recordsBytes: number
  /** Manifest and records; undefined: they are a blob. */
  body: Buffer | undefined
}

const rowHeadBytes = 1 + 3 * 8 + 2 * hashBytes + 2 * 4

/** The value of a row's key. Its hash covers all of it. */
export function encodeRow(row: KeptRow, inline: boolean): Buffer {
  const { firstIndex, count, epoch, manifest, records } = row
  const bytes = Buffer.allocUnsafe(rowHeadBytes + (inline ? manifest.length + records.length : 0))
  bytes[0] = inline ? 1 : 0
  for (const [at, value] of [firstIndex, count, epoch].entries()) bytes.writeDoubleLE(value, 1 + at * 8)
  bytes.set(row.previousHash, 25)
  bytes.set(row.hash, 25 + hashBytes)
  bytes.writeUInt32LE(manifest.length, 25 + 2 * hashBytes)
  bytes.writeUInt32LE(records.length, 29 + 2 * hashBytes)
  if (!inline) return bytes
  bytes.set(manifest, rowHeadBytes)
  bytes.set(records, rowHeadBytes + manifest.length)
  return bytes
}

/** Reads a row's key; `firstIndex` is what the key's name says. */
export function decodeRow(firstIndex: number, value: Uint8Array): RowHead {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  if (bytes.length < rowHeadBytes || bytes.readDoubleLE(1) !== firstIndex) throw corruptRow(firstIndex, 'is not what was written')
  const head: RowHead = {
    firstIndex,
    count: bytes.readDoubleLE(9),
    epoch: bytes.readDoubleLE(17),
    previousHash: bytes.subarray(25, 25 + hashBytes),
    hash: bytes.subarray(25 + hashBytes, 25 + 2 * hashBytes),
    manifestBytes: bytes.readUInt32LE(25 + 2 * hashBytes),
    recordsBytes: bytes.readUInt32LE(29 + 2 * hashBytes),
    body: bytes[0] === 1 ? bytes.subarray(rowHeadBytes) : undefined,
  }
  return head
}

/** The whole row, its body put together. Not checked against its hash. */
export function wholeRow(head: RowHead, body: Buffer): KeptRow {
  const { manifestBytes, recordsBytes, body: _, ...rest } = head
  if (body.length !== manifestBytes + recordsBytes) throw corruptRow(head.firstIndex, 'does not match its hash')
  return { ...rest, manifest: body.subarray(0, manifestBytes), records: body.subarray(manifestBytes) }
}

/** One payload of a list. */
export interface IndexEntry {
  /** In the bundle; -1: a blob of its own. */
  offset: number
  bytes: number
  checksum: number
}

/** The payloads that were written together and are still there. */
export interface Index {
  first: PayloadId
  /** The last one that it ever held. */
  last: PayloadId
  bundleBytes: number
  entries: Map<PayloadId, IndexEntry>
}

const indexHeadBytes = 12
/** Bytes that one payload takes in the list. */
export const indexEntryBytes = 16
const ofItsOwn = 0xffffffff

/** The value of a list's key. */
export function encodeIndex({ first, last, bundleBytes, entries }: Index): Buffer {
  const bytes = Buffer.allocUnsafe(indexHeadBytes + entries.size * indexEntryBytes)
  bytes.writeDoubleLE(last, 0)
  bytes.writeUInt32LE(bundleBytes, 8)
  let at = indexHeadBytes
  for (const [payload, entry] of entries) {
    bytes.writeUInt32LE(payload - first, at)
    bytes.writeUInt32LE(entry.offset < 0 ? ofItsOwn : entry.offset, at + 4)
    bytes.writeUInt32LE(entry.bytes, at + 8)
    bytes.writeUInt32LE(entry.checksum, at + 12)
    at += indexEntryBytes
  }
  return sealed(bytes)
}

/** Reads a list. */
export function decodeIndex(key: string, value: Uint8Array): Index {
  const first = Number.parseInt(key.slice(key.indexOf('/') + 1), 16)
  const bytes = unsealed(value)
  if (bytes === undefined || bytes.length < indexHeadBytes) throw corruptPayload(first, 'stands in a list that is not what was written')
  const entries = new Map<PayloadId, IndexEntry>()
  for (let at = indexHeadBytes; at < bytes.length; at += indexEntryBytes) {
    const offset = bytes.readUInt32LE(at + 4)
    entries.set(first + bytes.readUInt32LE(at), {
      offset: offset === ofItsOwn ? -1 : offset,
      bytes: bytes.readUInt32LE(at + 8),
      checksum: bytes.readUInt32LE(at + 12),
    })
  }
  return { first, last: bytes.readDoubleLE(0), bundleBytes: bytes.readUInt32LE(8), entries }
}

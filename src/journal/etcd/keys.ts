// Owns the names of all keys that the journal has in etcd, below its prefix. Order of names is order of what they hold.
// Must not know what stands in them.
import type { JobId, PayloadId } from '../../protocol/index.ts'

/** Who leads. It has no lease: only a claim changes it. */
export const leaderKey = 'leader'
/** Where the journal ends and what is kept. Every write of a leader compares and replaces it. */
export const endKey = 'end'
/** There as long as whoever leads keeps its lease: it says who may try, and decides nothing. */
export const aliveKey = 'alive'

/** Behind every key. */
const last = '\u{10ffff}'

/** A range of keys, as etcd takes it. */
export interface KeyRange {
  key: string
  end: string
}

function hex(value: number, digits = 16): string {
  return value.toString(16).padStart(digits, '0')
}

/** All keys of a kind, such as `row/`: '0' follows '/'. */
function all(kind: string): KeyRange {
  return { key: `${kind}/`, end: `${kind}0` }
}

export const rows = all('row')
const indexes = all('index')
const histories = all('history')
const places = all('place')
export const todos = all('todo')
export const snapshots = all('snapshot')
export const snapshotBlobs: KeyRange = { key: 'blob/s', end: 'blob/t' }

/** A row by its first index; what it counts for stands in its key, so that sizes are known without reading rows. */
export function rowKey(firstIndex: number, bytes: number): string {
  return `row/${hex(firstIndex)}.${bytes.toString(16)}`
}

/** What a row's key says; undefined if it is no such key. */
export function fromRowKey(key: string): { firstIndex: number; bytes: number } | undefined {
  const found = /^row\/([0-9a-f]{16})\.([0-9a-f]+)$/.exec(key)
  return found ? { firstIndex: Number.parseInt(found[1]!, 16), bytes: Number.parseInt(found[2]!, 16) } : undefined
}

/** Rows that begin at this index or later. */
export function rowsFrom(index: number): KeyRange {
  return { key: `row/${hex(index)}`, end: rows.end }
}

/** Rows that begin before this index. */
export function rowsBefore(index: number): KeyRange {
  return { key: rows.key, end: `row/${hex(index)}` }
}

/** The list of payloads that were written together, by the first one. */
export function indexKey(first: PayloadId): string {
  return `index/${hex(first)}`
}

/** Lists that begin at this payload or before it. */
export function indexesUpTo(payload: PayloadId): KeyRange {
  return { key: indexes.key, end: `index/${hex(payload + 1)}` }
}

/** Lists that begin behind this payload. */
export function indexesBehind(payload: PayloadId): KeyRange {
  return { key: `index/${hex(payload + 1)}`, end: indexes.end }
}

/** Whose bytes a blob holds: a bundle of small payloads, one large payload, a row, what an append leaves to do. */
export type BlobKind = 'b' | 'p' | 'r' | 't'

/** The name of a blob. */
export function blobName(kind: BlobKind, number: number): string {
  return `${kind}${hex(number)}`
}

/** One part of a blob. */
export function blobKey(name: string, part: number): string {
  return `blob/${name}/${hex(part, 6)}`
}

/** All parts of a blob. */
export function blobRange(name: string): KeyRange {
  return all(`blob/${name}`)
}

/** Blobs of a kind from this number on. */
export function blobsFrom(kind: BlobKind, number: number): KeyRange {
  return { key: `blob/${blobName(kind, number)}`, end: `blob/${kind}~` }
}

/** Blobs of a kind before this number. */
export function blobsBefore(kind: BlobKind, number: number): KeyRange {
  return { key: `blob/${kind}`, end: `blob/${blobName(kind, number)}` }
}

export function historyKey(number: number): string {
  return `history/${hex(number)}`
}

/** Rows of the history with a smaller number. */
export function historyBelow(number: number): KeyRange {
  return { key: histories.key, end: number > Number.MAX_SAFE_INTEGER ? histories.end : historyKey(number) }
}

export function jobKey(job: JobId): string {
  return `job/${job}`
}

/** The numbers of rows that came into the history together, by the first one's place. */
export function placeKey(first: number): string {
  return `place/${hex(first)}`
}

/** Lists of numbers whose first place is this one or before it. */
export function placesUpTo(place: number): KeyRange {
  return { key: places.key, end: placeKey(place + 1) }
}

/** Lists of numbers whose first place is behind this one and before the other. */
export function placesBetween(place: number, end: number): KeyRange {
  return { key: placeKey(place + 1), end: placeKey(end) }
}

export function todoKey(firstIndex: number): string {
  return `todo/${hex(firstIndex)}`
}

export function snapshotKey(index: number): string {
  return `snapshot/${hex(index)}`
}

/** What lies between our keys: anything there is not ours. */
export function foreignRanges(): KeyRange[] {
  const own: KeyRange[] = [
    ...[aliveKey, endKey, leaderKey].map(key => ({ key, end: `${key}\0` })),
    ...['blob', 'history', 'index', 'job', 'place', 'row', 'snapshot', 'todo'].map(all),
  ].sort((one, other) => (one.key < other.key ? -1 : 1))
  const ranges: KeyRange[] = []
  let from = '\0'
  for (const { key, end } of own) {
    ranges.push({ key: from, end: key })
    from = end
  }
  return [...ranges, { key: from, end: last }]
}

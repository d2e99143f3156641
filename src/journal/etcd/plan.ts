// Owns what becomes of one append in etcd: which keys its transaction puts, which parts go before it, and what is left to be done behind it.
// Must not send anything.
import { CoxswainError } from '../../protocol/errors.ts'
import type { PayloadId } from '../../protocol/index.ts'
import type { Append, PayloadWrite } from '../journal.ts'
import { encodeManifest, type KeptRow, payloadChecksum, rowBytes, rowHash } from '../row.ts'
import type { Operation } from './api.ts'
import { type Part, partBytesMax, partsOf, putsOf } from './blobs.ts'
import { encodeHistory, encodeJob, encodePlaces, encodeProgress, encodeTodo, type Todo } from './history-values.ts'
import type { Indexes } from './indexes.ts'
import { blobName, historyKey, indexKey, jobKey, placeKey, rowKey, todoKey } from './keys.ts'
import { type End, encodeIndex, encodeRow, type Index, indexEntryBytes } from './values.ts'

/** Bytes of one transaction; etcd's limit is 1.5 MiB. */
export const transactionBytesMax = 1_250_000
/** Operations of one transaction; etcd's limit is 128. */
const transactionOperationsMax = 120
/** A payload up to this size shares a bundle with others. */
const bundledBytesMax = 64 << 10
/** A bundle: whoever reads one payload reads all of it. */
const [bundleBytesMax, bundlePayloadsMax] = [256 << 10, 4096]
/** Lists of payloads in one append. */
const listsMax = 100
/** What an append drops, and does to the history, within its own transaction; more is done behind it. */
const [inlineDropOperationsMax, inlineRowBytesMax] = [50, 256 << 10]

/** One append, as it is sent. */
export interface Plan {
  row: KeptRow
  rowKey: string
  /** Where the journal ends afterwards. */
  end: End
  operations: Operation[]
  /** What must be there before. */
  before: Part[]
  /** Something is left to be done behind it. */
  todo: boolean
}

/** Rows of the history with what leads to them. */
export function historyPuts(rows: Todo['rows']): Operation[] {
  if (rows.length === 0) return []
  const byPlace = [...rows].sort((one, other) => one.place - other.place)
  const puts = rows.flatMap(row => [
    { put: { key: historyKey(row.number), value: encodeHistory(row) } },
    { put: { key: jobKey(row.job), value: encodeJob(row.number) } },
  ])
  const list = byPlace.map(({ place, number }) => [place, number] as const)
  return [...puts, { put: { key: placeKey(byPlace[0]!.place), value: encodePlaces(list) } }]
}

/** Payloads of an append, which must be new, and in order once they are sorted. */
function newPayloads({ payloads }: Append, lastPayload: PayloadId): PayloadWrite[] {
  const sorted = [...payloads].sort((one, other) => one.payload - other.payload)
  let before = lastPayload
  for (const { payload } of sorted) {
    if (payload <= before)
      throw new CoxswainError('JOURNAL_WRITE_FAILED', `Payload ${payload} is written a second time, or behind ${before}.`, {
        id: `payload ${payload}`,
      })
    before = payload
  }
  return sorted
}

/** Lists of payloads with the bytes that their bundles have. */
function pack(payloads: readonly PayloadWrite[]): { index: Index; bundle: Uint8Array[] }[] {
  const packed: { index: Index; bundle: Uint8Array[] }[] = []
  for (const { payload, bytes } of payloads) {
    const own = bytes.length > bundledBytesMax
    let last = packed.at(-1)
    const full = last && (last.index.entries.size >= bundlePayloadsMax || last.index.bundleBytes + bytes.length > bundleBytesMax)
    if (!last || (full && !own) || payload - last.index.first >= 2 ** 32) {
      last = { index: { first: payload, last: payload, bundleBytes: 0, entries: new Map() }, bundle: [] }
      packed.push(last)
    }
    const { index, bundle } = last
    index.entries.set(payload, { offset: own ? -1 : index.bundleBytes, bytes: bytes.length, checksum: payloadChecksum(bytes) })
    index.last = payload
    if (own) continue
    index.bundleBytes += bytes.length
    bundle.push(bytes)
  }
  return packed
}

/** What an append says beside its row and payloads: some of it inline, the rest as a todo. */
function split(append: Append, room: number, indexes: Indexes): { inline: Todo; later: Todo | undefined } {
  const { rows = [], emptied, forgotten } = append.history ?? {}
  const drops = dropsOf(append)
  const rowsBytes = rows.reduce((sum, row) => sum + row.body.length, 0)
  const dropsRoom = drops.length > 0 ? Math.min(inlineDropOperationsMax, room) : 0
  const dropsLater = indexes.countWithin(drops, dropsRoom) < drops.length
  const rowsLater = rows.length * 2 + 1 > room - dropsRoom || rowsBytes > inlineRowBytesMax
  const inline: Todo = { rows: rowsLater ? [] : rows, drops: dropsLater ? [] : drops, emptied: undefined, forgotten: undefined }
  if (!rowsLater && !dropsLater && emptied === undefined && forgotten === undefined) return { inline, later: undefined }
  return { inline, later: { rows: rowsLater ? rows : [], drops: dropsLater ? drops : [], emptied, forgotten } }
}

/** What an append drops that an earlier one wrote. */
export function dropsOf({ payloads, drops }: Append): PayloadId[] {
  const own = new Set(payloads.map(({ payload }) => payload))
  return drops.filter(payload => !own.has(payload))
}

function rowOf({ firstIndex, count, epoch, payloads, records }: Append, previousHash: Uint8Array): KeptRow {
  const manifest = encodeManifest(
    payloads.map(({ payload, bytes }) => ({ payload, bytes: bytes.length, checksum: payloadChecksum(bytes) })),
  )
  const row = { firstIndex, count, epoch, previousHash, records, manifest }
  return { ...row, hash: rowHash(row) }
}

/** Puts what is left of the transaction's bytes to use: parts that do not fit go before it, the largest first. */
function fit(parts: Part[], fixedBytes: number, room: number): { within: Part[]; before: Part[] } {
  const within = [...parts].sort((one, other) => one.value.length - other.value.length)
  const before: Part[] = []
  let bytes = within.reduce((sum, { value }) => sum + value.length, fixedBytes)
  while (within.length > 0 && (bytes > transactionBytesMax || within.length > room)) {
    const part = within.pop()!
    bytes -= part.value.length
    before.push(part)
  }
  return { within, before }
}

function bytesOf(operations: readonly Operation[]): number {
  return operations.reduce(
    (sum, operation) => sum + ('put' in operation ? operation.put.key.length + operation.put.value.length + 32 : 64),
    0,
  )
}

/** Plans an append behind `end`. The lists of what it drops must be known to `indexes`, which from now on have it as done. */
export function planAppend(append: Append, end: End, indexes: Indexes): Plan {
  const dropped = new Set(append.drops)
  const written = newPayloads(append, end.lastPayload)
  const kept = written.filter(({ payload }) => !dropped.has(payload))
  const row = rowOf(append, end.hash)
  const size = rowBytes(row.records.length, row.manifest.length)
  const packed = pack(kept)
  const { inline, later } = split(append, transactionOperationsMax - 10 - packed.length, indexes)
  const puts: Operation[] = packed.map(({ index }) => ({ put: { key: indexKey(index.first), value: encodeIndex(index) } }))
  if (packed.length > listsMax || kept.length * indexEntryBytes > transactionBytesMax / 2)
    throw new CoxswainError('JOURNAL_WRITE_FAILED', `${kept.length} payloads in one append are more than one transaction of etcd can name.`)
  const dropping = indexes.drop(inline.drops)
  for (const { index } of packed) indexes.add(index)
  const before = kept.filter(({ bytes }) => bytes.length > bundledBytesMax).flatMap(one => partsOf(blobName('p', one.payload), one.bytes))
  const blobs = packed.flatMap(({ index, bundle }) => (bundle.length > 0 ? partsOf(blobName('b', index.first), Buffer.concat(bundle)) : []))
  const operations = [...puts, ...dropping.operations, ...historyPuts(inline.rows)]
  if (later) {
    const body = encodeTodo(later)
    blobs.push(...partsOf(blobName('t', append.firstIndex), body))
    const progress = { bodyBytes: body.length, rows: 0, emptied: 0, forgotten: 0, drops: 0 }
    operations.push({ put: { key: todoKey(append.firstIndex), value: encodeProgress(progress) } })
  }
  const bodyInline = size <= partBytesMax / 2
  if (!bodyInline) blobs.push(...partsOf(blobName('r', append.firstIndex), Buffer.concat([row.manifest, row.records])))
  const key = rowKey(append.firstIndex, size)
  operations.push({ put: { key, value: encodeRow(row, bodyInline) } })
  const fitted = fit(blobs, bytesOf(operations), transactionOperationsMax - operations.length - 1)
  return {
    row,
    rowKey: key,
    end: {
      sequence: end.sequence + 1,
      lastIndex: append.firstIndex + append.count - 1,
      rows: end.rows + 1,
      rowBytes: end.rowBytes + size,
      payloads: end.payloads + kept.length - dropping.payloads,
      payloadBytes: end.payloadBytes + kept.reduce((sum, { bytes }) => sum + bytes.length, 0) - dropping.payloadBytes,
      historyRows: end.historyRows + inline.rows.length,
      lastPayload: written.at(-1)?.payload ?? end.lastPayload,
      hash: row.hash,
    },
    operations: [...operations, ...putsOf(fitted.within)],
    before: [...before, ...fitted.before],
    todo: later !== undefined,
  }
}

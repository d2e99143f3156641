// Owns what appends do to the history, as the function in the database takes it: rows in, rows emptied, rows out, keys, payloads that go along.
// Must not talk to the database: what goes is read by the caller.
import { createHash } from 'node:crypto'
import type { PayloadId } from '../../protocol/index.ts'
import {
  endStates,
  type HistoryChange,
  type HistoryColumns,
  type HistoryQuery,
  type HistoryRow,
  historyChecksum,
  historyKey,
  historyKeys,
  rowFromColumns,
} from '../history.ts'
import type { Bytes } from './batch.ts'

const keyBytes = 16

/** The key as its digest: an index of a database has room for short keys only. */
function digestOf(key: string): Buffer {
  return createHash('sha256').update(key).digest().subarray(0, keyBytes)
}

/** By what a name, a label, or both together are found. */
export function keyOf(query: Pick<HistoryQuery, 'label' | 'name'>): Buffer {
  return digestOf(historyKey(query))
}

/** All keys of a row, each once. */
export function keysOf(row: Pick<HistoryRow, 'name' | 'labels'>): Buffer[] {
  return historyKeys(row).map(digestOf)
}

/** The columns of a row. */
export const historyColumns = 'number, place, job, name, state, labels, submitted_ms AS "submittedAtMs", payloads, body, checksum'

/** The row in these columns, checked; its name is kept as JSON. */
export function historyRowFrom(kept: HistoryColumns): HistoryRow {
  return rowFromColumns(kept, JSON.parse)
}

/** What the function in the database is told, and the payloads that go with the rows. */
export interface HistoryParts {
  json: string
  drops: PayloadId[]
}

interface KeyEntry {
  key: string
  state: number
  number: number
}

function entriesOf(row: HistoryRow): KeyEntry[] {
  const state = endStates.indexOf(row.state)
  return keysOf(row).map(key => ({ key: key.toString('hex'), state, number: row.number }))
}

/** A row that an append lets go of, or empties: undefined where it is damaged, and then what it names may be another's. */
export interface Going {
  number: number
  row: HistoryRow | undefined
  whole: boolean
}

/** Which of these rows go by this change. */
export function goingIn(
  { emptied, forgotten }: HistoryChange,
  rows: readonly { number: number; place: number; row: HistoryRow | undefined }[],
): Going[] {
  const within = (place: number, range: HistoryChange['emptied']): boolean =>
    range !== undefined && place >= range.first && place < range.first + range.count
  return rows
    .filter(({ place }) => within(place, emptied) || within(place, forgotten))
    .map(({ number, place, row }) => ({ number, row, whole: within(place, forgotten) }))
}

/** What all this comes to. The bodies are put into `bytes`. */
export function historyParts(rows: readonly HistoryRow[], going: readonly Going[], bytes: Bytes): HistoryParts {
  const drops = going.flatMap(({ row }) => row?.payloads ?? [])
  const emptied = going.flatMap(({ row, whole }) =>
    row === undefined || whole || row.payloads.length === 0
      ? []
      : [{ number: row.number, checksum: historyChecksum({ ...row, payloads: [] }) }],
  )
  const gone = going.filter(({ whole }) => whole)
  const json = {
    rows: rows.map(row => ({
      number: row.number,
      place: row.place,
      job: Buffer.from(row.job).toString('hex'),
      name: JSON.stringify(row.name),
      state: endStates.indexOf(row.state),
      labels: JSON.stringify(row.labels),
      submitted: row.submittedAtMs,
      payloads: JSON.stringify(row.payloads),
      at: bytes.add(row.body),
      size: row.body.length,
      checksum: historyChecksum(row),
    })),
    keys: rows.flatMap(entriesOf),
    emptied,
    gone: gone.map(({ number }) => number),
    goneKeys: gone.flatMap(({ row }) => (row === undefined ? [] : entriesOf(row))),
  }
  return { json: JSON.stringify(json), drops }
}

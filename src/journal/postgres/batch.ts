// Owns how appends become the values of one statement: their rows in the chain of hashes, and all bytes in one piece.
// Must not talk to the database.
import type { Append } from '../journal.ts'
import { encodeManifest, payloadChecksum, rowBytes, rowHash } from '../row.ts'
import type { HistoryParts } from './history-change.ts'
import type { Statement } from './session.ts'

/** Where a journal ends: its last record, and the hash of the row that holds it. */
export interface JournalEnd {
  lastIndex: number
  hash: Uint8Array
}

/** Who writes: compared in every statement. */
export interface Writing {
  epoch: number
  /** Made anew for each claim. */
  holder: string
  /** Counts the connections of this leader: what an older one still has under way is refused. */
  writer: number
}

/** Appends that become durable together. */
export interface Batch {
  end: JournalEnd
  /** Of the first row: by it this batch is known among all. */
  first: JournalEnd
  /** What follows `p_hash` in the function's arguments. */
  values: readonly unknown[]
}

/** The statement that appends; `claiming` in front of it makes it one that claims first. */
export function appendStatement(schema: string): Statement {
  return { name: 'append', text: `SELECT ${call(schema, 1)} AS done` }
}

/** How many values the statement of a claim has before those of the append that opens its epoch. */
const claimValues = 11

/** The statement that claims and opens the epoch. */
export function claimStatement(schema: string): Statement {
  const claim = `${schema}.claim(${places(1, claimValues)})`
  return { name: 'claim', text: `SELECT CASE WHEN ${claim} THEN ${call(schema, claimValues + 1)} ELSE false END AS done` }
}

const appendValues = 21

function places(from: number, count: number): string {
  return Array.from({ length: count }, (_, at) => `$${from + at}`).join(', ')
}

function call(schema: string, from: number): string {
  return `${schema}.append(${places(from, appendValues)})`
}

/** The values of an append statement. */
export function appendValuesOf({ epoch, holder, writer }: Writing, before: JournalEnd, batch: Batch): unknown[] {
  return [epoch, holder, writer, before.lastIndex, before.hash, ...batch.values]
}

/** Puts bytes one behind the other. */
export class Bytes {
  readonly #pieces: Uint8Array[] = []
  length = 0

  /** Adds some; gives where they begin. */
  add(...pieces: readonly Uint8Array[]): number {
    const at = this.length
    for (const piece of pieces) {
      this.#pieces.push(piece)
      this.length += piece.length
    }
    return at
  }

  joined(): Buffer {
    return Buffer.concat(this.#pieces, this.length)
  }
}

/** Makes the batch of these appends behind a journal's end. `history` is what they do to the history, its bytes already in `bytes`. */
export function batchOf(appends: readonly Append[], before: JournalEnd, bytes: Bytes, history: HistoryParts | undefined): Batch {
  const rows = { first: [] as number[], count: [] as number[], at: [] as number[], manifest: [] as number[], records: [] as number[] }
  const payloads = { number: [] as number[], at: [] as number[], size: [] as number[], checksum: [] as number[] }
  const drops: number[] = [...(history?.drops ?? [])]
  let end = before
  let first = before
  let rowsBytes = 0
  let payloadBytes = 0
  for (const append of appends) {
    const { firstIndex, count, epoch, records } = append
    const kept = append.payloads.map(one => ({ ...one, checksum: payloadChecksum(one.bytes) }))
    const manifest = encodeManifest(kept.map(({ payload, bytes, checksum }) => ({ payload, bytes: bytes.length, checksum })))
    const previousHash = end.hash
    const hash = rowHash({ firstIndex, count, epoch, previousHash, manifest, records })
    end = { lastIndex: firstIndex + count - 1, hash }
    if (first === before) first = { lastIndex: firstIndex, hash }
    rows.first.push(firstIndex)
    rows.count.push(count)
    rows.at.push(bytes.add(previousHash, hash, manifest, records))
    rows.manifest.push(manifest.length)
    rows.records.push(records.length)
    rowsBytes += rowBytes(records.length, manifest.length)
    for (const one of kept) {
      payloads.number.push(one.payload)
      payloads.at.push(bytes.add(one.bytes))
      payloads.size.push(one.bytes.length)
      payloads.checksum.push(one.checksum)
      payloadBytes += one.bytes.length
    }
    drops.push(...append.drops)
  }
  const values = [
    ...[end.lastIndex, end.hash, bytes.joined(), rowsBytes, payloadBytes],
    ...[rows.first, rows.count, rows.at, rows.manifest, rows.records],
    ...[payloads.number, payloads.at, payloads.size, payloads.checksum, drops],
    history === undefined ? null : history.json,
  ]
  return { end, first, values }
}

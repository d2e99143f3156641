// Owns the bytes of what is kept in etcd of the history, and of what an append leaves to be done behind it.
// Must not read or write keys.
import { CoxswainError } from '../../protocol/errors.ts'
import type { JobId, PayloadId, Range } from '../../protocol/index.ts'
import { corruptHistory, endStates, type HistoryRow, historyChecksum } from '../history.ts'
import { sealed, sealedJson, unsealed } from './values.ts'

/** The value of a row of the history. */
export function encodeHistory(row: HistoryRow): Buffer {
  const { number, place, job, name, labels, submittedAtMs, payloads, body } = row
  const head = Buffer.from(JSON.stringify([job, number, place, name, endStates.indexOf(row.state), labels, submittedAtMs, payloads]))
  const sizes = Buffer.allocUnsafe(8)
  sizes.writeUInt32LE(historyChecksum(row))
  sizes.writeUInt32LE(head.length, 4)
  return Buffer.concat([sizes, head, body])
}

type Head = [JobId, number, number, string, number, string[], number, PayloadId[]]

/** Reads a row of the history. Throws JOURNAL_CORRUPT with its job's id, as far as that can be read. */
export function decodeHistory(key: string, value: Uint8Array): HistoryRow {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  let of = key
  try {
    const end = 8 + bytes.readUInt32LE(4)
    // What it says is believed only after its checksum.
    const [job, number, place, name, state, labels, submittedAtMs, payloads] = JSON.parse(bytes.subarray(8, end).toString()) as Head
    of = String(job)
    const row: HistoryRow = {
      ...{ number, place, job, name, state: endStates[state]!, labels, submittedAtMs, payloads },
      body: Uint8Array.from(bytes.subarray(end)),
    }
    if (historyChecksum(row) === bytes.readUInt32LE()) return row
  } catch {
    // Damage may leave anything.
  }
  throw corruptHistory(of)
}

/** The value that leads from a job to its row. */
export function encodeJob(number: number): Buffer {
  return sealedJson(number)
}

/** Reads where a job's row is. */
export function decodeJob(job: JobId, value: Uint8Array): number {
  const text = unsealed(value)
  if (text === undefined) throw corruptHistory(job)
  return JSON.parse(text.toString()) as number
}

/** Places and the numbers of the rows there, in the order of places. */
export type PlaceList = (readonly [place: number, number: number])[]

/** The value of a list of places. */
export function encodePlaces(list: PlaceList): Buffer {
  return sealedJson(list)
}

/** Reads a list of places. */
export function decodePlaces(key: string, value: Uint8Array): PlaceList {
  const text = unsealed(value)
  if (text === undefined) throw new CoxswainError('JOURNAL_CORRUPT', `The key ${key} does not match its checksum.`, { id: key })
  return JSON.parse(text.toString()) as PlaceList
}

/** What an append says that did not fit into its transaction. */
export interface Todo {
  rows: readonly HistoryRow[]
  emptied: Range | undefined
  forgotten: Range | undefined
  drops: readonly PayloadId[]
}

/** How far it is done. */
export interface TodoProgress {
  bodyBytes: number
  rows: number
  emptied: number
  forgotten: number
  drops: number
}

const none: Range = { first: 0, count: 0 }

/** The body of a todo: its head, then its rows. */
export function encodeTodo({ rows, emptied, forgotten, drops }: Todo): Buffer {
  const pieces = [Buffer.from(JSON.stringify([emptied ?? none, forgotten ?? none, drops])), ...rows.map(encodeHistory)]
  return sealed(
    Buffer.concat(
      pieces.flatMap(piece => {
        const size = Buffer.allocUnsafe(4)
        size.writeUInt32LE(piece.length)
        return [size, piece]
      }),
    ),
  )
}

/** The same, read: its rows are decoded when they are needed. */
export interface ReadTodo {
  emptied: Range
  forgotten: Range
  drops: PayloadId[]
  rows: Buffer[]
}

function damagedTodo(key: string): CoxswainError {
  return new CoxswainError('JOURNAL_CORRUPT', `The key ${key} does not match its checksum.`, { id: key })
}

/** Reads the body of a todo. */
export function decodeTodo(key: string, value: Uint8Array): ReadTodo {
  const bytes = unsealed(value)
  if (bytes === undefined) throw damagedTodo(key)
  const pieces: Buffer[] = []
  for (let at = 0; at < bytes.length; ) {
    const size = bytes.readUInt32LE(at)
    pieces.push(bytes.subarray(at + 4, at + 4 + size))
    at += 4 + size
  }
  const [head, ...rows] = pieces
  const [emptied, forgotten, drops] = JSON.parse(head!.toString()) as [Range, Range, PayloadId[]]
  return { emptied, forgotten, drops, rows }
}

/** The value of a todo's key. */
export function encodeProgress(progress: TodoProgress): Buffer {
  return sealedJson(progress)
}

/** Reads how far a todo is done. */
export function decodeProgress(key: string, value: Uint8Array): TodoProgress {
  const text = unsealed(value)
  if (text === undefined) throw damagedTodo(key)
  return JSON.parse(text.toString()) as TodoProgress
}

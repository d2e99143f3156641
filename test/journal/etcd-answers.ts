// Owns etcd's answers in bytes, as a server writes them, for tests of the client.
// Must not use the decoders that are under test.
import type { KeyValue } from '../../src/journal/etcd/api.ts'
import { ProtobufWriter } from '../../src/journal/etcd/protobuf.ts'

/** A message without its gRPC head. */
export function bare(write: (writer: ProtobufWriter) => void): Buffer {
  const writer = new ProtobufWriter()
  write(writer)
  return writer.framed().subarray(5)
}

function header(writer: ProtobufWriter, field: number, revision: number): void {
  writer.message(field, () => {
    writer.number(4, 7)
    writer.number(3, revision)
    writer.decimal(2, '18446744073709551615')
    writer.decimal(1, '-1')
  })
}

function keyValue(writer: ProtobufWriter, field: number, row: KeyValue): void {
  writer.message(field, () => {
    if (row.lease !== '') writer.decimal(6, row.lease)
    writer.bytes(5, row.value)
    writer.number(4, 3)
    writer.number(3, row.modRevision)
    writer.number(2, row.createRevision)
    writer.text(1, row.key)
  })
}

/** The answer to a range. */
export function rangeAnswer(revision: number, rows: readonly KeyValue[], more = false): Buffer {
  return bare(writer => {
    writer.number(4, rows.length)
    writer.flag(3, more)
    for (const row of rows.toReversed()) keyValue(writer, 2, row)
    header(writer, 1, revision)
  })
}

/** The answer to a transaction whose operations were puts. */
export function transactionAnswer(revision: number, succeeded: boolean, puts: number): Buffer {
  return bare(writer => {
    for (let put = 0; put < puts; put++) writer.message(3, () => writer.message(2, () => undefined))
    writer.flag(2, succeeded)
    header(writer, 1, revision)
  })
}

/** An answer of which only the number in one field matters. */
export function numberAnswer(field: number, value: number): Buffer {
  return bare(writer => {
    writer.member(field, value)
    header(writer, 1, 1)
  })
}

/** A token. */
export function tokenAnswer(token: string): Buffer {
  return bare(writer => {
    writer.text(2, token)
    header(writer, 1, 0)
  })
}

/** What a watch may say. */
export interface WatchAnswer {
  revision?: number
  created?: boolean
  cancelled?: boolean
  compactRevision?: number
  cancelReason?: string
  fragment?: boolean
  events?: readonly { type: 'put' | 'delete'; key: string; value?: string; revision: number }[]
}

/** One message of a watch. */
export function watchAnswer(answer: WatchAnswer): Buffer {
  return bare(writer => {
    for (const { type, key, value = '', revision } of (answer.events ?? []).toReversed()) {
      const row = { key, value: Buffer.from(value), createRevision: type === 'put' ? revision : 0, modRevision: revision, lease: '' }
      writer.message(11, () => {
        keyValue(writer, 2, row)
        writer.number(1, type === 'put' ? 0 : 1)
      })
    }
    writer.flag(7, answer.fragment)
    writer.text(6, answer.cancelReason ?? '')
    writer.number(5, answer.compactRevision ?? 0)
    writer.flag(4, answer.cancelled)
    writer.flag(3, answer.created)
    header(writer, 1, answer.revision ?? 1)
  })
}

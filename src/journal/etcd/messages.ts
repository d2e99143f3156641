// Owns etcd's messages about keys, transactions and leases, as much of them as the journal needs, to and from bytes. Field numbers are those of etcd's rpc.proto.
// Must not know how they travel.
import type { Compare, KeyValue, Operation, RangeAnswer, RangeRequest, TransactionAnswer, TransactionRequest } from './api.ts'
import { ProtobufError, ProtobufReader, ProtobufWriter } from './protobuf.ts'

const compareResults = { equal: 0, greater: 1, less: 2, notEqual: 3 } as const
const compareTargets = { create: 1, mod: 2, value: 3 } as const
const descending = 2
/** What an operation takes beside its key and value, generously. */
const operationBytes = 64

/** Asks for a range of keys below a prefix. */
export function encodeRange(prefix: string, request: RangeRequest): Buffer {
  const writer = new ProtobufWriter()
  writeRange(writer, prefix, request)
  return writer.framed()
}

function writeRange(writer: ProtobufWriter, prefix: string, request: RangeRequest): void {
  writer.flag(9, request.countOnly)
  writer.flag(8, request.keysOnly)
  // Sorted by key, which is 0, the target of a field that is not there.
  if (request.descending) writer.number(5, descending)
  writer.number(3, request.limit ?? 0)
  writeKeys(writer, prefix, request)
}

/** Key and end of a range, in fields 1 and 2. */
function writeKeys(writer: ProtobufWriter, prefix: string, range: { key: string; end?: string }): void {
  if (range.end !== undefined) writer.text(2, prefix + range.end)
  writer.text(1, prefix + range.key)
}

/** Asks for a transaction. */
export function encodeTransaction(prefix: string, request: TransactionRequest): Buffer {
  const { compare, success, failure = [] } = request
  let bytes = (compare.length + success.length + failure.length) * (operationBytes + prefix.length)
  for (const operation of success) if ('put' in operation) bytes += operation.put.value.length
  const writer = new ProtobufWriter(bytes)
  for (const operation of failure.toReversed()) writer.message(3, () => writeOperation(writer, prefix, operation))
  for (const operation of success.toReversed()) writer.message(2, () => writeOperation(writer, prefix, operation))
  for (const one of compare.toReversed()) writer.message(1, () => writeCompare(writer, prefix, one))
  return writer.framed()
}

function writeCompare(writer: ProtobufWriter, prefix: string, compare: Compare): void {
  if (compare.target === 'value') writer.bytes(7, compare.value)
  else writer.member(compare.target === 'create' ? 5 : 6, compare.revision)
  writer.text(3, prefix + compare.key)
  writer.number(2, compareTargets[compare.target])
  writer.number(1, compareResults[compare.result])
}

function writeOperation(writer: ProtobufWriter, prefix: string, operation: Operation): void {
  if ('range' in operation) writer.message(1, () => writeRange(writer, prefix, operation.range))
  else if ('delete' in operation) writer.message(3, () => writeKeys(writer, prefix, operation.delete))
  else
    writer.message(2, () => {
      const { key, value, lease } = operation.put
      if (lease !== undefined) writer.decimal(3, lease)
      writer.bytes(2, value)
      writer.text(1, prefix + key)
    })
}

/** The store's revision in the head of an answer. */
export function revisionOf(header: ProtobufReader): number {
  let revision = 0
  for (let field = header.field(); field !== 0; field = header.field()) {
    if (field === 3) revision = header.count()
    else header.skip()
  }
  return revision
}

/** The key without the prefix below which all was asked for. */
function ownKey(prefix: string, key: string): string {
  if (!key.startsWith(prefix)) throw new ProtobufError(`has the key ${JSON.stringify(key.slice(0, 100))}, which is not below ${prefix}`, 0)
  return key.slice(prefix.length)
}

/** One key as it is kept, or as it was deleted: then only key and revision are there. */
export function readKeyValue(reader: ProtobufReader, prefix: string): KeyValue {
  const row: KeyValue = { key: '', value: new Uint8Array(0), createRevision: 0, modRevision: 0, lease: '' }
  let key = ''
  for (let field = reader.field(); field !== 0; field = reader.field()) {
    if (field === 1) key = reader.text()
    else if (field === 2) row.createRevision = reader.count()
    else if (field === 3) row.modRevision = reader.count()
    else if (field === 5) row.value = reader.bytes()
    else if (field === 6) row.lease = reader.decimal('signed')
    else reader.skip()
  }
  row.key = ownKey(prefix, key)
  if (row.lease === '0') row.lease = ''
  if (row.modRevision === 0) throw new ProtobufError('has a key without a revision', 0)
  return row
}

/** What a range found. */
export function decodeRange(prefix: string, bytes: Buffer): RangeAnswer {
  return readRange(new ProtobufReader(bytes), prefix)
}

function readRange(reader: ProtobufReader, prefix: string): RangeAnswer {
  const answer: RangeAnswer = { revision: 0, rows: [], more: false, count: 0 }
  for (let field = reader.field(); field !== 0; field = reader.field()) {
    if (field === 1) answer.revision = revisionOf(reader.message())
    else if (field === 2) answer.rows.push(readKeyValue(reader.message(), prefix))
    else if (field === 3) answer.more = reader.flag()
    else if (field === 4) answer.count = reader.count()
    else reader.skip()
  }
  return answer
}

/** What became of a transaction. */
export function decodeTransaction(prefix: string, request: TransactionRequest, bytes: Buffer): TransactionAnswer {
  const reader = new ProtobufReader(bytes)
  const answer: TransactionAnswer = { revision: 0, succeeded: false, answers: [] }
  const answersMax = Math.max(request.success.length, request.failure?.length ?? 0)
  for (let field = reader.field(); field !== 0; field = reader.field()) {
    if (field === 1) answer.revision = revisionOf(reader.message())
    else if (field === 2) answer.succeeded = reader.flag()
    else if (field !== 3) reader.skip()
    else if (answer.answers.length === answersMax) throw new ProtobufError('answers more operations than were asked for', 0)
    else answer.answers.push(readOperationAnswer(reader.message(), prefix))
  }
  const { length } = answer.succeeded ? request.success : (request.failure ?? [])
  if (answer.answers.length !== length) throw new ProtobufError(`answers ${answer.answers.length} operations of ${length}`, 0)
  // The head of a range within a transaction has no revision: all of it is at the transaction's own.
  for (const one of answer.answers) if (one !== undefined && 'rows' in one) one.revision = answer.revision
  return answer
}

function readOperationAnswer(reader: ProtobufReader, prefix: string): TransactionAnswer['answers'][number] {
  let answer: TransactionAnswer['answers'][number]
  for (let field = reader.field(); field !== 0; field = reader.field()) {
    if (field === 1) answer = readRange(reader.message(), prefix)
    else if (field === 3) answer = { deleted: numberIn(reader.message(), 2) }
    else reader.skip()
  }
  return answer
}

/** The one number that matters of a message. */
function numberIn(reader: ProtobufReader, wanted: number): number {
  let number = 0
  for (let field = reader.field(); field !== 0; field = reader.field()) {
    if (field === wanted) number = reader.number()
    else reader.skip()
  }
  return number
}

/** Asks that what keys were before a revision is forgotten. */
export function encodeCompaction(revision: number): Buffer {
  const writer = new ProtobufWriter()
  writer.number(1, revision)
  return writer.framed()
}

/** Asks for a lease of this id. */
export function encodeLeaseGrant(lease: string, ttlSeconds: number): Buffer {
  const writer = new ProtobufWriter()
  writer.decimal(2, lease)
  writer.number(1, ttlSeconds)
  return writer.framed()
}

/** Asks to keep, or to end, the lease of this id: both requests have this one field. */
export function encodeLease(lease: string): Buffer {
  const writer = new ProtobufWriter()
  writer.decimal(1, lease)
  return writer.framed()
}

/** The time to live in the answer to a lease that was granted or is kept; 0 or less where it has ended. */
export function decodeLeaseTtl(bytes: Buffer): number {
  return numberIn(new ProtobufReader(bytes), 3)
}

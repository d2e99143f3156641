// Owns etcd's messages about its members, about users, and those of a watch, to and from bytes. Field numbers are those of etcd's rpc.proto.
// Must not know how they travel.
import type { MemberStatus, WatchEvent } from './api.ts'
import { readKeyValue, revisionOf } from './messages.ts'
import { ProtobufError, ProtobufReader, ProtobufWriter } from './protobuf.ts'

/** Asks a member how it is: a message without fields. */
export function encodeStatus(): Buffer {
  return new ProtobufWriter().framed()
}

/** How a member is. */
export function decodeStatus(bytes: Buffer): MemberStatus {
  const reader = new ProtobufReader(bytes)
  const status: MemberStatus = { version: '', dbSizeBytes: 0, leader: '0', noSpace: false }
  for (let field = reader.field(); field !== 0; field = reader.field()) {
    if (field === 2) status.version = reader.text()
    else if (field === 3) status.dbSizeBytes = reader.count()
    else if (field === 4) status.leader = reader.decimal('unsigned')
    // Alarms of all members, in words: `memberID:1 alarm:NOSPACE`. Asking for alarms themselves is for administrators only.
    else if (field === 8) status.noSpace = reader.text().includes('alarm:NOSPACE') || status.noSpace
    else reader.skip()
  }
  return status
}

/** Asks for a token. */
export function encodeAuthenticate(user: string, password: string): Buffer {
  const writer = new ProtobufWriter()
  writer.text(2, password)
  writer.text(1, user)
  return writer.framed()
}

/** The token that was given. */
export function decodeToken(bytes: Buffer): string {
  const reader = new ProtobufReader(bytes)
  let token = ''
  for (let field = reader.field(); field !== 0; field = reader.field()) {
    if (field === 2) token = reader.text()
    else reader.skip()
  }
  return token
}

/** What a watch asks for: keys of a range, from a revision on; large revisions in pieces, and word of how far it is where nothing happens. */
export function encodeWatch(prefix: string, range: { key: string; end?: string; from: number }): Buffer {
  const writer = new ProtobufWriter()
  writer.message(1, () => {
    writer.flag(8, true)
    writer.flag(4, true)
    writer.number(3, range.from)
    if (range.end !== undefined) writer.text(2, prefix + range.end)
    writer.text(1, prefix + range.key)
  })
  return writer.framed()
}

/** One message of a watch. */
export interface WatchMessage {
  revision: number
  created: boolean
  cancelled: boolean
  /** Above 0: what was asked for is gone up to there. */
  compactRevision: number
  cancelReason: string
  /** The last revision in it goes on in the next message. */
  fragment: boolean
  events: WatchEvent[]
}

/** One message of a watch. */
export function decodeWatch(prefix: string, bytes: Buffer): WatchMessage {
  const reader = new ProtobufReader(bytes)
  const message: WatchMessage = {
    ...{ revision: 0, created: false, cancelled: false, compactRevision: 0, cancelReason: '', fragment: false, events: [] },
  }
  for (let field = reader.field(); field !== 0; field = reader.field()) {
    if (field === 1) message.revision = revisionOf(reader.message())
    else if (field === 3) message.created = reader.flag()
    else if (field === 4) message.cancelled = reader.flag()
    else if (field === 5) message.compactRevision = reader.count()
    else if (field === 6) message.cancelReason = reader.text()
    else if (field === 7) message.fragment = reader.flag()
    else if (field === 11) message.events.push(readEvent(reader.message(), prefix))
    else reader.skip()
  }
  return message
}

function readEvent(reader: ProtobufReader, prefix: string): WatchEvent {
  let type = 0
  let event: WatchEvent | undefined
  for (let field = reader.field(); field !== 0; field = reader.field()) {
    if (field === 1) type = reader.count()
    else if (field === 2) {
      const { key, value, modRevision } = readKeyValue(reader.message(), prefix)
      event = { type: 'put', key, value, modRevision }
    } else reader.skip()
  }
  if (event === undefined || type > 1) throw new ProtobufError('has an event that is neither a put nor a deletion of a key', 0)
  return type === 0 ? event : { ...event, type: 'delete' }
}

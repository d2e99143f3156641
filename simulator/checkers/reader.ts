// Owns a second reader of the journal's format, written from the page docs/protocol.md ("The journal's bytes") and its golden samples.
// Must not use anything of src but types: what the product's own decoders get wrong is to be seen by comparison.
import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import type { JournalRecord } from '../../src/protocol/index.ts'

/** Bytes that are no records. */
export class Unreadable extends Error {}

/** Where reading stands. */
interface Place {
  bytes: Buffer
  at: number
}

type Read = (place: Place) => unknown

function octet(place: Place): number {
  const value = place.bytes[place.at++]
  if (value === undefined) throw new Unreadable(`the bytes end at ${place.at - 1}`)
  return value
}

/** Seven bits a byte, the lowest first, in the fewest bytes, at most 2^53 - 1. */
function whole(place: Place): number {
  let value = 0
  for (let power = 0; power < 8; power++) {
    const next = octet(place)
    value += (next % 128) * 128 ** power
    if (next >= 128) continue
    if ((next === 0 && power > 0) || !Number.isSafeInteger(value)) break
    return value
  }
  throw new Unreadable(`no number ends at ${place.at}`)
}

/** Zigzag: 0, -1, 1, -2 … */
function signed(place: Place): number {
  const raw = whole(place)
  return raw % 2 === 1 ? -(raw + 1) / 2 : raw / 2
}

function flag(place: Place): boolean {
  const value = octet(place)
  if (value > 1) throw new Unreadable(`${value} is neither true nor false`)
  return value === 1
}

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function text(place: Place): string {
  const length = whole(place)
  const end = place.at + length
  if (end > place.bytes.length) throw new Unreadable(`a text of ${length} bytes at ${place.at}`)
  const found = place.bytes.toString('utf8', place.at, end)
  if (found.includes('\ufffd')) {
    try {
      strict.decode(place.bytes.subarray(place.at, end))
    } catch {
      throw new Unreadable(`no text at ${place.at}`)
    }
  }
  place.at = end
  return found
}

/** A length, and so many bytes. */
function octets(place: Place): Buffer {
  const length = whole(place)
  const end = place.at + length
  if (end > place.bytes.length) throw new Unreadable(`${length} bytes at ${place.at}`)
  const found = place.bytes.subarray(place.at, end)
  place.at = end
  return found
}

const many =
  (one: Read): Read =>
  place => {
    const count = whole(place)
    if (count > place.bytes.length - place.at) throw new Unreadable(`${count} items at ${place.at}`)
    const items: unknown[] = []
    while (items.length < count) items.push(one(place))
    return items
  }

const maybe =
  (one: Read): Read =>
  place =>
    flag(place) ? one(place) : undefined

const word =
  (...words: string[]): Read =>
  place => {
    const found = words[octet(place)]
    if (found === undefined) throw new Unreadable(`no such word at ${place.at - 1}`)
    return found
  }

/** What a field's type is called in the tables below; `*` behind it: many, `?`: one or none. */
const types = new Map<string, Read>([
  ['whole', whole],
  ['signed', signed],
  ['flag', flag],
  ['text', text],
  ['octets', octets],
  ['end', word('succeeded', 'failed', 'cancelled')],
  ['edgeKind', word('after')],
  ['needKind', word('value', 'all', 'each', 'spread', 'fold', 'after', 'taken', 'untaken', 'failure', 'option', 'undo')],
  ['overlap', word('skip', 'queue', 'cancel')],
  ['catchUp', word('none', 'last', 'all')],
  ['tick', word('ran', 'skipped', 'queued', 'missed')],
  ['lockMode', word('exclusive', 'read', 'permit')],
  ['grantEnd', word('released', 'expired')],
  ['busyRule', word('queue', 'cancel', 'reject')],
  ['userRole', word('viewer', 'submitter', 'operator', 'admin')],
  ['nodeRole', word('worker', 'candidate')],
  ['stepKind', word('tasks', 'sleep', 'signal', 'choice', 'event')],
])

function typed(name: string): Read {
  const bare = types.get(name.replace(/[*?]$/, ''))
  if (!bare) throw new Error(`the reader has no type ${name}`)
  if (name.endsWith('*')) return many(bare)
  return name.endsWith('?') ? maybe(bare) : bare
}

/** A line such as `first:whole count:whole`: the fields in the order of their bytes. */
function fields(line: string): (place: Place, into: Record<string, unknown>) => Record<string, unknown> {
  const parts = line.split(' ').map(part => {
    const [name, type] = part.split(':')
    return { name: name!, read: typed(type!) }
  })
  return (place, into) => {
    for (const { name, read } of parts) into[name] = read(place)
    return into
  }
}

/** In this order: each line needs those before it. */
const structs: readonly (readonly [string, string])[] = [
  ['amount', 'name:text millis:whole'],
  ['resources', 'cpuMillis:whole memoryBytes:whole gpuMillis:whole named:amount*'],
  ['retry', 'retriesMax:whole backoffBaseMs:whole backoffMsMax:whole'],
  ['edge', 'kind:edgeKind producer:whole'],
  ['stage', 'task:text program:text resources:resources retry:retry timeoutMs:whole edges:edge*'],
  ['plan', 'job:text name:text contentHash:text labels:text* priority:signed session:text detached:flag stages:stage*'],
  ['range', 'first:whole count:whole'],
  ['run', 'job:text stage:whole first:whole count:whole attempt:whole'],
  ['block', 'index:whole block:text bytes:whole holder:text'],
  ['need', 'kind:needKind step:whole'],
  ['step', 'kind:stepKind stage:whole count:whole name:text amount:whole needs:need*'],
  ['spec', 'schedule:text contentHash:text cron:text timezone:text everyMs:whole overlap:overlap catchUp:catchUp name:text programs:text*'],
  ['trigger', 'trigger:text contentHash:text event:text key:text name:text programs:text*'],
  ['write', 'space:text key:text payload:whole? bytes:whole'],
  ['flow', 'steps:step* output:whole'],
  ['scope', 'jobPrefixes:text* labels:text*'],
  ['stagePolicy', 'stage:whole key:text concurrency:whole rateLimit:whole ratePerMs:whole stepTimeoutMs:whole'],
  ['runPolicy', 'key:text concurrency:whole whenBusy:busyRule timeoutMs:whole'],
]
for (const [name, line] of structs) {
  const read = fields(line)
  types.set(name, place => read(place, {}))
}

types.set('runs', place => {
  const runs = many(types.get('run')!)(place) as { job: string }[]
  // An id that is not there is that of the run before.
  for (const [position, run] of runs.entries()) run.job ||= runs[position - 1]?.job ?? ''
  return runs
})

/** Number, kind and fields of every record. */
const records: readonly (readonly [number, string, string])[] = [
  [1, 'LeaderClaimed', 'cluster:text epoch:whole leader:text pid:whole address:text release:text atMs:whole'],
  [2, 'TimePassed', 'nowMs:whole'],
  [3, 'CandidateJoined', 'candidate:text priority:whole'],
  [4, 'CandidateLeft', 'candidate:text failed:flag'],
  [5, 'LeaderResigned', 'epoch:whole to:text'],
  [10, 'WorkerJoined', 'worker:text incarnation:whole boot:text capacity:resources host:text pid:whole blocks:text labels:text*'],
  [11, 'WorkerLost', 'worker:text incarnation:whole reason:text'],
  [12, 'WorkerDraining', 'worker:text incarnation:whole'],
  [20, 'ProgramAdded', 'program:text payload:whole bytes:whole'],
  [21, 'ProgramForgotten', 'program:text'],
  [30, 'JobSubmitted', 'plan:plan'],
  [31, 'TasksAdded', 'job:text stage:whole first:whole count:whole payload:whole bytes:whole blocks:block*'],
  [32, 'StageSealed', 'job:text stage:whole'],
  [33, 'JobCancelled', 'job:text reason:text'],
  [34, 'TasksCancelled', 'job:text stage:whole ranges:range*'],
  [35, 'JobFinished', 'job:text state:end'],
  [36, 'ResultsReleased', 'job:text stage:whole ranges:range*'],
  [37, 'JobsForgotten', 'jobs:text*'],
  [40, 'TasksAssigned', 'lane:whole worker:text incarnation:whole runs:runs adopted:flag'],
  [41, 'TasksFinished', 'lane:whole count:whole payload:whole bytes:whole blocks:block*'],
  [42, 'TaskFailed', 'lane:whole code:text message:text stack:text retryAtMs:whole?'],
  [43, 'TasksSkipped', 'lane:whole count:whole'],
  [44, 'TasksReturned', 'lane:whole keep:whole'],
  [45, 'LaneVacated', 'lane:whole'],
  [50, 'FlowSubmitted', 'plan:plan'],
  [51, 'StagesAdded', 'job:text stages:stage*'],
  [52, 'StepsAdded', 'job:text parent:whole? flow:flow'],
  [53, 'TaskExpanded', 'lane:whole'],
  [54, 'TaskSpread', 'lane:whole width:whole payload:whole bytes:whole blocks:block*'],
  [55, 'BranchDecided', 'job:text step:whole taken:flag'],
  [56, 'SignalReceived', 'job:text name:text signal:text payload:whole bytes:whole'],
  [60, 'LockAsked', 'grant:text lock:text session:text mode:lockMode permits:whole ttlMs:whole'],
  [61, 'GrantEnded', 'grant:text reason:grantEnd'],
  [62, 'EntriesWritten', 'session:text number:whole before:whole writes:write*'],
  [63, 'SessionEnded', 'session:text'],
  [70, 'ScheduleSet', 'spec:spec payload:whole bytes:whole nextAtMs:whole'],
  [71, 'ScheduleTicked', 'schedule:text atMs:whole nextAtMs:whole outcome:tick'],
  [72, 'ScheduleRan', 'schedule:text job:text queued:flag'],
  [73, 'SchedulePaused', 'schedule:text paused:flag nextAtMs:whole'],
  [74, 'ScheduleDeleted', 'schedule:text'],
  [80, 'StageLimited', 'job:text policy:stagePolicy'],
  [81, 'JobLimited', 'job:text policy:runPolicy'],
  [82, 'StepTimedOut', 'job:text step:whole'],
  [83, 'JobTimedOut', 'job:text'],
  [85, 'JobPaused', 'job:text paused:flag'],
  [86, 'JobRerun', 'job:text rerun:text steps:range* program:text?'],
  [106, 'JobCancelling', 'job:text reason:text'],
  [95, 'JobsArchived', 'jobs:text*'],
  [96, 'HistoryEmptied', 'first:whole count:whole'],
  [97, 'HistoryForgotten', 'first:whole count:whole'],
  [110, 'UserSet', 'user:text role:userRole scope:scope'],
  [111, 'UserDeleted', 'user:text'],
  [112, 'TokenIssued', 'token:text user:text digest:text expiresAtMs:whole'],
  [113, 'TokenRevoked', 'token:text'],
  [114, 'TokensForgotten', 'tokens:text*'],
  [120, 'AuthorityAdded', 'authority:text certificate:octets expiresAtMs:whole'],
  [121, 'AuthoritySigns', 'authority:text'],
  [122, 'AuthorityDropped', 'authority:text'],
  [123, 'JoinTokenMade', 'token:text secretHash:text role:nodeRole uses:whole expiresAtMs:whole'],
  [124, 'NodeEnrolled', 'node:text role:nodeRole address:text token:text key:text serial:text expiresAtMs:whole authority:text'],
  [125, 'CertificateRenewed', 'node:text key:text serial:text expiresAtMs:whole authority:text'],
  [126, 'NodeRevoked', 'node:text'],
  [127, 'CertificateHeld', 'node:text serial:text authority:text'],
  [130, 'SecretSet', 'secret:text sealed:octets jobs:text*'],
  [131, 'SecretDeleted', 'secret:text'],
  [90, 'TriggerSet', 'spec:trigger submission:octets'],
  [91, 'TriggerPaused', 'trigger:text paused:flag'],
  [92, 'TriggerDeleted', 'trigger:text'],
  [93, 'EventEmitted', 'event:text key:text id:text payload:whole? bytes:whole started:text* forgotten:whole'],
]
const byNumber: ((place: Place) => unknown)[] = []
for (const [number, kind, line] of records) {
  const read = fields(line)
  byNumber[number] = place => read(place, { kind })
}

/** All kinds of records that this reader knows. */
export const kindsKnown: readonly string[] = records.map(([, kind]) => kind)

/** The `count` records of a row. Throws `Unreadable` on anything else. */
export function readRecords(bytes: Uint8Array, count: number): JournalRecord[] {
  const place = { bytes: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), at: 0 }
  const found: JournalRecord[] = []
  while (found.length < count) {
    const number = octet(place)
    const read = byNumber[number]
    if (!read) throw new Unreadable(`no record has the number ${number}, at ${place.at - 1}`)
    found.push(read(place) as JournalRecord)
  }
  if (place.at !== place.bytes.length) throw new Unreadable(`${place.bytes.length - place.at} bytes are left behind ${count} records`)
  return found
}

/** What a row's hash is made of. */
export interface HashedRow {
  firstIndex: number
  count: number
  epoch: number
  records: Uint8Array
  previousHash: Uint8Array
  /** By their numbers, in the order of the append. */
  payloads: ReadonlyMap<number, Uint8Array>
}

/** The hash that a row must have. */
export function hashOf(row: HashedRow): Buffer {
  const manifest = Buffer.alloc(16 * row.payloads.size)
  let at = 0
  for (const [payload, bytes] of row.payloads) {
    manifest.writeBigUInt64LE(BigInt(payload), at)
    manifest.writeUInt32LE(bytes.length, at + 8)
    manifest.writeUInt32LE(crc32(bytes), at + 12)
    at += 16
  }
  const head = Buffer.alloc(40)
  const numbers = [row.firstIndex, row.count, row.epoch, manifest.length, row.records.length]
  for (const [position, value] of numbers.entries()) head.writeBigUInt64LE(BigInt(value), position * 8)
  const hash = createHash('sha256')
  for (const part of [row.previousHash, head, manifest, row.records]) hash.update(part)
  return hash.digest()
}

// Owns the writer's thread: takes what was asked from the ring in order, commits queued appends as one group, compacts in between.
// Must not read for others: the reader's thread does, so that no read delays an append.
import { receiveMessageOnPort, workerData } from 'node:worker_threads'
import { CoxswainError } from '../../protocol/errors.ts'
import type { Append } from '../journal.ts'
import { checkpointedLogBytes } from './database.ts'
import { fault, toWire } from './faults.ts'
import { Ledger } from './ledger.ts'
import { decodeAppend, Ring, slotKind, slotStatus } from './slabs.ts'
import { Compaction } from './upkeep.ts'
import type { FromWriter, ToWriter, WriterCall, WriterStart } from './wire.ts'

/** Appends that one transaction takes. */
const groupAppendsMax = 64
/** Bytes that one transaction takes (one append may pass it). */
const groupBytesMax = 16 << 20
/** After about so many bytes the reader's thread is asked to bring them from the write-ahead log into the database. */
const checkpointBytes = 4 << 20
/** About so many bytes of the write-ahead log, and the writer itself brings in what is left, so that the log begins anew. */
const logBytesMax = 32 << 20
/** A log that cannot begin anew, because a process that reads in it stands still, is told of from this length on, and each time it has doubled. */
const logBytesTold = 2 * logBytesMax
/** What a commit writes to the log beside its rows: the pages of the leader's row, of the tree above, and what is left of pages. */
const commitBytesAbout = 12 << 10

const { folder, rowBytesKept, ring: ringMemory, port, checkpoints } = workerData as WriterStart
const ring = new Ring(ringMemory)
const slabs = new Map<number, SharedArrayBuffer>()
const calls: WriterCall[] = []
const compactions: Compaction[] = []
let tail = ring.done
let failed = false
let closing = false
let sinceCheckpoint = 0
let sinceLogReset = 0
let tellAtBytes = logBytesTold

function say(message: FromWriter): void {
  port.postMessage(message)
}

function takeMessages(): void {
  for (;;) {
    const received = receiveMessageOnPort(port) as { message: ToWriter } | undefined
    if (received === undefined) return
    const { message } = received
    if (message.kind === 'call') calls.push(message.call)
    else if (message.memory !== undefined) slabs.set(message.slab, message.memory)
    else slabs.delete(message.slab)
  }
}

function slabOf(slab: number): SharedArrayBuffer {
  if (!slabs.has(slab)) takeMessages()
  return slabs.get(slab)!
}

function nextCall(): WriterCall {
  if (calls.length === 0) takeMessages()
  return calls.shift()!
}

/** Gives the store up: what is under way and all that comes is answered with the error. */
function fail(error: unknown): void {
  if (failed) return
  failed = true
  say({ kind: 'failed', error: toWire(fault(error, 'JOURNAL_WRITE_FAILED', `The journal in ${folder} was not written`)) })
}

/** Appends that stand in a row at the ring's tail, within the limits of a group. */
function groupAt(from: number, head: number): Append[] {
  const group: Append[] = []
  let bytes = 0
  for (let slot = from; slot !== head && ring.kind(slot) === slotKind.append; slot = (slot + 1) | 0) {
    const append = decodeAppend(slabOf(ring.slab(slot)))
    for (const payload of append.payloads) bytes += payload.bytes.length
    bytes += append.records.length
    if (group.length > 0 && (bytes > groupBytesMax || group.length >= groupAppendsMax)) break
    group.push(append)
  }
  return group
}

function commitGroup(ledger: Ledger, group: readonly Append[]): void {
  let durable = 0
  if (!failed) {
    try {
      durable = ledger.commit(group)
    } catch (error) {
      fail(error)
    }
  }
  for (let i = 0; i < group.length; i++) {
    ring.settle((tail + i) | 0, failed ? slotStatus.failed : i < durable ? slotStatus.durable : slotStatus.fenced)
    if (i < durable) written(group[i]!)
  }
  tail = (tail + group.length) | 0
}

function written({ records, payloads }: Append): void {
  let bytes = commitBytesAbout + records.length
  for (const payload of payloads) bytes += payload.bytes.length
  sinceCheckpoint += bytes
  sinceLogReset += bytes
}

function answer(ledger: Ledger, call: WriterCall): void {
  const slot = tail
  tail = (tail + 1) | 0
  ring.settle(slot, slotStatus.answered)
  try {
    if (failed && call.call !== 'close') throw new CoxswainError('JOURNAL_WRITE_FAILED', 'The journal failed before.')
    say({ kind: 'answer', slot, ...perform(ledger, call) })
  } catch (error) {
    if (!(error instanceof CoxswainError)) fail(error)
    say({ kind: 'answer', slot, error: toWire(fault(error, 'JOURNAL_WRITE_FAILED', `The journal in ${folder} was not written`)) })
  }
}

function perform(ledger: Ledger, call: WriterCall): { value?: 'claimed' | 'lost' | 'durable' | 'fenced' } {
  switch (call.call) {
    case 'claim': {
      const outcome = ledger.claim(call.claim, decodeAppend(slabOf(call.slab)))
      if (outcome === 'claimed') endCompactions(new CoxswainError('FENCED', 'A new epoch began.'))
      return { value: outcome }
    }
    case 'resign':
      endCompactions(new CoxswainError('FENCED', 'The leader resigned.'))
      ledger.depose()
      return {}
    case 'checkSnapshot':
      return { value: ledger.checkSnapshot(call.snapshot) }
    case 'saveSnapshot':
      return { value: ledger.saveSnapshot(call.snapshot) }
    case 'compact':
      compactions.push(new Compaction(ledger, call.epoch, call.index, rowBytesKept))
      return {}
    case 'close':
      closing = true
      endCompactions(new CoxswainError('FENCED', 'The store was closed.'))
      ledger.close()
      return {}
  }
}

function endCompactions(error: CoxswainError): void {
  for (const _ of compactions.splice(0)) say({ kind: 'compacted', error: toWire(error) })
}

function compactOneStep(): void {
  const compaction = compactions[0]!
  try {
    sinceCheckpoint += commitBytesAbout
    sinceLogReset += commitBytesAbout
    if (!compaction.step()) return
    compactions.shift()
    say({ kind: 'compacted' })
  } catch (error) {
    compactions.shift()
    if (!(error instanceof CoxswainError)) fail(error)
    say({ kind: 'compacted', error: toWire(fault(error, 'JOURNAL_WRITE_FAILED', 'The journal was not compacted')) })
  }
}

function tellOfLongLog(ledger: Ledger, bytes: number): void {
  if (bytes < logBytesTold) tellAtBytes = logBytesTold
  if (bytes < tellAtBytes) return
  tellAtBytes = bytes * 2
  ledger.log('warn', 'journal-log-grows', { folder, bytes })
}

function keepLogSmall(ledger: Ledger): void {
  if (sinceCheckpoint >= checkpointBytes) {
    sinceCheckpoint = 0
    checkpoints.postMessage(0)
  }
  if (sinceLogReset < logBytesMax) return
  try {
    // Most is there already through the reader's thread: what is left is brought in, and the next commit begins the log anew,
    // unless somebody reads in it just then. So the log's own length says what is left, and a long one is looked at again soon.
    const bytes = checkpointedLogBytes(ledger.database)
    if (bytes !== undefined) tellOfLongLog(ledger, bytes)
    sinceLogReset = bytes === undefined ? logBytesMax - checkpointBytes : Math.min(bytes, logBytesMax - checkpointBytes)
  } catch (error) {
    fail(error)
  }
}

function turn(ledger: Ledger): void {
  const { head } = ring
  if (tail === head) {
    if (compactions.length === 0) {
      ring.wait(head)
      return
    }
  } else {
    const group = groupAt(tail, head)
    if (group.length > 0) commitGroup(ledger, group)
    else answer(ledger, nextCall())
    if (!ring.publish(tail)) say({ kind: 'done' })
  }
  if (closing || failed) {
    if (failed) endCompactions(new CoxswainError('JOURNAL_WRITE_FAILED', 'The journal failed.'))
    return
  }
  if (compactions.length > 0) compactOneStep()
  keepLogSmall(ledger)
}

function start(): Ledger | undefined {
  try {
    const ledger = new Ledger(folder, (level, event, fields = {}) => say({ kind: 'log', level, event, fields }))
    say({ kind: 'ready' })
    return ledger
  } catch (error) {
    say({ kind: 'refused', error: toWire(fault(error, 'STATE_FOLDER_UNUSABLE', `The journal in ${folder} does not open`)) })
    return undefined
  }
}

const ledger = start()
if (ledger !== undefined) while (!closing) turn(ledger)
port.close()
checkpoints.close()

// Owns what the leader's thread and the journal's two threads say to each other.
// Must not hold behaviour.
import type { MessagePort } from 'node:worker_threads'
import type { JobId, PayloadId } from '../../protocol/index.ts'
import type { HistoryQuery } from '../history.ts'
import type { WireError } from './faults.ts'
import type { ClaimHead, WrittenSnapshot } from './ledger.ts'

/** What the writer's thread starts with. */
export interface WriterStart {
  folder: string
  rowBytesKept: number
  ring: SharedArrayBuffer
  port: MessagePort
  /** To the reader's thread, which checkpoints. */
  checkpoints: MessagePort
}

/** Calls of the writer beside appends; each takes a slot, so that all are done in the order asked. */
export type WriterCall =
  | { call: 'claim'; claim: ClaimHead; slab: number }
  | { call: 'resign' }
  | { call: 'checkSnapshot'; snapshot: SnapshotHead }
  | { call: 'saveSnapshot'; snapshot: WrittenSnapshot }
  | { call: 'compact'; epoch: number; index: number }
  | { call: 'close' }

/** Which state a snapshot is of. */
export interface SnapshotHead {
  index: number
  epoch: number
  hash: Uint8Array
}

/** To the writer. */
export type ToWriter = { kind: 'slab'; slab: number; memory: SharedArrayBuffer | undefined } | { kind: 'call'; call: WriterCall }

/** From either thread: something for the operator, or the end of the store. */
export type Notice =
  | { kind: 'log'; level: 'info' | 'warn' | 'error'; event: string; fields: Record<string, unknown> }
  | { kind: 'failed'; error: WireError }

/** From the writer. `done` only wakes; `ready` says that the files are open. */
export type FromWriter =
  | Notice
  | { kind: 'ready' }
  | { kind: 'refused'; error: WireError }
  | { kind: 'done' }
  | { kind: 'answer'; slot: number; value?: 'claimed' | 'lost' | 'durable' | 'fenced'; error?: WireError }
  /** A compaction ended; compactions are answered in their order. */
  | { kind: 'compacted'; error?: WireError }

/** What the reader's thread starts with. */
export interface ReaderStart {
  folder: string
  port: MessagePort
  /** From the writer's thread: after so much was written, checkpoint. Absent in a read-only store. */
  checkpoints?: MessagePort
}

/** A question to the reader's thread. */
export type Question =
  | { ask: 'read'; fromIndex: number; rowsMax: number }
  | { ask: 'payload'; payload: PayloadId }
  | { ask: 'history'; query: HistoryQuery }
  | { ask: 'historyRow'; job: JobId }
  | { ask: 'size' }
  | { ask: 'view' }
  | { ask: 'latestSnapshot' }
  | { ask: 'beginSnapshot'; snapshot: SnapshotHead }
  | { ask: 'addToSnapshot'; piece: Uint8Array }
  | { ask: 'endSnapshot' }
  | { ask: 'payloadIds'; after: PayloadId; idsMax: number }
  | { ask: 'snapshots' }
  | { ask: 'problems' }
  | { ask: 'close' }

/** From the reader. */
export type FromReader =
  | Notice
  | { kind: 'ready' }
  | { kind: 'refused'; error: WireError }
  | { kind: 'answer'; number: number; value?: unknown; error?: WireError }

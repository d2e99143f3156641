// Owns what a run asks of its candidates' store, whichever it is: how a process opens it, what an onlooker is told, and how it may behave.
// Must not hold behaviour.
import type { HistoryRow } from '../../src/journal/history.ts'
import type { Store } from '../../src/journal/index.ts'
import type { PayloadId } from '../../src/protocol/index.ts'
import type { Boot } from '../kernel/kernel.ts'
import type { Fault } from '../scenario.ts'
import type { Losses } from './losses.ts'

/** One row, as it became durable. */
export interface DurableRow {
  atMs: number
  epoch: number
  firstIndex: number
  count: number
  records: Uint8Array
  payloads: Map<PayloadId, Uint8Array>
  drops: readonly PayloadId[]
  previousHash: Uint8Array
  hash: Uint8Array
}

/** The store as one process has it open. */
export interface ClusterHandle extends Store {
  /** Its process died. */
  crash(): void
}

/** Finished jobs as they are kept. */
export interface Archive {
  rows: HistoryRow[]
  payloads: { has(payload: PayloadId): boolean }
}

/** The journal's store as several candidates share it. */
export interface ClusterStore {
  /** One process at a time may lead, and keeps others from it as long as it lives. */
  readonly locking: boolean
  /** Every row that ever became durable: the truth. */
  readonly rows: DurableRow[]
  readonly losses: Losses
  /** Appends under way of one handle, at most. */
  readonly queuedMax: number
  /** Told of each row right after it became durable. */
  durable: ((row: DurableRow) => void) | undefined
  /** Told when a snapshot is read. */
  snapshotUsed: (() => void) | undefined
  /** Told of a living process whose leadership another one's claim has ended, and of each process that asks for an append. */
  deposed: ((boot: Boot) => void) | undefined
  asked: ((boot: Boot) => void) | undefined
  /** Told of each write that is under way, and for how long. */
  writing: ((boot: Boot, snapshot: boolean, leftMs: number) => void) | undefined
  /** Opens it for a process. */
  open(boot: Boot): ClusterHandle | Promise<ClusterHandle>
  /** Behaves as a fault says, if that is one of its own; `name`: the node that is meant. */
  suffer(fault: Fault, name: string): boolean
  /** What such a fault did is over. */
  recover(fault: Fault, name: string): void
  /** All is well from now on. */
  calm(): void
  /** Undefined while something is still to be done behind an append. */
  archive(): Archive | undefined
}

// Owns the interfaces behind which the facts are kept: journal, snapshots, leadership (and history, in its own file). conformance.ts holds every backend to them.
// Must not know what records mean.
import type { CoxswainError, PayloadId } from '../protocol/index.ts'
import type { History, HistoryChange } from './history.ts'

/** Bytes of inputs, results or a program, stored beside the records that name them. */
export interface PayloadWrite {
  payload: PayloadId
  bytes: Uint8Array
}

/** What one append makes durable, all or nothing. */
export interface Append {
  /** Of the leader that appends. A journal that has seen a newer one answers `fenced` and stays unchanged. */
  epoch: number
  /** Position of the first record: exactly the one after the journal's last. */
  firstIndex: number
  /** How many records `records` holds; at least 1. */
  count: number
  records: Uint8Array
  payloads: readonly PayloadWrite[]
  /** Payloads no record needs any more. Unknown ones are ignored. */
  drops: readonly PayloadId[]
  /** Jobs that move into the history, and rows of it that go. */
  history?: HistoryChange | undefined
}

/** One append as read back, its hash checked. */
export interface JournalRow {
  firstIndex: number
  count: number
  epoch: number
  /** SHA-256 over the previous row's hash, this row's head, its records, and each payload's number, size and checksum. */
  hash: Uint8Array
  previousHash: Uint8Array
  records: Uint8Array
}

/** Size of what is kept. */
export interface JournalSize {
  /** First index still held (1 in a journal that was never compacted), and the last index written, 0 if none. */
  firstIndex: number
  lastIndex: number
  rows: number
  rowBytes: number
  payloads: number
  payloadBytes: number
  /** Finished jobs in the history. */
  historyRows: number
  /** Bytes on disk of everything together; 0 in memory. */
  diskBytes: number
}

/** The durable, ordered, fenced log of facts, with the payloads its records name. */
export interface Journal {
  /**
   * Appends. Several may be under way: they take effect in the order of the calls, and one that is refused refuses all behind it.
   * `durable`: it survives kill and power loss. `fenced`: a newer epoch was seen, or the index is not the next one.
   * Rejects with JOURNAL_WRITE_FAILED where the outcome is not known: the caller must stop leading.
   */
  append(append: Append): Promise<'durable' | 'fenced'>
  /** An append will follow in a moment: what has to wake for it may wake now. */
  rouse?(): void
  /** Stands still until one of the appends under way is over, at most so long; then it is settled. Returns at once where none is. */
  standStill?(msMax: number): void
  /**
   * Rows from the one that holds `fromIndex` on (from the first one kept, if that one is gone), at most `rowsMax`. There may be fewer although more
   * follow, because an answer is bounded in bytes: only an empty one means the end. Rejects with JOURNAL_CORRUPT, whose
   * `id` is the index of the first bad row.
   */
  read(fromIndex: number, rowsMax: number): Promise<JournalRow[]>
  /** A payload's bytes, checked; undefined if it was dropped. Rejects with JOURNAL_CORRUPT. */
  payload(payload: PayloadId): Promise<Uint8Array | undefined>
  /** Lets go of rows that end before `index`. Never of the newest row. Only the leader of `epoch` may. */
  compact(epoch: number, index: number): Promise<void>
  size(): Promise<JournalSize>
}

/** The state after the record at `index`. */
export interface Snapshot {
  index: number
  /** Of the row that ends at `index`: the chain goes on from here. */
  hash: Uint8Array
  epoch: number
  state: Uint8Array
}

/** The states that a start begins from, instead of from the first record. */
export interface Snapshots {
  /** Stores a snapshot, synced and checked; keeps it and the one before it. Refused (`fenced`) for a deposed leader. */
  save(snapshot: Snapshot): Promise<'durable' | 'fenced'>
  /** The newest one whose checksum holds, or undefined. */
  latest(): Promise<Snapshot | undefined>
}

/** Who leads, as the store knows it. */
export interface LeadershipView {
  /** 0: nobody ever led. */
  epoch: number
  leader: string
  pid: number
  /** Start time of that process, as its operating system tells it; empty if unknown. */
  processStart: string
  address: string
  /** Whether the leader has shown the store lately that it lives; not there on backends that cannot tell. A hint about who should try, never more. */
  lease?: 'held' | 'gone'
}

/** What a candidate says when it wants to lead. */
export interface Claim {
  /** The epoch that the claimer saw; the claim is lost if another was made meanwhile. */
  seenEpoch: number
  leader: string
  pid: number
  processStart: string
  address: string
  /** The append that opens the new epoch (`seenEpoch` + 1), in the same transaction: its first record is LeaderClaimed. */
  opening: Append
}

/** Who leads, and how one becomes leader. */
export interface Leadership {
  view(): Promise<LeadershipView>
  /** Takes the leadership by compare-and-set. Rejects with STATE_FOLDER_IN_USE while the store knows that another leader lives. */
  claim(claim: Claim): Promise<'claimed' | 'lost'>
  /**
   * Gives the leadership up on purpose. Appends made before it settle first, those after it are `fenced`; `onLost` is not called. When it resolves, another
   * may claim, and so may this store. Harmless for who does not lead. Rejects with JOURNAL_WRITE_FAILED where the store failed: then `close` frees the lock.
   */
  resign(): Promise<void>
  /** Calls back once if this process is known to have lost the leadership; with the error if the store itself failed. */
  onLost(callback: (failure?: CoxswainError) => void): void
}

/** A backend, opened. */
export interface Store {
  journal: Journal
  history: History
  snapshots: Snapshots
  leadership: Leadership
  /** Ends what is under way and lets go of locks. */
  close(): Promise<void>
}

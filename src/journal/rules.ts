// Owns the rules that every backend keeps in the same way: limits, what compaction may remove, what a snapshot must be of, what verify may ask.
// Must not hold storage.
import type { PayloadId } from '../protocol/index.ts'
import type { Append, Snapshot } from './journal.ts'
import { hashBytes, sameBytes } from './row.ts'

/** Appends of one handle under way at once; the next is refused with OVERLOADED. */
export const appendsInFlightMax = 256

/** Reads and other questions of one handle under way at once; the next is refused with OVERLOADED. */
export const readsInFlightMax = 4096

/** The newest rows up to this size are kept by `compact` although nobody needs them, so that stories can be told. */
export const rowBytesKeptDefault = 64 << 20

/**
 * The index up to which (not including the row that holds it) rows may go. `fallback` is the index of the older of two good snapshots: rows behind
 * it stay, so that a start from it is always possible should the newer one turn out to be damaged. With less than two good snapshots nothing may go.
 */
export function compactableTo(index: number, fallback: number): number {
  return Math.min(index, fallback + 1)
}

/** Why a snapshot may not be stored, or undefined. `rowHashAtIndex` is the hash of the row that ends at its index. */
export function snapshotIsOf(
  snapshot: Omit<Snapshot, 'state'>,
  rowHashAtIndex: Uint8Array | undefined,
  newestIndex: number,
): string | undefined {
  if (snapshot.hash.length !== hashBytes || rowHashAtIndex === undefined || !sameBytes(rowHashAtIndex, snapshot.hash)) {
    return `The snapshot at ${snapshot.index} does not carry the hash of a row that ends there.`
  }
  if (snapshot.index < newestIndex) return `The snapshot at ${snapshot.index} is older than the one at ${newestIndex}.`
  return undefined
}

/** An append of its own memory: what the caller does with his changes nothing. */
export function copyOfAppend(append: Append): Append {
  return {
    ...append,
    records: Uint8Array.from(append.records),
    payloads: append.payloads.map(({ payload, bytes }) => ({ payload, bytes: Uint8Array.from(bytes) })),
    drops: [...append.drops],
    history: append.history && { ...append.history, rows: append.history.rows.map(row => ({ ...row, body: Uint8Array.from(row.body) })) },
  }
}

/** What `verify` asks of a backend beside the three interfaces. */
export interface Inspection {
  /** Numbers of the payloads kept that are above `after`, in order, at most `idsMax`. */
  payloadIds(after: PayloadId, idsMax: number): Promise<PayloadId[]>
  /** All kept snapshots, oldest first, and whether each matches its checksum. */
  snapshots(): Promise<{ index: number; holds: boolean }[]>
  /** What the backend finds wrong in its own structures, in words. Reads everything: not for a leader's own process. */
  problems(): Promise<string[]>
}

/** A store that can be verified. */
export interface Inspectable {
  readonly inspect: Inspection
}

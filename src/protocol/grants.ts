// Owns what locks and spaces are, as plain data: how a lock is held, and what a transaction asks for.
// Must not hold anything that changes while they are held.
import { bytes, enumeration, type Infer, list, optional, string, struct, varint } from './codec.ts'
import { limits } from './limits.ts'
import { jobIdField, nameField } from './plan.ts'

/** How a lock is held: alone, together with other readers, or as one of `permits` that a semaphore has. */
export const lockModes = ['exclusive', 'read', 'permit'] as const
/** A way to hold a lock. */
export type LockMode = (typeof lockModes)[number]
/** The same in a message or record. */
export const lockMode = enumeration(...lockModes)

/** The key of an entry of a space. */
export const spaceKey = string(limits.spaceKeyBytesMax)

/** An entry is as it was read: of this version, 0 if it is not there. */
export const spaceCheck = struct({ space: nameField, key: spaceKey, version: varint })
export type SpaceCheck = Infer<typeof spaceCheck>

/** What an entry becomes; without an item it is deleted. The item is a chunk of one value. */
export const spaceWrite = struct({ space: nameField, key: spaceKey, item: optional(bytes(limits.inlineBytesMax + 64)) })
export type SpaceWrite = Infer<typeof spaceWrite>

/** What a workflow is told; `signal` is the id by which it counts once. The item is a chunk of one value. */
export const sentSignal = struct({ job: jobIdField, name: nameField, signal: nameField, item: bytes(limits.inlineBytesMax + 64) })
export type SentSignal = Infer<typeof sentSignal>

/** What must hold, and what then changes, all of it or nothing. `grants` must still be held. */
export const exchange = struct({
  checks: list(spaceCheck, limits.transactionEntriesMax),
  writes: list(spaceWrite, limits.transactionEntriesMax),
  grants: list(nameField, limits.transactionEntriesMax),
  signals: list(sentSignal, limits.transactionSignalsMax),
})
export type Exchange = Infer<typeof exchange>

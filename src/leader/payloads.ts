// Owns the bytes of inputs on their way to workers: a bounded cache before the journal's store, and cutting out a run's part.
// Must not look into an item.

import type { Piece, State } from '../core/index.ts'
import type { Journal } from '../journal/index.ts'
import { Chunk, CoxswainError, type PayloadId } from '../protocol/index.ts'

/** Bytes of payloads kept in memory; older ones are read from the store when their turn comes. */
export const cachedBytesMax = 64 << 20
/** What keeping a payload costs besides its bytes, about. */
const entryBytes = 160
/** Payloads below this share memory with their neighbours: each on its own would cost more than it holds. */
const smallBytesMax = 256

/** True while a job's results name this payload for the tasks from `first` on. */
export function resultsHold(state: State, at: { job: string; stage: number; first: number; payload: PayloadId }): boolean {
  const segments = state.jobs.byId.get(at.job)?.stages[at.stage]?.results.overlapping(at.first, 1) ?? []
  return segments.some(segment => segment.payload === at.payload)
}

function missing(payload: PayloadId): CoxswainError {
  return new CoxswainError('JOURNAL_CORRUPT', `Payload ${payload} is missing: no record released it.`, { id: String(payload) })
}

export class Payloads {
  readonly #journal: Journal
  /** Numbers grow with time: those with the lowest are the first to go. */
  readonly #bytes = new Map<PayloadId, Uint8Array>()
  readonly #chunks = new Map<PayloadId, Chunk>()
  #total = 0
  /** No payload in memory has a lower number. To look for the first of a map would pass by all that were deleted before it. */
  #oldest: PayloadId = 0
  /** Payloads below this number are in the store: only they can be read back from there. */
  #storedBelow = 0

  constructor(journal: Journal) {
    this.#journal = journal
  }

  /** Keeps a payload that was just decided on. The bytes are copied: a frame's memory is not to be held for a part of it. */
  put(payload: PayloadId, bytes: Uint8Array): void {
    // Several facts may name the same one.
    if (this.#bytes.has(payload)) return
    const own = bytes.length < smallBytesMax ? Buffer.allocUnsafe(bytes.length) : Buffer.allocUnsafeSlow(bytes.length)
    own.set(bytes)
    if (this.#bytes.size === 0 || payload < this.#oldest) this.#oldest = payload
    this.#bytes.set(payload, own)
    this.#total += own.length + entryBytes
    this.#evict()
  }

  /** All payloads below this number are durable. */
  stored(below: PayloadId): void {
    this.#storedBelow = below
    this.#evict()
  }

  /** True if the payload is durable. */
  isStored(payload: PayloadId): boolean {
    return payload < this.#storedBelow
  }

  #evict(): void {
    while (this.#total > cachedBytesMax && this.#oldest < this.#storedBelow) this.drop(this.#oldest++)
  }

  drop(payload: PayloadId): void {
    const bytes = this.#bytes.get(payload)
    if (!bytes) return
    this.#total -= bytes.length + entryBytes
    this.#bytes.delete(payload)
    this.#chunks.delete(payload)
  }

  /**
   * The bytes, read from the store where needed. `needed` says whether the state still names them. Throws RESULT_GONE where it does not,
   * JOURNAL_CORRUPT where it does and the store has nothing under their number.
   */
  async read(payload: PayloadId, needed: () => boolean): Promise<Uint8Array> {
    const bytes = this.#bytes.get(payload) ?? (await this.#journal.payload(payload))
    if (bytes) return bytes
    throw needed() ? missing(payload) : new CoxswainError('RESULT_GONE', `Payload ${payload} is gone.`, { id: String(payload) })
  }

  /** The chunk of a piece if its payload is in memory. */
  cachedPiece(piece: Piece): Uint8Array | undefined {
    const chunk = this.cached(piece.payload)
    if (!chunk) return undefined
    const cut = chunk.slice(piece.from, piece.count)
    // The last piece of a payload was cut: its table of offsets is not needed again.
    if (piece.from + piece.count === chunk.count) this.#chunks.delete(piece.payload)
    return cut
  }

  /** True if the payload is in memory. */
  has(payload: PayloadId): boolean {
    return this.#bytes.has(payload)
  }

  /** The chunk of a payload if it is in memory. */
  cached(payload: PayloadId): Chunk | undefined {
    const known = this.#chunks.get(payload)
    if (known) return known
    const bytes = this.#bytes.get(payload)
    if (!bytes) return undefined
    const chunk = new Chunk(bytes)
    // To read a small one again is cheaper than to remember what was read.
    if (bytes.length >= smallBytesMax) this.#chunks.set(payload, chunk)
    return chunk
  }

  /** The chunk of a payload, read from the store where needed. Throws as `read` does. */
  async chunk(payload: PayloadId, needed: () => boolean): Promise<Chunk> {
    return this.cached(payload) ?? new Chunk(await this.read(payload, needed))
  }

  /** The chunk of a piece, read from the store where needed. Throws as `read` does. */
  async readPiece(piece: Piece, needed: () => boolean): Promise<Uint8Array> {
    return this.cachedPiece(piece) ?? new Chunk(await this.read(piece.payload, needed)).slice(piece.from, piece.count)
  }
}

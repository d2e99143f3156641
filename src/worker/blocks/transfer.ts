// Owns one block on its way to this worker, from one source after another: what came stays, and the next source goes on behind it.
// Must not give a name to bytes whose hash was not checked.
import { type BlockReference, CoxswainError } from '../../protocol/index.ts'
import type { BlockStore, IncomingBlock } from './store.ts'

/** Somewhere that a block can be had. */
export interface BlockSource {
  /** The same for the same source; for people too. */
  name: string
  /** The bytes from `from` on, or from an earlier place that it names, and how many there are altogether; undefined: it does not have the block. */
  open(from: number): Promise<{ from: number; bytes: number; pieces: AsyncIterable<Uint8Array> } | undefined>
}

/** This worker's own disk does not take the bytes: no other source would help. */
export class DiskError extends Error {}

/** The block cannot be had. */
export function lost(reference: BlockReference, why: string): CoxswainError {
  return new CoxswainError('BLOCK_LOST', `Block ${reference.block} of ${reference.holder} cannot be had: ${why}.`, { id: reference.block })
}

function corrupt(reference: BlockReference, why: string): CoxswainError {
  return new CoxswainError('BLOCK_CORRUPT', `Block ${reference.block}: ${why}.`, { id: reference.block })
}

export class BlockTransfer {
  readonly #store: BlockStore
  readonly #reference: BlockReference
  #incoming: IncomingBlock | undefined

  constructor(store: BlockStore, reference: BlockReference) {
    this.#store = store
    this.#reference = reference
  }

  /**
   * Takes from this source what is missing; resolves with the block's place when all of it is here and right. Rejects with BLOCK_LOST where the source does not
   * have it, BLOCK_CORRUPT where its bytes are wrong, DiskError, or what broke the connection; what came by then stays.
   */
  async from(source: BlockSource): Promise<string> {
    const { bytes } = this.#reference
    const before = this.#incoming?.bytes ?? 0
    const answer = await source.open(before)
    if (!answer) throw lost(this.#reference, `${source.name} does not have it`)
    if (answer.bytes !== bytes) throw corrupt(this.#reference, `${source.name} has ${answer.bytes} bytes where ${bytes} were named`)
    if (answer.from !== before) await this.abandon()
    const resumed = (this.#incoming?.bytes ?? 0) > 0
    const incoming = (this.#incoming ??= await kept(this.#store.receive(this.#reference.block, true, bytes)))
    for await (const piece of answer.pieces) {
      if (incoming.bytes + piece.length > bytes) {
        await this.abandon()
        throw corrupt(this.#reference, `${source.name} sends more than its ${bytes} bytes`)
      }
      const full = incoming.write(piece)
      if (full) await kept(full)
    }
    if (incoming.bytes < bytes) throw new Error(`${source.name} ended ${bytes - incoming.bytes} bytes early`)
    this.#incoming = undefined
    return this.#commit(incoming, source, resumed)
  }

  async #commit(incoming: IncomingBlock, source: BlockSource, resumed: boolean): Promise<string> {
    try {
      const path = await kept(incoming.commit())
      await this.#store.copied(this.#reference.block, incoming.bytes)
      return path
    } catch (error) {
      await incoming.abort()
      // Bytes of several sources, or of several tries: nobody knows whose were wrong. It begins anew.
      if (resumed && !(error instanceof DiskError)) throw new Error(`what came last from ${source.name} does not fit what came before`)
      throw error
    }
  }

  /** What came is given up. */
  async abandon(): Promise<void> {
    await this.#incoming?.abort()
    this.#incoming = undefined
  }
}

/** What the own disk does not take. */
async function kept<T>(act: Promise<T>): Promise<T> {
  try {
    return await act
  } catch (error) {
    if (error instanceof CoxswainError) throw error
    throw new DiskError(`the disk of this worker does not take it: ${(error as Error).message}`)
  }
}

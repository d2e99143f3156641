// Owns the client's way to blocks: large inputs go to a worker before they are named, large results come from their holder.
// Must not give anyone bytes whose hash was not checked.
import { createHash } from 'node:crypto'
import type { Platform, Sockets } from '../../platform/index.ts'
import { type BlockReference, CoxswainError, limits, type WorkerAddress } from '../../protocol/index.ts'
import { pause } from '../pause.ts'
import type { Session } from '../session.ts'
import { BlockDownload } from './download.ts'
import { type Exchange, keptSockets, TransferError, transferFailed, upload } from './transfer.ts'
import { Workers } from './workers.ts'

/** Tries of one transfer, with a pause between them that doubles: half a minute altogether, for a holder that is starting again. */
const attemptsMax = 24
const pauseMsMin = 20
const pauseMsMax = 2000
/** So much is hashed before other work gets its turn. */
const hashBytesMax = 8 << 20

/** A worker whose bytes were wrong, or that refused, so often is not asked again for this block. */
const strikesMax = 2

/** Blocks of one cluster. */
export class Blocks {
  readonly #platform: Platform
  readonly #workers: Workers
  /** Made with the first transfer: most clients have none. */
  #kept: Sockets | undefined
  /** Addresses of workers on this machine whose files this process cannot read: another user's, or a container's. */
  readonly #apart = new Set<string>()

  constructor(session: Session, platform: Platform) {
    this.#platform = platform
    this.#workers = new Workers(session, platform)
  }

  close(): void {
    this.#kept?.close()
  }

  #sockets(): Sockets {
    this.#kept ??= keptSockets(this.#platform.web)
    return this.#kept
  }

  /** The bytes of a block, checked. Throws BLOCK_LOST or BLOCK_CORRUPT. */
  async fetch(reference: BlockReference, signal?: AbortSignal): Promise<Buffer> {
    if (reference.bytes > limits.blockBytesMax)
      throw new CoxswainError('BLOCK_CORRUPT', `Block ${reference.block} claims ${reference.bytes} bytes.`, { id: reference.block })
    const download = new BlockDownload(reference, this.#apart)
    const strikes = new Map<string, number>()
    for (let attempt = 0; attempt < attemptsMax; attempt++) {
      if (attempt > 0) await this.#pause(attempt, signal)
      const sources = await this.#workers.sources(reference, attempt > 0)
      for (const source of sources) {
        const before = strikes.get(source.worker) ?? 0
        if (before >= strikesMax) continue
        const outcome = await download.from(source, this.#exchange(source, source.read, reference, signal))
        if (outcome === 'complete') return download.target
        if (outcome === 'refused' || outcome === 'corrupt') strikes.set(source.worker, before + 1)
        if (outcome === 'absent') strikes.set(source.worker, strikesMax)
      }
      // A holder that is away may come back with it; and at first it was the only one that was asked.
      const holderAsked = attempt > 0 && sources.some(source => source.worker === reference.holder)
      if (holderAsked && sources.every(source => strikes.get(source.worker) === strikesMax)) break
    }
    throw download.failure
  }

  #exchange(
    worker: WorkerAddress,
    capability: string,
    { block, holder }: Omit<BlockReference, 'bytes'>,
    signal: AbortSignal | undefined,
  ): Exchange {
    return { sockets: this.#sockets(), url: `${worker.blocks}/blocks/${block}`, capability, bearer: worker.bearer, holder, signal }
  }

  /** Stores a value's bytes on a worker, synced there, and says where. */
  async store(segments: readonly Uint8Array[], signal?: AbortSignal): Promise<BlockReference> {
    const bytes = segments.reduce((sum, segment) => sum + segment.length, 0)
    if (bytes > limits.blockBytesMax) {
      throw new CoxswainError('VALUE_CANNOT_TRAVEL', `The input has ${bytes} bytes; ${limits.blockBytesMax} are allowed.`, { id: 'input' })
    }
    const block = await this.#hash(segments)
    let refusals = 0
    let last: unknown = new Error('no worker is there')
    for (let attempt = 0; attempt < attemptsMax; attempt++) {
      if (attempt > 0) await this.#pause(attempt, signal)
      const found = await this.#workers.any(attempt > 0)
      if (!found) continue
      const { worker: holder } = found
      try {
        await upload(this.#exchange(found, found.write, { block, holder }, signal), segments, bytes)
        return { block, bytes, holder }
      } catch (error) {
        if (!(error instanceof TransferError)) throw error
        last = error
        this.#workers.forget(holder)
        // What it had may have expired, or be of an earlier life of the worker: once more with what it gets now.
        if ((error.status === 401 || error.status === 403) && ++refusals >= strikesMax) break
      }
    }
    throw transferFailed(block, 'stored', last)
  }

  async #hash(segments: readonly Uint8Array[]): Promise<string> {
    const digest = createHash('sha256')
    let since = 0
    for (const segment of segments) {
      for (let from = 0; from < segment.length; from += hashBytesMax) {
        const piece = segment.subarray(from, from + hashBytesMax)
        digest.update(piece)
        since += piece.length
        if (since >= hashBytesMax) {
          since = 0
          await new Promise<void>(resolve => this.#platform.clock.soon(resolve))
        }
      }
    }
    return digest.digest('hex')
  }

  #pause(attempt: number, signal: AbortSignal | undefined): Promise<void> {
    const most = Math.min(pauseMsMin * 2 ** attempt, pauseMsMax)
    return pause(this.#platform.clock, most * (0.5 + this.#platform.random.number() / 2), signal)
  }
}

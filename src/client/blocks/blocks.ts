// Owns the client's way to blocks: large inputs go to a worker before they are named, large results come from their holder.
// Must not give anyone bytes whose hash was not checked.
import { createHash } from 'node:crypto'
import type { Platform, Sockets } from '../../platform/index.ts'
import { type BlockReference, CoxswainError, limits, type WorkerAddress } from '../../protocol/index.ts'
import { pause } from '../pause.ts'
import type { Session } from '../session.ts'
import { download, isHere, keptSockets, NotReadableError, TransferError, transferFailed, upload } from './transfer.ts'

/** Tries of one transfer, with a pause between them that doubles: half a minute altogether, for a holder that is starting again. */
const attemptsMax = 24
const pauseMsMin = 20
const pauseMsMax = 2000
/** So much is hashed before other work gets its turn. */
const hashBytesMax = 8 << 20

/** Blocks of one cluster. */
export class Blocks {
  readonly #session: Session
  readonly #platform: Platform
  readonly #token: () => Promise<string>
  /** Made with the first transfer: most clients have none. */
  #kept: Sockets | undefined
  #addresses = new Map<string, string>()
  /** Addresses of workers on this machine whose files this process cannot read: another user's, or a container's. */
  readonly #apart = new Set<string>()
  #asking: Promise<void> | undefined

  constructor(session: Session, platform: Platform, token: () => Promise<string>) {
    this.#session = session
    this.#platform = platform
    this.#token = token
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
    const target = Buffer.allocUnsafeSlow(reference.bytes)
    let digest = createHash('sha256')
    let offset = 0
    let corrupt = 0
    let last: unknown
    for (let attempt = 0; attempt < attemptsMax; attempt++) {
      if (attempt > 0) await this.#pause(attempt, signal)
      const address = await this.#address(reference.holder, attempt > 0)
      if (address === undefined) {
        last = new Error(`its holder ${reference.holder} is not there`)
        continue
      }
      try {
        const exchange = { sockets: this.#sockets(), url: `${address}/blocks/${reference.block}`, token: await this.#token(), signal }
        const inPlace = isHere(address) && !this.#apart.has(address)
        await download(exchange, target, offset, inPlace, piece => {
          digest.update(piece)
          offset += piece.length
        })
        if (digest.digest('hex') === reference.block) return target
        last = new Error('its bytes do not match its hash')
        corrupt++
        if (corrupt > 1) break
        digest = createHash('sha256')
        offset = 0
      } catch (error) {
        if (!(error instanceof TransferError)) throw error
        last = error
        if (error instanceof NotReadableError) this.#apart.add(address)
        // The holder lives and says no: asking again cannot help.
        if (error.status >= 400 && error.status < 500 && error.status !== 408 && error.status !== 429) break
      }
    }
    if (corrupt > 1)
      throw new CoxswainError('BLOCK_CORRUPT', `Block ${reference.block} of ${reference.holder} does not match its hash.`, {
        id: reference.block,
      })
    throw transferFailed(reference.block, 'fetched', last)
  }

  /** Stores a value's bytes on a worker, synced there, and says where. */
  async store(segments: readonly Uint8Array[], signal?: AbortSignal): Promise<BlockReference> {
    const bytes = segments.reduce((sum, segment) => sum + segment.length, 0)
    if (bytes > limits.blockBytesMax) {
      throw new CoxswainError('VALUE_CANNOT_TRAVEL', `The input has ${bytes} bytes; ${limits.blockBytesMax} are allowed.`, { id: 'input' })
    }
    const block = await this.#hash(segments)
    let last: unknown = new Error('no worker is there')
    for (let attempt = 0; attempt < attemptsMax; attempt++) {
      if (attempt > 0) await this.#pause(attempt, signal)
      const found = await this.#any(attempt > 0)
      if (!found) continue
      try {
        await upload(
          { sockets: this.#sockets(), url: `${found.address}/blocks/${block}`, token: await this.#token(), signal },
          segments,
          bytes,
        )
        return { block, bytes, holder: found.holder }
      } catch (error) {
        if (!(error instanceof TransferError)) throw error
        last = error
        this.#addresses.delete(found.holder)
        if (error.status === 401 || error.status === 403) break
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

  async #address(holder: string, anew: boolean): Promise<string | undefined> {
    if (anew || !this.#addresses.has(holder)) await this.#locate()
    return this.#addresses.get(holder)
  }

  /** A worker to store on, each in its turn as chance will have it. */
  async #any(anew: boolean): Promise<{ holder: string; address: string } | undefined> {
    if (anew || this.#addresses.size === 0) await this.#locate()
    const all = [...this.#addresses]
    const one = all[Math.floor(this.#platform.random.number() * all.length)]
    return one && { holder: one[0], address: one[1] }
  }

  /** Asks where the workers are; who asks meanwhile gets the same answer. */
  #locate(): Promise<void> {
    this.#asking ??= (async () => {
      try {
        const reply = await this.#session.request({ kind: 'ask', view: 'locate', argument: '{}' })
        if (reply.kind !== 'view') return
        const workers = JSON.parse(reply.body) as WorkerAddress[]
        this.#addresses = new Map(
          workers.filter(worker => worker.blocks !== '').map(worker => [worker.worker, worker.blocks.replace(/\/$/, '')]),
        )
      } finally {
        this.#asking = undefined
      }
    })()
    return this.#asking
  }
}

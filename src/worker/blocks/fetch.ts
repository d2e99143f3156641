// Owns fetching blocks from the workers that hold them, and from the durable tier. Must not use bytes whose hash was not checked.
import type { IncomingMessage } from 'node:http'
import type { Sockets, Web } from '../../platform/index.ts'
import {
  type BlockReference,
  blockBearerHeader,
  blockHolderHeader,
  type CoxswainError,
  type LeaderToWorker,
  type WorkerId,
} from '../../protocol/index.ts'
import type { BlockStore } from './store.ts'
import type { Tier } from './tier.ts'
import { type BlockSource, BlockTransfer, DiskError, lost } from './transfer.ts'

/** A holder that sends nothing for so long is taken for gone. */
const silenceTimeoutMs = 30_000
/**
 * Its holder may be starting again, and its supervisor lets it wait for up to five seconds: altogether these are half a minute, with pauses
 * that double.
 */
const attemptsMax = 20
/** A source whose bytes were wrong so often has them wrong on its disk. */
const strikesMax = 2
/** Connections to one holder at the same time. */
const socketsMax = 16
const pauseMsMin = 100
const pauseMsMax = 2_000

/** A worker that holds a block, and the right to read it there. */
export type Replica = Extract<LeaderToWorker, { kind: 'blockLocated' }>['replicas'][number]

export interface BlockFetchOptions {
  /** Missing where it has nothing to fetch from others. */
  web: Web | undefined
  /** This worker's name. */
  name: WorkerId
  /** Workers that are here and known to hold the block. */
  locate(reference: BlockReference): Promise<readonly Replica[]>
  tier: Tier | undefined
  pause(ms: number): Promise<void>
}

export class BlockFetcher {
  readonly #store: BlockStore
  readonly #options: BlockFetchOptions
  readonly #underway = new Map<string, Promise<string>>()
  #sockets: Sockets | undefined

  constructor(store: BlockStore, options: BlockFetchOptions) {
    this.#store = store
    this.#options = options
  }

  /** Where the block is on this machine, fetched if need be. Rejects with BLOCK_LOST or BLOCK_CORRUPT. */
  provide(reference: BlockReference): Promise<string> {
    const underway = this.#underway.get(reference.block)
    if (underway) return underway
    const fetching = this.#provide(reference).finally(() => this.#underway.delete(reference.block))
    this.#underway.set(reference.block, fetching)
    return fetching
  }

  async #provide(reference: BlockReference): Promise<string> {
    const own = await this.#store.find(reference.block)
    if (own?.bytes === reference.bytes) return own.path
    const copy = await this.#store.findCopy(reference.block)
    if (copy?.bytes === reference.bytes) return copy.path
    const transfer = new BlockTransfer(this.#store, reference)
    try {
      return await this.#gather(reference, transfer)
    } finally {
      await transfer.abandon()
    }
  }

  /** From one source after the other and back, until it is here, each has said that it cannot help, or it took too long. */
  async #gather(reference: BlockReference, transfer: BlockTransfer): Promise<string> {
    const { name, pause } = this.#options
    const strikes = new Map<string, number>()
    let failure = lost(reference, 'its holder is not known')
    for (let attempt = 0; attempt < attemptsMax; attempt++) {
      if (attempt > 0) await pause(Math.min(pauseMsMax, pauseMsMin * 2 ** (attempt - 1)))
      const sources = await this.#sources(reference)
      for (const source of sources) {
        if ((strikes.get(source.name) ?? 0) >= strikesMax) continue
        try {
          return await transfer.from(source)
        } catch (error) {
          if (error instanceof DiskError) throw lost(reference, error.message)
          const { code, message } = error as CoxswainError
          // It answered that it does not have the block: asking again does not help.
          if (code === 'BLOCK_LOST') strikes.set(source.name, strikesMax)
          if (code === 'BLOCK_CORRUPT') strikes.set(source.name, (strikes.get(source.name) ?? 0) + 1)
          const said = code === 'BLOCK_LOST' || code === 'BLOCK_CORRUPT' ? (error as CoxswainError) : lost(reference, message)
          if (failure.code !== 'BLOCK_CORRUPT' || code === 'BLOCK_CORRUPT') failure = said
        }
      }
      // A holder that is away may come back with it.
      const asked = reference.holder === name || sources.some(source => source.name === reference.holder)
      if (asked && sources.every(source => strikes.get(source.name) === strikesMax)) break
    }
    throw failure
  }

  async #sources(reference: BlockReference): Promise<BlockSource[]> {
    const { name, locate, tier } = this.#options
    const { block, holder } = reference
    const replicas = (await locate(reference)).filter(replica => replica.worker !== name)
    const sources = replicas.map(
      (replica): BlockSource => ({ name: replica.worker, open: from => this.#openReplica(replica, reference, from) }),
    )
    if (tier)
      sources.push({
        name: 'the durable tier',
        open: async from => {
          const found = await tier.open(holder, block, from)
          return found && { ...found, from }
        },
      })
    return sources
  }

  async #openReplica(
    { worker, address, capability }: Replica,
    { block, holder }: BlockReference,
    from: number,
  ): ReturnType<BlockSource['open']> {
    const response = await this.#request(`${address}/blocks/${block}`, {
      authorization: `Bearer ${capability}`,
      [blockBearerHeader]: encodeURIComponent(this.#options.name),
      [blockHolderHeader]: encodeURIComponent(holder),
      ...(from > 0 && { range: `bytes=${from}-` }),
    })
    const { statusCode, headers } = response
    const length = Number(headers['content-length'])
    if (statusCode === 200) return { from: 0, bytes: length, pieces: response }
    if (statusCode === 206 && from > 0) return { from, bytes: from + length, pieces: response }
    response.resume()
    if (statusCode === 404) return undefined
    throw new Error(`${worker} answers with HTTP ${statusCode}`)
  }

  /** Ends its connections. */
  close(): void {
    this.#sockets?.close()
  }

  #request(url: string, headers: Record<string, string>): Promise<IncomingMessage> {
    const sockets = (this.#sockets ??= this.#options.web?.sockets(socketsMax))
    return new Promise((resolve, reject) => {
      if (!sockets) throw new Error('this worker speaks no HTTP')
      const request = sockets.request(url, { headers, timeout: silenceTimeoutMs })
      request.on('response', resolve)
      request.on('timeout', () => request.destroy(new Error('its holder does not answer')))
      request.on('error', reject)
      request.end()
    })
  }
}

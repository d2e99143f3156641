// Owns fetching blocks from the workers that hold them. Must not use bytes whose hash was not checked.
import type { IncomingMessage } from 'node:http'
import type { Sockets, Web } from '../../platform/index.ts'
import { type BlockReference, CoxswainError } from '../../protocol/index.ts'
import type { BlockStore } from './store.ts'

/** A holder that sends nothing for so long is taken for gone. */
const silenceTimeoutMs = 30_000
/**
 * Its holder may be starting again, and its supervisor lets it wait for up to five seconds: altogether these are half a minute, with pauses
 * that double.
 */
const attemptsMax = 20
/** Bytes that were wrong so often are wrong on the holder's disk. */
const corruptMax = 2
/** Connections to one holder at the same time. */
const socketsMax = 16
const pauseMsMin = 100
const pauseMsMax = 2_000

export interface BlockFetchOptions {
  /** Missing where it has nothing to fetch from others. */
  web: Web | undefined
  /** Empty where the certificate of this node proves who it is. */
  token: string
  /** Address of a worker's block server, or empty if nobody knows. */
  locate(holder: string): Promise<string>
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
    let failure = lost(reference, 'its holder is not known')
    let corrupt = 0
    for (let attempt = 0; attempt < attemptsMax; attempt++) {
      if (attempt > 0) await this.#options.pause(Math.min(pauseMsMax, pauseMsMin * 2 ** (attempt - 1)))
      const address = await this.#options.locate(reference.holder)
      if (address === '') continue
      try {
        return await this.#fetch(reference, address)
      } catch (error) {
        failure = error instanceof CoxswainError ? error : lost(reference, (error as Error).message)
        // Asking again does not help where the holder answered: it does not have it.
        if (failure === error && failure.code === 'BLOCK_LOST') break
        if (failure.code === 'BLOCK_CORRUPT' && ++corrupt >= corruptMax) break
      }
    }
    throw failure
  }

  async #fetch(reference: BlockReference, address: string): Promise<string> {
    const response = await this.#request(`${address}/blocks/${reference.block}`)
    if (response.statusCode !== 200) {
      response.resume()
      if (response.statusCode === 404) throw lost(reference, 'its holder does not have it any more')
      throw new Error(`its holder answers with HTTP ${response.statusCode}`)
    }
    const incoming = await this.#store.receive(reference.block, true, reference.bytes)
    try {
      for await (const piece of response) await incoming.write(piece as Buffer)
      const path = await incoming.commit()
      await this.#store.copied(reference.block, incoming.bytes)
      return path
    } catch (error) {
      await incoming.abort()
      throw error
    }
  }

  /** Ends its connections. */
  close(): void {
    this.#sockets?.close()
  }

  #request(url: string): Promise<IncomingMessage> {
    const { token, web } = this.#options
    const sockets = (this.#sockets ??= web?.sockets(socketsMax))
    return new Promise((resolve, reject) => {
      if (!sockets) throw new Error('this worker speaks no HTTP')
      const headers = token === '' ? {} : { authorization: `Bearer ${token}` }
      const request = sockets.request(url, { headers, timeout: silenceTimeoutMs })
      request.on('response', resolve)
      request.on('timeout', () => request.destroy(new Error('its holder does not answer')))
      request.on('error', reject)
      request.end()
    })
  }
}

function lost(reference: BlockReference, why: string): CoxswainError {
  return new CoxswainError('BLOCK_LOST', `Block ${reference.block} of ${reference.holder} cannot be had: ${why}.`, { id: reference.block })
}

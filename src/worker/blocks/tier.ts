// Owns the copies of blocks in a store that outlives machines: how they are named, how many go there at a time, how often it is tried.
// Must not name a block that is not there wholly, and must not remove what was stored again meanwhile.
import type { ObjectStore } from '../../platform/index.ts'
import type { BlockId, WorkerId } from '../../protocol/index.ts'

/** Blocks on their way there at the same time. */
const uploadsMax = 4
/** Tries of one block, each with those that the store makes by itself, with pauses between them that double: a minute altogether. */
const triesMax = 8
const pauseMsMin = 500
const pauseMsMax = 16_000

export interface TierOptions {
  /** Id of the cluster, known once a leader has welcomed this worker: several may share a bucket. */
  cluster(): string
  pause(ms: number): Promise<void>
}

export class Tier {
  readonly #objects: ObjectStore
  readonly #options: TierOptions
  #uploads = 0
  readonly #waiting: (() => void)[] = []
  /** What is done to one name is done in order. */
  readonly #tails = new Map<string, Promise<unknown>>()

  constructor(objects: ObjectStore, options: TierOptions) {
    this.#objects = objects
    this.#options = options
  }

  /** Each holder has copies of its own, so that no worker's drop takes another one's. */
  #name(holder: WorkerId, block: BlockId): string {
    return `${this.#options.cluster()}/@${encodeURIComponent(holder)}/${block}`
  }

  /** Stores the holder's block; resolves when it is there. Rejects with OBJECT_STORE_FAILED when it has been tried often enough. */
  store(holder: WorkerId, block: BlockId, file: { path: string; bytes: number }): Promise<void> {
    const name = this.#name(holder, block)
    return this.#inOrder(name, async () => {
      await this.#enter()
      try {
        await this.#put(name, file)
      } finally {
        this.#uploads--
        this.#waiting.shift()?.()
      }
    })
  }

  async #put(name: string, file: { path: string; bytes: number }): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        await this.#objects.put(name, file)
        return
      } catch (error) {
        if (tries === triesMax) throw error
        await this.#options.pause(Math.min(pauseMsMax, pauseMsMin * 2 ** (tries - 1)))
      }
    }
  }

  async #enter(): Promise<void> {
    while (this.#uploads >= uploadsMax) await new Promise<void>(resolve => void this.#waiting.push(resolve))
    this.#uploads++
  }

  /** The holder's block from this byte on, and how many it has altogether; undefined if it is not there. */
  open(holder: WorkerId, block: BlockId, from: number): Promise<{ bytes: number; pieces: AsyncIterable<Uint8Array> } | undefined> {
    return this.#objects.get(this.#name(holder, block), from)
  }

  /** The size of the holder's block, or undefined. */
  size(holder: WorkerId, block: BlockId): Promise<number | undefined> {
    return this.#objects.size(this.#name(holder, block))
  }

  /** Removes the holder's block, unless `kept` says at the last moment that it has been stored again. */
  remove(holder: WorkerId, block: BlockId, kept: () => Promise<boolean>): Promise<void> {
    const name = this.#name(holder, block)
    return this.#inOrder(name, async () => {
      if (!(await kept())) await this.#objects.remove(name)
    })
  }

  #inOrder<T>(name: string, act: () => Promise<T>): Promise<T> {
    const done = (this.#tails.get(name) ?? Promise.resolve()).then(act, act)
    this.#tails.set(name, done)
    const forget = (): void => {
      if (this.#tails.get(name) === done) this.#tails.delete(name)
    }
    done.then(forget, forget)
    return done
  }
}

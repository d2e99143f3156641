// Owns the fetching of large results ahead of their consumer, bounded in bytes and number.
// Must not let what comes later keep what is needed now from being fetched.
import type { BlockReference } from '../../protocol/index.ts'
import type { Blocks } from '../blocks/blocks.ts'

/** Bytes fetched or being fetched ahead of the consumer; a single larger block is fetched when it is its turn. */
const bytesMax = 64 << 20
const fetchesMax = 8

/** Large results of one map. */
export class Prefetch {
  readonly #blocks: Blocks
  /** In the order in which they came. */
  readonly #waiting = new Map<number, BlockReference>()
  readonly #fetched = new Map<number, Promise<Buffer>>()
  readonly #abort = new AbortController()
  #bytes = 0
  #active = 0

  constructor(blocks: Blocks) {
    this.#blocks = blocks
  }

  /** A result that will be taken. */
  add(index: number, reference: BlockReference): void {
    this.#waiting.set(index, reference)
    this.#startWaiting()
  }

  /** The bytes of a result, which is forgotten here. */
  async take(index: number, reference: BlockReference): Promise<Buffer> {
    if (!this.#fetched.has(index)) this.#start(index, reference)
    try {
      return await this.#fetched.get(index)!
    } finally {
      this.#fetched.delete(index)
      this.#bytes -= reference.bytes
      this.#startWaiting()
    }
  }

  #startWaiting(): void {
    for (const [index, reference] of this.#waiting) {
      if (this.#active >= fetchesMax || (this.#bytes > 0 && this.#bytes + reference.bytes > bytesMax)) return
      this.#start(index, reference)
    }
  }

  #start(index: number, reference: BlockReference): void {
    this.#waiting.delete(index)
    this.#bytes += reference.bytes
    this.#active++
    const fetching = this.#blocks.fetch(reference, this.#abort.signal)
    this.#fetched.set(index, fetching)
    const ended = (): void => {
      this.#active--
      this.#startWaiting()
    }
    fetching.then(ended, ended)
  }

  /** Ends what is under way. */
  close(): void {
    this.#waiting.clear()
    this.#abort.abort(new Error('the map ended'))
    this.#fetched.clear()
  }
}

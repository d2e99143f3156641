// Owns what spaces are: small durable entries by name and key, each with a version. Their bytes are payloads.
// Must not hold values.
import type { PayloadId } from '../../protocol/index.ts'
import { SortedKeys } from './keys.ts'

/** The value of a key. */
export interface Entry {
  readonly payload: PayloadId
  readonly bytes: number
  /** That of the transaction that wrote it: over all spaces they only grow, so no version comes twice. */
  readonly version: number
}

/** The entries of one name. */
export class Space {
  readonly #entries = new Map<string, Entry>()
  readonly #keys = new SortedKeys()

  get size(): number {
    return this.#keys.size
  }

  get(key: string): Entry | undefined {
    return this.#entries.get(key)
  }

  set(key: string, entry: Entry): void {
    if (!this.#entries.has(key)) this.#keys.add(key)
    this.#entries.set(key, entry)
  }

  delete(key: string): void {
    if (this.#entries.delete(key)) this.#keys.delete(key)
  }

  /** Up to `limit` keys that begin with `prefix` and come behind `after`, in order. */
  page(prefix: string, after: string, limit: number): string[] {
    const keys: string[] = []
    for (const key of this.#keys.from(after < prefix ? prefix : after)) {
      if (keys.length === limit || !key.startsWith(prefix)) break
      if (key !== after) keys.push(key)
    }
    return keys
  }

  *[Symbol.iterator](): Generator<[string, Entry]> {
    for (const key of this.#keys.from('')) yield [key, this.#entries.get(key)!]
  }
}

/** The transactions of a session that were done and may be asked for again. */
export interface Transactions {
  /** Those below this number are not. */
  before: number
  /** Number → the version that it wrote. */
  readonly done: Map<number, number>
}

export interface Spaces {
  readonly byName: Map<string, Space>
  lastVersion: number
  readonly bySession: Map<string, Transactions>
  /** Derived; held to limits. */
  entries: number
  bytes: number
}

export function createSpaces(): Spaces {
  return { byName: new Map(), lastVersion: 0, bySession: new Map(), entries: 0, bytes: 0 }
}

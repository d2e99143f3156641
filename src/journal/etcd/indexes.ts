// Owns the lists of payloads as a leader knows them: read when they are first needed, and from then on ahead of what etcd has by what is under way.
// Must not send writes.
import type { PayloadId } from '../../protocol/index.ts'
import type { Operation } from './api.ts'
import type { Caller } from './caller.ts'
import { blobName, blobRange, indexesUpTo, indexKey } from './keys.ts'
import { decodeIndex, encodeIndex, type Index } from './values.ts'

/** Payloads in lists that are remembered, at most, when nothing is under way. */
const rememberedMax = 500_000
/** Lists that one read brings. */
const listsPerRead = 8

/** What dropping payloads does. */
export interface Dropping {
  operations: Operation[]
  payloads: number
  payloadBytes: number
}

/** The lists of one leader. */
export class Indexes {
  readonly #caller: Caller
  /** By first payload, in rising order. */
  #lists: Index[] = []
  #remembered = 0

  constructor(caller: Caller) {
    this.#caller = caller
  }

  /** A list that is being written: it is behind all others. */
  add(index: Index): void {
    this.#lists.push(index)
    this.#remembered += index.entries.size
  }

  /** Whether all these are in lists that are known, or in none. */
  knows(payloads: readonly PayloadId[]): boolean {
    return payloads.every(payload => this.#find(payload) !== undefined)
  }

  /** Reads the lists of these payloads. Only while nothing is under way. */
  async load(payloads: readonly PayloadId[]): Promise<void> {
    let missing = [...new Set(payloads)].filter(payload => this.#find(payload) === undefined)
    while (missing.length > 0) {
      const most = Math.max(...missing)
      const { rows } = await this.#caller.range({ ...indexesUpTo(most), descending: true, limit: listsPerRead })
      let least = rows.length < listsPerRead ? -1 : most
      for (const { key, value } of rows) {
        const index = decodeIndex(key, value)
        this.#insert(index)
        least = Math.min(least, index.first - 1)
      }
      // Those above the first list that was read, and in none, are not there any more.
      missing = missing.filter(payload => payload <= least && this.#find(payload) === undefined)
    }
  }

  /** Forgets what is no longer needed. Only while nothing is under way. */
  trim(): void {
    if (this.#lists.some(({ entries }) => entries.size === 0)) this.#lists = this.#lists.filter(({ entries }) => entries.size > 0)
    let gone = 0
    while (this.#remembered > rememberedMax) this.#remembered -= this.#lists[gone++]!.entries.size
    if (gone > 0) this.#lists.splice(0, gone)
  }

  /** How many of these, from the first on, can be dropped with at most so many operations. Their lists must be known. */
  countWithin(payloads: readonly PayloadId[], operationsMax: number): number {
    const lists = new Set<Index>()
    let operations = 0
    for (const [at, payload] of payloads.entries()) {
      const list = this.#find(payload)
      const entry = list?.entries.get(payload)
      if (!list || !entry) continue
      if (!lists.has(list)) operations += 2
      if (entry.offset < 0) operations++
      lists.add(list)
      if (operations > operationsMax) return at
    }
    return payloads.length
  }

  /** Drops payloads whose lists are known; unknown ones are ignored. */
  drop(payloads: readonly PayloadId[]): Dropping {
    const dropping: Dropping = { operations: [], payloads: 0, payloadBytes: 0 }
    const changed = new Set<Index>()
    for (const payload of payloads) {
      const list = this.#find(payload)
      const entry = list?.entries.get(payload)
      if (!list || !entry) continue
      list.entries.delete(payload)
      this.#remembered--
      changed.add(list)
      dropping.payloads++
      dropping.payloadBytes += entry.bytes
      if (entry.offset < 0) dropping.operations.push({ delete: blobRange(blobName('p', payload)) })
    }
    for (const list of changed) {
      const key = indexKey(list.first)
      if (list.entries.size > 0) dropping.operations.push({ put: { key, value: encodeIndex(list) } })
      else dropping.operations.push({ delete: { key } }, { delete: blobRange(blobName('b', list.first)) })
    }
    return dropping
  }

  /** The known list within whose bounds a payload is. */
  #find(payload: PayloadId): Index | undefined {
    const list = this.#lists[this.#behind(payload) - 1]
    return list !== undefined && payload <= list.last ? list : undefined
  }

  /** Where the first list stands that begins behind this payload. */
  #behind(payload: PayloadId): number {
    let [low, high] = [0, this.#lists.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#lists[middle]!.first > payload) high = middle
      else low = middle + 1
    }
    return low
  }

  #insert(index: Index): void {
    const at = this.#behind(index.first)
    if (this.#lists[at - 1]?.first === index.first) return
    this.#lists.splice(at, 0, index)
    this.#remembered += index.entries.size
  }
}

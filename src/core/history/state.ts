// Owns what is known of jobs whose rows are in the store's history: enough to know their ids again, and to say which rows go next.
// Must not hold anything else of them: their rows do.
import type { JobId, TaskBlock } from '../../protocol/index.ts'

/** Words of an entry: two of the id's hash, the begin of the content's hash, the second it ended in, bytes of its results. */
const entryWords = 5
const bytesMax = 2 ** 32 - 1
const pageEntriesMin = 1 << 10
const pageEntriesMax = 1 << 18
/** Slots per entry of a page, so that a look soon meets an empty one. */
const slotsPerEntry = 2

/** 64 bits of a text: two sums that mix each other, as in MurmurHash. No guard against somebody who looks for collisions. */
function hashOf(text: string): readonly [low: number, high: number] {
  let low = 0xdeadbeef
  let high = 0x41c6ce57
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    low = Math.imul(low ^ code, 2654435761)
    high = Math.imul(high ^ code, 1597334677)
  }
  low = Math.imul(low ^ (low >>> 16), 2246822507) ^ Math.imul(high ^ (high >>> 13), 3266489909)
  high = Math.imul(high ^ (high >>> 16), 2246822507) ^ Math.imul(low ^ (low >>> 13), 3266489909)
  return [low >>> 0, high >>> 0]
}

/** The begin of a job's content hash. */
function contentWord(contentHash: string): number {
  return Number.parseInt(contentHash.slice(0, 8), 16) >>> 0
}

/** A part of the register, with places from `first` on. It is left as a whole, when nothing in it is known any more. */
class Page {
  readonly first: number
  readonly capacity: number
  count = 0
  readonly words: Uint32Array
  /** Where entries are found by their hash: their position plus one, 0 where nothing is. */
  readonly #slots: Uint32Array

  constructor(first: number, capacity: number) {
    this.first = first
    this.capacity = capacity
    this.words = new Uint32Array(capacity * entryWords)
    this.#slots = new Uint32Array(capacity * slotsPerEntry)
  }

  get end(): number {
    return this.first + this.count
  }

  /** The entry whose words are in `source` from `at` on. */
  add(source: ArrayLike<number>, at: number): void {
    const position = this.count++
    for (let word = 0; word < entryWords; word++) this.words[position * entryWords + word] = source[at + word]!
    const mask = this.#slots.length - 1
    let slot = source[at]! & mask
    while (this.#slots[slot] !== 0) slot = (slot + 1) & mask
    this.#slots[slot] = position + 1
  }

  /** The place, not below `from`, of an entry with this hash; undefined if there is none. */
  find(low: number, high: number, from: number): number | undefined {
    const mask = this.#slots.length - 1
    for (let slot = low & mask; this.#slots[slot] !== 0; slot = (slot + 1) & mask) {
      const position = this.#slots[slot]! - 1
      const at = position * entryWords
      if (this.words[at] === low && this.words[at + 1] === high && this.first + position >= from) return this.first + position
    }
    return undefined
  }
}

/** The jobs in the history, by their places there. About 28 bytes each, and nothing for the collector to look at. */
export class HistoryRegister {
  /** Places that are known: `first` … `end - 1`. Those before `emptiedTo` have no results any more. */
  first = 1
  emptiedTo = 1
  /** Derived: bytes of results of all of them. */
  bytes = 0
  /** Blocks that hold results, by place: only few jobs have any. */
  readonly blocks = new Map<number, readonly TaskBlock[]>()
  #pages: Page[] = []

  get end(): number {
    return this.#pages.at(-1)?.end ?? this.first
  }

  get size(): number {
    return this.end - this.first
  }

  /** One more job; says how many of its results' bytes count from now on. */
  add(job: JobId, contentHash: string, finishedAtMs: number, resultBytes: number): number {
    const bytes = Math.min(resultBytes, bytesMax)
    this.#push([...hashOf(job), contentWord(contentHash), Math.ceil(finishedAtMs / 1000), bytes], 0)
    return bytes
  }

  #push(source: ArrayLike<number>, at: number): void {
    let page = this.#pages.at(-1)
    if (!page || page.count === page.capacity) {
      const size = this.size
      page = new Page(this.end, Math.min(pageEntriesMax, Math.max(pageEntriesMin, 2 ** Math.ceil(Math.log2(size + 1)))))
      this.#pages.push(page)
    }
    page.add(source, at)
    this.bytes += source[at + 4]!
  }

  #page(place: number): Page {
    const page = this.#pages.find(one => place < one.end)
    if (!page || place < this.first) throw new Error(`no place ${place} in the history`)
    return page
  }

  /** When the job at this place ended, in whole seconds: never too early. */
  finishedAtMs(place: number): number {
    const page = this.#page(place)
    return page.words[(place - page.first) * entryWords + 3]! * 1000
  }

  /** Bytes of results of the job at this place. */
  bytesAt(place: number): number {
    const page = this.#page(place)
    return page.words[(place - page.first) * entryWords + 4]!
  }

  /**
   * Whether a job of this id is there: the `same` one by its content, or `another`. Two ids share a hash once in 2^64; then a job is taken for one of
   * `another` content, which is refused, and with odds of 2^-96 for the `same`.
   */
  known(job: JobId, contentHash: string): 'same' | 'another' | undefined {
    const place = this.find(job)
    if (place === undefined) return undefined
    const page = this.#page(place)
    return page.words[(place - page.first) * entryWords + 2] === contentWord(contentHash) ? 'same' : 'another'
  }

  /** The place of the job of this id, or undefined. */
  find(job: JobId): number | undefined {
    if (this.#pages.length === 0) return undefined
    const [low, high] = hashOf(job)
    for (let at = this.#pages.length - 1; at >= 0; at--) {
      const place = this.#pages[at]!.find(low, high, this.first)
      if (place !== undefined) return place
    }
    return undefined
  }

  /** The results of the job at the first place that has any are gone. */
  empty(): void {
    const page = this.#page(this.emptiedTo)
    const word = (this.emptiedTo - page.first) * entryWords + 4
    this.bytes -= page.words[word]!
    page.words[word] = 0
    this.blocks.delete(this.emptiedTo)
    this.emptiedTo++
  }

  /** The job at the first place is known no more; its results went before. */
  forget(): void {
    this.first++
    while (this.#pages.length > 0 && this.#pages[0]!.count === this.#pages[0]!.capacity && this.#pages[0]!.end <= this.first)
      this.#pages.shift()
  }

  /** All entries, as they stand in a snapshot. */
  words(): Uint8Array {
    const words = new Uint32Array(this.size * entryWords)
    let at = 0
    for (const page of this.#pages) {
      const part = page.words.subarray(Math.max(0, this.first - page.first) * entryWords, page.count * entryWords)
      words.set(part, at)
      at += part.length
    }
    return new Uint8Array(words.buffer)
  }

  /** Takes up what a snapshot holds. */
  restore(first: number, emptiedTo: number, words: Uint8Array): void {
    this.first = first
    this.emptiedTo = emptiedTo
    const own = Uint8Array.from(words)
    const entries = new Uint32Array(own.buffer)
    for (let at = 0; at < entries.length; at += entryWords) this.#push(entries, at)
  }
}

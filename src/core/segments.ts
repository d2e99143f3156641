// Owns the list of which tasks' bytes are in which payload: sorted by first task, found by binary search, let go from any end.
// Must not know whether the bytes are inputs or results.
import type { PayloadId } from '../protocol/index.ts'

/** Tasks `first` … whose bytes are one chunk. */
export interface Segment {
  first: number
  count: number
  payload: PayloadId
  bytes: number
  /** Tasks of it whose bytes are still needed; at 0 the payload goes. */
  needed: number
}

/** A part of a payload: items `from` … of its chunk. */
export interface Piece {
  payload: PayloadId
  from: number
  count: number
}

/** Segments in the order of their tasks. */
export class SegmentList {
  readonly #items: Segment[]
  /** Items before it are gone: most segments go from the front, and moving a long array for each would be quadratic. */
  #start = 0

  constructor(items: readonly Segment[] = []) {
    this.#items = items.map(item => ({ ...item }))
  }

  get length(): number {
    return this.#items.length - this.#start
  }

  *[Symbol.iterator](): Generator<Segment> {
    for (let i = this.#start; i < this.#items.length; i++) yield this.#items[i]!
  }

  #seek(task: number): number {
    let low = this.#start
    let high = this.#items.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const item = this.#items[middle]!
      if (item.first + item.count <= task) low = middle + 1
      else high = middle
    }
    return low
  }

  /** The segment that holds a task, or undefined. */
  find(task: number): Segment | undefined {
    const item = this.#items[this.#seek(task)]
    return item !== undefined && item.first <= task ? item : undefined
  }

  /** The segments that hold any of `first` … `first + count - 1`, in order. */
  *overlapping(first: number, count: number): Generator<Segment> {
    for (let i = this.#seek(first); i < this.#items.length; i++) {
      const item = this.#items[i]!
      if (item.first >= first + count) return
      yield item
    }
  }

  /** Where the bytes of tasks `first` … `first + count - 1` are, as far as there are any. */
  pieces(first: number, count: number): Piece[] {
    const pieces: Piece[] = []
    const end = first + count
    for (let i = this.#seek(first); i < this.#items.length; i++) {
      const segment = this.#items[i]!
      if (segment.first >= end) break
      const from = Math.max(first, segment.first)
      pieces.push({ payload: segment.payload, from: from - segment.first, count: Math.min(end, segment.first + segment.count) - from })
    }
    return pieces
  }

  insert(segment: Segment): void {
    const last = this.#items[this.#items.length - 1]
    if (last === undefined || last.first < segment.first) this.#items.push(segment)
    else this.#items.splice(this.#seek(segment.first), 0, segment)
  }

  remove(segment: Segment): void {
    const at = this.#seek(segment.first)
    if (this.#items[at] !== segment) throw new Error('a segment was removed twice')
    if (at === this.#start) this.#start++
    else this.#items.splice(at, 1)
    if (this.#start > 64 && this.#start * 2 > this.#items.length) {
      this.#items.splice(0, this.#start)
      this.#start = 0
    }
  }
}

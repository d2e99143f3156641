// Owns the list of which tasks' bytes are in which payload: sorted by first task, found by binary search, let go from any end.
// Must not know whether the bytes are inputs or results.
import type { PayloadId } from '../protocol/index.ts'

/** Tasks `first` … whose bytes stand in a row in one chunk. */
export interface Segment {
  first: number
  count: number
  payload: PayloadId
  /** Its first item in the chunk, which it may share with other tasks. */
  from: number
  /** Its part of the chunk's bytes, about where others share it. */
  bytes: number
  /** Tasks of it whose bytes are still needed; at 0 it goes. */
  needed: number
}

/** A part of a payload: items `from` … of its chunk. */
export interface Piece {
  payload: PayloadId
  from: number
  count: number
}

/** How many segments stand together: so many are moved at most to make room for one, or to let one go. */
const partMax = 128

const none: Segment[][] = []

/** Segments in the order of their tasks. In parts: those of steps come in any order, and moving a long array for each would be quadratic. */
export class SegmentList {
  /** None of them is empty. */
  #parts: Segment[][] = none
  #length = 0

  /** With these segments, each of which begins its chunk. */
  constructor(items: readonly Omit<Segment, 'from'>[] = []) {
    for (const { first, count, payload, bytes, needed } of items) this.insert({ first, count, payload, from: 0, bytes, needed })
  }

  /** True if each segment begins its chunk: none stands behind another one. */
  get startWhole(): boolean {
    for (const segment of this) if (segment.from > 0) return false
    return true
  }

  get length(): number {
    return this.#length
  }

  /** Most lists are one part, and are walked often: no generator then. */
  [Symbol.iterator](): Iterator<Segment> {
    return this.#parts.length === 1 ? this.#parts[0]!.values() : this.#parts.values().flatMap(part => part)
  }

  /** The first part that ends behind a task. */
  #partOf(task: number): number {
    let low = 0
    let high = this.#parts.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const part = this.#parts[middle]!
      if (endOf(part[part.length - 1]!) <= task) low = middle + 1
      else high = middle
    }
    return low
  }

  /** The segment that holds a task, or undefined. */
  find(task: number): Segment | undefined {
    const part = this.#parts[this.#partOf(task)]
    const item = part?.[seek(part, task)]
    return item !== undefined && item.first <= task ? item : undefined
  }

  /** The segments that hold any of `first` … `first + count - 1`, in order. */
  overlapping(first: number, count: number): Segment[] {
    const found: Segment[] = []
    const { length } = this.#parts
    for (let at = this.#partOf(first), i = at < length ? seek(this.#parts[at]!, first) : 0; at < length; at++, i = 0) {
      const part = this.#parts[at]!
      for (; i < part.length; i++) {
        const item = part[i]!
        if (item.first >= first + count) return found
        found.push(item)
      }
    }
    return found
  }

  /** Where the bytes of tasks `first` … `first + count - 1` are, as far as there are any. */
  pieces(first: number, count: number): Piece[] {
    return this.overlapping(first, count).map(segment => partOf(segment, first, count))
  }

  insert(segment: Segment): void {
    this.#length++
    const at = this.#partOf(segment.first)
    const part = this.#parts[at] ?? this.#parts[at - 1]
    if (!part) this.#parts = [[segment]]
    else if (at === this.#parts.length) {
      if (part.length < partMax) part.push(segment)
      else this.#parts.push([segment])
    } else {
      part.splice(seek(part, segment.first), 0, segment)
      if (part.length > partMax) this.#parts.splice(at + 1, 0, part.splice(partMax >> 1))
    }
  }

  remove(segment: Segment): void {
    const at = this.#partOf(segment.first)
    const part = this.#parts[at] ?? []
    const position = seek(part, segment.first)
    if (part[position] !== segment) throw new Error('a segment was removed twice')
    this.#length--
    if (part.length === 1) this.#parts.splice(at, 1)
    else part.splice(position, 1)
  }
}

/** Where those tasks of a segment are that are among `first` … `first + count - 1`. */
export function partOf(segment: Segment, first: number, count: number): Piece {
  const from = Math.max(first, segment.first)
  return { payload: segment.payload, from: segment.from + from - segment.first, count: Math.min(first + count, endOf(segment)) - from }
}

function endOf(segment: Segment): number {
  return segment.first + segment.count
}

/** Position of the first segment of a part that ends behind a task. */
function seek(part: readonly Segment[], task: number): number {
  let low = 0
  let high = part.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (endOf(part[middle]!) <= task) low = middle + 1
    else high = middle
  }
  return low
}

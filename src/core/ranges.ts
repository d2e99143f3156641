// Owns sets of task numbers as sorted, disjoint ranges: a million tasks in a row are one entry.
// Must not know what the tasks are.
import type { Range } from '../protocol/index.ts'

const none: Range[] = []

/** A set of whole numbers, kept as ranges. */
export class RangeSet {
  /** Sorted by `first`, disjoint and not touching. Most sets stay empty: they share one list until something is added. */
  #ranges: Range[] = none

  constructor(ranges: readonly Range[] = none) {
    if (ranges.length > 0) this.#ranges = ranges.map(range => ({ ...range }))
  }

  get ranges(): readonly Range[] {
    return this.#ranges
  }

  /** Position of the first range that ends behind `number`. */
  #seek(number: number): number {
    let low = 0
    let high = this.ranges.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const range = this.ranges[middle]!
      if (range.first + range.count <= number) low = middle + 1
      else high = middle
    }
    return low
  }

  has(number: number): boolean {
    const range = this.ranges[this.#seek(number)]
    return range !== undefined && range.first <= number
  }

  /** The parts of `first` … `first + count - 1` that are in the set. */
  within(first: number, count: number): Range[] {
    const parts: Range[] = []
    const end = first + count
    for (let i = this.#seek(first); i < this.ranges.length; i++) {
      const range = this.ranges[i]!
      if (range.first >= end) break
      const from = Math.max(range.first, first)
      parts.push({ first: from, count: Math.min(range.first + range.count, end) - from })
    }
    return parts
  }

  /** The parts of `first` … `first + count - 1` that are not in the set. */
  outside(first: number, count: number): Range[] {
    const parts: Range[] = []
    let from = first
    for (const inside of this.within(first, count)) {
      if (inside.first > from) parts.push({ first: from, count: inside.first - from })
      from = inside.first + inside.count
    }
    if (from < first + count) parts.push({ first: from, count: first + count - from })
    return parts
  }

  add(first: number, count: number): void {
    if (count <= 0) return
    let from = first
    let end = first + count
    // Ranges that touch the new one are merged with it: seek from one before it.
    const start = this.#seek(first > 0 ? first - 1 : 0)
    let stop = start
    while (stop < this.ranges.length && this.ranges[stop]!.first <= end) {
      const range = this.ranges[stop]!
      from = Math.min(from, range.first)
      end = Math.max(end, range.first + range.count)
      stop++
    }
    if (this.#ranges === none) this.#ranges = []
    this.#ranges.splice(start, stop - start, { first: from, count: end - from })
  }

  remove(first: number, count: number): void {
    const end = first + count
    for (let i = this.#seek(first); i < this.ranges.length; ) {
      const range = this.ranges[i]!
      if (range.first >= end) return
      const rangeEnd = range.first + range.count
      const left = { first: range.first, count: Math.max(0, first - range.first) }
      const right = { first: end, count: Math.max(0, rangeEnd - end) }
      const rest = [left, right].filter(part => part.count > 0)
      this.#ranges.splice(i, 1, ...rest)
      i += rest.length
    }
  }

  clear(): void {
    this.#ranges = none
  }
}

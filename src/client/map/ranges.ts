// Owns a growing set of task numbers as ranges in order. Must not know what the numbers mean.
import type { Range } from '../../protocol/index.ts'

/** A set of numbers, kept as ranges: cheap where most numbers come in a row. */
export class RangeSet {
  /** Sorted, disjoint, with gaps between them: starts and ends (exclusive) in turn. */
  readonly #edges: number[] = []

  /** Position of the first edge above `value`. */
  #above(value: number): number {
    let low = 0
    let high = this.#edges.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#edges[middle]! > value) high = middle
      else low = middle + 1
    }
    return low
  }

  /** True if the set holds the number. */
  has(value: number): boolean {
    return this.#above(value) % 2 === 1
  }

  /** Adds a range, and says which parts of it were not there before. */
  add(first: number, count: number): Range[] {
    if (count <= 0) return []
    const end = first + count
    const edges = this.#edges
    // The usual case: it goes on where the last range ends, or behind it.
    const last = edges.length === 0 ? -1 : edges[edges.length - 1]!
    if (first >= last) {
      if (first === last) edges[edges.length - 1] = end
      else edges.push(first, end)
      return [{ first, count }]
    }
    const fresh: Range[] = []
    let low = this.#above(first)
    let position = first
    if (low % 2 === 1) position = edges[low]!
    let high = low
    for (let next = low % 2 === 1 ? low + 1 : low; position < end; next += 2) {
      const gapEnd = Math.min(end, edges[next] ?? end)
      if (gapEnd > position) fresh.push({ first: position, count: gapEnd - position })
      position = Math.max(position, edges[next + 1] ?? end)
      if ((edges[next] ?? Number.POSITIVE_INFINITY) >= end) break
    }
    high = this.#above(end)
    // An edge that equals the new one melts into it.
    const startInside = low % 2 === 1
    const endInside = high % 2 === 1
    const touchesBefore = !startInside && low > 0 && edges[low - 1] === first
    if (touchesBefore) low--
    const replacement: number[] = []
    if (!startInside && !touchesBefore) replacement.push(first)
    if (!endInside) replacement.push(end)
    edges.splice(low, high - low, ...replacement)
    return fresh
  }

  /** All ranges, in order. */
  ranges(): Range[] {
    const ranges: Range[] = []
    for (let i = 0; i < this.#edges.length; i += 2) ranges.push({ first: this.#edges[i]!, count: this.#edges[i + 1]! - this.#edges[i]! })
    return ranges
  }

  clear(): void {
    this.#edges.length = 0
  }
}

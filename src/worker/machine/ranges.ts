// Owns sorted lists of disjoint number ranges, from (included) to (excluded).
// Must not know what the numbers count.

export interface NumberRange {
  from: number
  to: number
}

/** Adds a range to the list, joining those that touch it. */
export function addRange(list: NumberRange[], from: number, to: number): void {
  if (from >= to) return
  let at = 0
  while (at < list.length && list[at]!.to < from) at++
  let end = at
  let joined = { from, to }
  while (end < list.length && list[end]!.from <= to) {
    joined = { from: Math.min(joined.from, list[end]!.from), to: Math.max(joined.to, list[end]!.to) }
    end++
  }
  list.splice(at, end - at, joined)
}

/** The end of the range that holds the number, or undefined if none does. */
export function rangeEnd(list: readonly NumberRange[], number: number): number | undefined {
  return list.find(range => range.from <= number && number < range.to)?.to
}

/** Where the first range behind the number starts, or Infinity. */
export function nextRangeStart(list: readonly NumberRange[], number: number): number {
  return list.find(range => range.from > number)?.from ?? Number.POSITIVE_INFINITY
}

/** Forgets all ranges (and parts) before the number. */
export function dropBefore(list: NumberRange[], number: number): void {
  while (list.length > 0 && list[0]!.to <= number) list.shift()
  if (list.length > 0 && list[0]!.from < number) list[0] = { from: number, to: list[0]!.to }
}

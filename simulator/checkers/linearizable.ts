// Owns the search for an order in which calls could have taken effect one by one (Wing and Gong), with Lowe's memo.
// Must not know what the calls mean: a model says so.

/** A call, with when it began and ended; one that never ended may have taken effect at any later time, or never. */
export interface Operation<I> {
  input: I
  startedMs: number
  endedMs: number
  /** It may be left out. */
  unsure: boolean
}

/** What calls do to a state; undefined where this call cannot have happened there. States are texts, so that they compare. */
export type Model<I> = (state: string, input: I) => string | undefined

/** True if there is an order. `undefined`: it was not found within the limit of steps, which counts as a failure. */
export function linearizable<I>(
  operations: readonly Operation<I>[],
  initial: string,
  model: Model<I>,
  stepsMax = 200_000,
): boolean | undefined {
  const sorted = [...operations].sort((one, other) => one.startedMs - other.startedMs)
  const seen = new Set<string>()
  const taken = sorted.map(() => false)
  let steps = 0
  const search = (state: string, left: number): boolean | undefined => {
    if (left === 0) return true
    if (++steps > stepsMax) return undefined
    const memo = `${taken.map(Number).join('')} ${state}`
    if (seen.has(memo)) return false
    seen.add(memo)
    let firstEndMs = Number.POSITIVE_INFINITY
    for (const [at, one] of sorted.entries()) if (!taken[at]) firstEndMs = Math.min(firstEndMs, one.endedMs)
    for (const [at, one] of sorted.entries()) {
      if (one.startedMs > firstEndMs) break
      if (taken[at]) continue
      const next = model(state, one.input)
      if (next === undefined) continue
      taken[at] = true
      const found = search(next, left - Number(!one.unsure))
      taken[at] = false
      if (found !== false) return found
    }
    return false
  }
  return search(initial, sorted.filter(one => !one.unsure).length)
}

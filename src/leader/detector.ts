// Owns the judgement that a silent worker is dead: a bound that adapts to how regular its signs of life were.
// Must not act on it.
//
// As in φ-accrual detection (Hayashibara et al. 2004) the bound follows mean and deviation of the intervals; it is clamped by named
// limits, because two small machines must act within seconds.

export const silenceBoundMinMs = 1200
/** With the pace at which it is looked at (`pulseMs`) a silent worker is lost within 3 s. */
export const silenceBoundMaxMs = 2500
const intervalsKept = 32
/** How many deviations above the mean still count as alive: about 1 false alarm in 10^9 for a normal distribution. */
const deviations = 6

export class SilenceDetector {
  readonly #intervals: number[] = []
  #seenMs: number
  readonly #boundMinMs: number

  /** `boundMinMs`: silence up to this is never death. */
  constructor(nowMs: number, boundMinMs = silenceBoundMinMs) {
    this.#boundMinMs = boundMinMs
    this.#seenMs = nowMs
  }

  /** A sign of life. */
  seen(nowMs: number): void {
    this.#intervals.push(nowMs - this.#seenMs)
    if (this.#intervals.length > intervalsKept) this.#intervals.shift()
    this.#seenMs = nowMs
  }

  /** The judge itself was asleep: nobody is judged by that time. */
  forgive(nowMs: number): void {
    this.#seenMs = nowMs
  }

  /** Silence longer than this is death. */
  get boundMs(): number {
    const count = this.#intervals.length
    if (count < 4) return silenceBoundMaxMs
    const mean = this.#intervals.reduce((sum, one) => sum + one, 0) / count
    const variance = this.#intervals.reduce((sum, one) => sum + (one - mean) ** 2, 0) / count
    return Math.min(silenceBoundMaxMs, Math.max(this.#boundMinMs, mean + deviations * Math.sqrt(variance) + mean))
  }

  /** True if the silence up to now is longer than the bound. */
  dead(nowMs: number): boolean {
    return nowMs - this.#seenMs > this.boundMs
  }
}

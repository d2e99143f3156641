// Owns when a node process that died is started again, and when it is left down.
// Must not start anything or read a clock: times are given.

const firstDelayMs = 100
const delayMsMax = 5_000
/** A node that was ready this long starts with the first delay again. */
const healthyMs = 30_000
/** A node that was ready this long and died was not dying of itself: its death does not count towards giving up. */
const settledMs = 2_000
const deathsWindowMs = 60_000
const deathsMax = 5

/** What to do after a death. */
export type Verdict = { restartInMs: number } | { leaveDown: true; deaths: number; withinMs: number }

/** Remembers the deaths of one node process. */
export class RestartPolicy {
  #delayMs = firstDelayMs
  #deathsMs: number[] = []

  /** It died at `nowMs`, having been ready since `readyAtMs`, or never. `outside`: of something that may pass, such as a full disk: it is never given up. */
  died(nowMs: number, readyAtMs: number | undefined, outside = false): Verdict {
    const readyForMs = readyAtMs === undefined ? 0 : nowMs - readyAtMs
    if (readyForMs >= healthyMs) this.#delayMs = firstDelayMs
    this.#deathsMs = this.#deathsMs.filter(at => nowMs - at < deathsWindowMs)
    if (readyForMs < settledMs && !outside) this.#deathsMs.push(nowMs)
    if (this.#deathsMs.length >= deathsMax && !outside) return { leaveDown: true, deaths: this.#deathsMs.length, withinMs: deathsWindowMs }
    const restartInMs = this.#delayMs
    this.#delayMs = Math.min(delayMsMax, this.#delayMs * 2)
    return { restartInMs }
  }
}

// Owns when a node process that died is started again, and when it is left down.
// Must not start anything or read a clock: times are given.

const firstDelayMs = 100
const delayMsMax = 5_000
/** A node that was ready this long starts with the first delay again. */
const healthyMs = 30_000
/** A node that was ready this long and was killed comes back with the first delay. */
const settledMs = 2_000
const deathsWindowMs = 60_000
const deathsMax = 5

/** What to do after a death. */
export type Verdict = { restartInMs: number } | { leaveDown: true; deaths: number; withinMs: number }

/** Remembers the deaths of one node process. */
export class RestartPolicy {
  #delayMs = firstDelayMs
  #deathsMs: number[] = []

  /**
   * It died at `nowMs`, having been ready since `readyAtMs`, or never. `outside`: of something that may pass, such as a full disk; `killed`: by
   * a SIGKILL, once it was ready. Of neither it is given up: it was sound. Who is killed again and again (a drill) comes back at once each time.
   */
  died(nowMs: number, readyAtMs: number | undefined, outside = false, killed = false): Verdict {
    const readyForMs = readyAtMs === undefined ? 0 : nowMs - readyAtMs
    const sound = outside || (killed && readyAtMs !== undefined)
    if (readyForMs >= healthyMs || (killed && readyForMs >= settledMs)) this.#delayMs = firstDelayMs
    this.#deathsMs = this.#deathsMs.filter(at => nowMs - at < deathsWindowMs)
    if (!sound) this.#deathsMs.push(nowMs)
    if (this.#deathsMs.length >= deathsMax && !sound) return { leaveDown: true, deaths: this.#deathsMs.length, withinMs: deathsWindowMs }
    const restartInMs = this.#delayMs
    this.#delayMs = Math.min(delayMsMax, this.#delayMs * 2)
    return { restartInMs }
  }
}

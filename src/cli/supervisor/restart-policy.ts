// Owns when a node process that died is started again, and when it is left down.
// Must not start anything or read a clock: times are given.

const firstDelayMs = 100
const delayMsMax = 5_000
/** A node that was ready this long starts with the first delay again. */
const healthyMs = 30_000
/** A node that was ready this long had settled: killed, it comes back with the first delay; deposed, it was sound. */
const settledMs = 2_000
const deathsWindowMs = 60_000
const deathsMax = 5

/** What to do after a death. */
export type Verdict = { restartInMs: number } | { leaveDown: true; deaths: number; withinMs: number }

/**
 * Why it died: of itself; of something that may pass, such as a full disk; of a SIGKILL; or it gave up leading because another one leads
 * or because it had stood still.
 */
export type Cause = 'own' | 'outside' | 'killed' | 'deposed'

/** Remembers the deaths of one node process. */
export class RestartPolicy {
  #delayMs = firstDelayMs
  #deathsMs: number[] = []

  /**
   * It died at `nowMs`, having been ready since `readyAtMs`, or never. A sound node is never left down: one that died of something outside, that
   * was killed once it was ready, or that was deposed some time after. Who is killed again and again (a drill) comes back at once each time.
   */
  died(nowMs: number, readyAtMs: number | undefined, cause: Cause = 'own'): Verdict {
    const readyForMs = readyAtMs === undefined ? 0 : nowMs - readyAtMs
    const settled = readyForMs >= settledMs
    const sound = cause === 'outside' || (cause === 'killed' && readyAtMs !== undefined) || (cause === 'deposed' && settled)
    if (readyForMs >= healthyMs || (cause === 'killed' && settled)) this.#delayMs = firstDelayMs
    this.#deathsMs = this.#deathsMs.filter(at => nowMs - at < deathsWindowMs)
    if (!sound) this.#deathsMs.push(nowMs)
    if (this.#deathsMs.length >= deathsMax && !sound) return { leaveDown: true, deaths: this.#deathsMs.length, withinMs: deathsWindowMs }
    const restartInMs = this.#delayMs
    this.#delayMs = Math.min(delayMsMax, this.#delayMs * 2)
    return { restartInMs }
  }
}

// Owns whether the loop stands still for an append that is under way: a short wait costs less than to fall asleep and be woken by a message.
// Must not wait, and must not know a journal.

/** The longest that the loop stands still. */
export const standStillMsMax = 0.5
/** Where appends usually take longer than this, it does not stand still at all. */
const worthItMsMax = 0.4
/** How quickly it learns that appends are slow, and that they are quick again. */
const slowerShare = 1 / 2
const quickerShare = 1 / 8

export class Patience {
  /** How long an append usually takes. At first it is taken for a slow one. */
  #usualMs = standStillMsMax

  /** An append took so long, from when it was handed over to when the loop knew. */
  took(ms: number): void {
    this.#usualMs += (ms - this.#usualMs) * (ms > this.#usualMs ? slowerShare : quickerShare)
  }

  get worthIt(): boolean {
    return this.#usualMs <= worthItMsMax
  }
}

// Owns the one live line on a terminal that tells how far something is.
// Must not write anything where stderr is no terminal.
import { fit, harmless } from './text.ts'

const everyMs = 100
const columnsDefault = 80

/** A line that is rewritten in place. */
export class Progress {
  /** False where nobody would see it. */
  readonly live = process.stderr.isTTY === true
  #shownAtMs = Number.NEGATIVE_INFINITY
  #visible = false

  /** Shows the text, at most ten times a second. */
  show(text: string): void {
    const nowMs = performance.now()
    if (!this.live || nowMs - this.#shownAtMs < everyMs) return
    this.#shownAtMs = nowMs
    this.#visible = true
    process.stderr.write(`\r\x1b[2K${fit(harmless(text), (process.stderr.columns || columnsDefault) - 1)}`)
  }

  /** Removes the line. */
  clear(): void {
    if (this.#visible) process.stderr.write('\r\x1b[2K')
    this.#visible = false
  }
}

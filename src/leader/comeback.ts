// Owns the moment in which a new leader hands nothing out: until the workers that the journal knows are back, or the moment is over.
// Must not decide who is lost.
//
// The last assignments of a leader that died may not have become durable. Their workers run them all the same and say so when they are
// back; handed to others before that, they would run twice.
import type { Clock } from '../platform/index.ts'

/** The longest pause between two dials of a worker (`pauseMsMax` in src/worker/uplink.ts), and half as much for the dial itself. */
const comebackMsMax = 1_500

export class Comeback {
  readonly #expected: Set<string>
  #waiting: (() => void)[] | undefined = []

  constructor(expected: Iterable<string>, clock: Clock) {
    this.#expected = new Set(expected)
    if (this.#expected.size === 0) this.#waiting = undefined
    else clock.timer(comebackMsMax, () => this.#end())
  }

  /** This worker is back; `handOut` is called now, or with the others'. */
  back(worker: string, handOut: () => void): void {
    if (this.#waiting === undefined) return handOut()
    this.#waiting.push(handOut)
    this.#expected.delete(worker)
    if (this.#expected.size === 0) this.#end()
  }

  #end(): void {
    const waiting = this.#waiting ?? []
    this.#waiting = undefined
    for (const handOut of waiting) handOut()
  }
}

// Owns since when a leader that is dialled in vain has shown no sign of life.
// Must not dial: it is told what came of it.
import type { Clock } from '../platform/index.ts'
import { silenceBoundMaxMs } from './detector.ts'

/** Why a candidate that has claimed, or is about to, closes connections until it leads: a sign of life. */
export const notYetLeading = 'it does not lead yet'

/** Where catching up took longer than this, the leader is dialled once more before its place is claimed. */
const slowReadsMs = 500

/** A dial in vain. */
export interface Missed {
  atMs: number
  /** The first one of this leader. */
  first: boolean
  /** The first one is the longest silence ago. */
  long: boolean
}

/** The absence of one leader; a new epoch has a new leader, which may need a moment before it listens. */
export class Absence {
  readonly #clock: Clock
  #of: { epoch: number; sinceMs: number } | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The leader of this epoch was dialled in vain. */
  missed(epoch: number): Missed {
    const atMs = this.#clock.monotonicMs()
    const first = this.#of?.epoch !== epoch
    if (!this.#of || first) this.#of = { epoch, sinceMs: atMs }
    return { atMs, first, long: atMs - this.#of.sinceMs >= silenceBoundMaxMs }
  }

  /** True where a single dial in vain is too long ago to claim on it. */
  outdated({ first, atMs }: Missed): boolean {
    return first && this.#clock.monotonicMs() - atMs > slowReadsMs
  }

  /** It was heard. */
  over(): void {
    this.#of = undefined
  }
}

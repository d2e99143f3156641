// Owns what becomes of writes that are under way when their process dies: done, lost, or there in part.
// Must not lose what was answered.
import type { Append } from '../../src/journal/index.ts'
import type { RandomStream } from '../kernel/random.ts'

/** A write that has not taken effect. */
export interface Waiting {
  append: Append | undefined
  effect: () => Promise<unknown>
  /** What is there when only a part of it was written; without it, nothing: rows are there whole or not at all. */
  tear: (() => Promise<void>) | undefined
}

/** What deaths did to a store. */
export class Losses {
  lost = 0
  late = 0
  torn = 0
  /** Reads of an older snapshot, as the newest does not hold. */
  fallbacks = 0

  /** What was handed to the system may still become durable, the first ones first; the next one may be there in part. */
  settle(waiting: readonly Waiting[], stream: RandomStream): void {
    const reached = waiting.findIndex(() => stream.chance(0.5))
    for (const [at, { append, effect, tear }] of waiting.entries()) {
      const done = reached < 0 || at < reached
      if (append) this[done ? 'late' : 'lost']++
      if (done && (append || tear)) effect().catch(() => undefined)
      if (at === reached) tear?.().catch(() => undefined)
    }
  }
}

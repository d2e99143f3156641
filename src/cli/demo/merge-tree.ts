// Owns merging many counts into one as a tree of tasks: as soon as enough parts are there, a task makes one of them.
// Must not merge anything in this process, and must not let parts pile up.
import type { Cluster } from '../../client/index.ts'
import type { Counts } from './counts.ts'
import { mergeCounts } from './tasks.ts'

const fanIn = 8
const mergesAtOnceMax = 4

/** Merges counts on a cluster. */
export class MergeTree {
  readonly #cluster: Cluster
  readonly #signal: AbortSignal
  #parts: Counts[] = []
  readonly #running = new Set<Promise<void>>()
  #failure: { error: unknown } | undefined
  /** How many merging tasks there were. */
  merges = 0

  constructor(cluster: Cluster, signal: AbortSignal) {
    this.#cluster = cluster
    this.#signal = signal
  }

  #merge(parts: Counts[]): void {
    this.merges++
    const merging = this.#cluster
      .run(mergeCounts, parts, { signal: this.#signal })
      .then(
        merged => void this.#parts.push(merged),
        error => {
          this.#failure ??= { error }
        },
      )
      .finally(() => this.#running.delete(merging))
    this.#running.add(merging)
  }

  #check(): void {
    if (this.#failure) throw this.#failure.error
  }

  /** One more part; waits while too many merges are under way. */
  async add(part: Counts): Promise<void> {
    this.#check()
    this.#parts.push(part)
    while (this.#parts.length >= fanIn) {
      while (this.#running.size >= mergesAtOnceMax) await Promise.race(this.#running)
      this.#check()
      if (this.#parts.length >= fanIn) this.#merge(this.#parts.splice(0, fanIn))
    }
  }

  /** The one that all became, or undefined if there was none. */
  async finish(): Promise<Counts | undefined> {
    for (;;) {
      this.#check()
      if (this.#running.size === 0 && this.#parts.length <= 1) return this.#parts[0]
      // The last ones are merged when all are there: small trees stay small.
      if (this.#running.size === 0 || this.#parts.length >= fanIn) this.#merge(this.#parts.splice(0, fanIn))
      await Promise.race(this.#running)
    }
  }
}

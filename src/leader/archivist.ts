// Owns when snapshots are taken and old rows let go, so that the journal's size and the time to recover stay bounded.
// Must not run while a turn does: it sees the state only between turns.
import { encodeSnapshot, type State } from '../core/index.ts'
import type { Store } from '../journal/index.ts'
import type { Platform } from '../platform/index.ts'

/** Records behind the last snapshot before the next is taken. */
export const recordsPerSnapshot = 100_000
/** How often that is looked at. */
export const lookEveryMs = 1000

export class Archivist {
  readonly #store: Store
  readonly #state: State
  readonly #platform: Platform
  #snapshotIndex: number
  #busy = false

  constructor(store: Store, state: State, platform: Platform) {
    this.#store = store
    this.#state = state
    this.#platform = platform
    this.#snapshotIndex = state.index
  }

  /** Takes a snapshot if enough was written since the last one. */
  async look(recordsMin = recordsPerSnapshot): Promise<void> {
    if (this.#busy || this.#state.index - this.#snapshotIndex < recordsMin) return
    this.#busy = true
    try {
      await this.#take()
    } catch (error) {
      // The journal still has every record: the next look tries again.
      this.#platform.log('warn', 'snapshot-failed', { error: String(error) })
    } finally {
      this.#busy = false
    }
  }

  async #take(): Promise<void> {
    const { index, epoch } = this.#state
    const bytes = encodeSnapshot(this.#state)
    const hash = await this.#hashAt(index)
    if (!hash) return
    if ((await this.#store.snapshots.save({ index, hash, epoch, state: bytes })) === 'fenced') return
    const before = this.#snapshotIndex
    this.#snapshotIndex = index
    await this.#store.journal.compact(epoch, index + 1)
    this.#platform.log('debug', 'snapshot-taken', { index, bytes: bytes.length, records: index - before })
  }

  /** The hash of the row that ends at `index`, once it is durable. */
  async #hashAt(index: number): Promise<Uint8Array | undefined> {
    for (let tries = 0; tries < 50; tries++) {
      const [row] = await this.#store.journal.read(index, 1)
      if (row) return row.firstIndex + row.count - 1 === index ? row.hash : undefined
      await new Promise<void>(resolve => this.#platform.clock.timer(10, resolve))
    }
    return undefined
  }
}

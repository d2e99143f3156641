// Owns S6 while a run goes on: a mirror applies each durable row; what leaders hold must be the same bytes, as must a snapshot read back.
// Must not be given anything but durable rows and the leaders' states.
import { apply, createState, decodeSnapshot, encodeSnapshot, type State } from '../../src/core/index.ts'
import { decodeRecords } from '../../src/protocol/index.ts'
import type { History } from '../history.ts'
import type { DurableRow } from '../world/store.ts'

/** Rows between two comparisons, at least: whole states are encoded for each. */
const rowsPerCompare = 8
/** The larger the state, the rarer: one more row between two comparisons for so many bytes of it. */
const bytesPerRow = 256

export class MirrorChecker {
  readonly #history: History
  readonly #mirror = createState()
  readonly #live = new Map<string, State>()
  /** Rows until the next comparison. */
  #uncompared = rowsPerCompare
  #broken = false

  constructor(history: History) {
    this.#history = history
  }

  /** A leader applied a record. */
  live(node: string, state: State): void {
    this.#live.set(node, state)
  }

  durable(row: DurableRow): void {
    if (this.#broken) return
    try {
      if (row.firstIndex !== this.#mirror.index + 1) throw new Error(`row ${row.firstIndex} where ${this.#mirror.index + 1} is next`)
      for (const record of decodeRecords(row.records, row.count)) apply(this.#mirror, record)
      this.#mirror.payloadDrops = []
      this.#mirror.blockDrops = []
    } catch (error) {
      this.#broken = true
      this.#history.violate('S6', `the journal cannot be replayed: ${String(error)}`, row.atMs)
      return
    }
    if (--this.#uncompared <= 0) this.#compare(row.atMs)
  }

  #compare(atMs: number): void {
    const bytes = encodeSnapshot(this.#mirror)
    this.#uncompared = rowsPerCompare + Math.floor(bytes.length / bytesPerRow)
    for (const [node, state] of this.#live) {
      if (state.index !== this.#mirror.index || state.epoch !== this.#mirror.epoch) continue
      this.#history.probe('states compared')
      if (!encodeSnapshot(state).equals(bytes))
        this.#history.violate('S6', `${node} holds another state at ${state.index} than a replay`, atMs)
    }
    if (!encodeSnapshot(decodeSnapshot(bytes)).equals(bytes))
      this.#history.violate('S6', `the snapshot at ${this.#mirror.index} does not read back as it was`, atMs)
  }

  finish(): void {
    if (!this.#broken) this.#compare(this.#history.rows.at(-1)?.atMs ?? 0)
  }
}

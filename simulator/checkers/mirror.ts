// Owns S6 while a run goes on: a mirror applies each durable row; what leaders and standbys hold must be the same bytes, as must a snapshot
// read back. Must not be given anything but durable rows and the states that candidates hold.
import { apply, createState, decodeSnapshot, encodeSnapshot, type State } from '../../src/core/index.ts'
import { decodeRecords, type JournalRecord } from '../../src/protocol/index.ts'
import type { History } from '../history.ts'
import type { DurableRow } from '../world/cluster-store.ts'

/** Rows between two comparisons, at least: whole states are encoded for each. */
const rowsPerCompare = 8
/** The larger the state, the rarer: one more row between two comparisons for so many bytes of it. */
const bytesPerRow = 256

export class MirrorChecker {
  readonly #history: History
  readonly #mirror = createState()
  readonly #live = new Map<string, State>()
  /** Rows until the next comparison, and rows behind which a standby is compared again. */
  #uncompared = rowsPerCompare
  readonly #comparedAt = new Map<string, number>()
  #broken = false

  constructor(history: History) {
    this.#history = history
  }

  /** The replay of all durable rows. */
  get state(): State {
    return this.#mirror
  }

  /** A leader applied a record, or a standby what it read. */
  live(node: string, state: State): void {
    this.#live.set(node, state)
    // What a leader applies is not durable yet, so this is a standby that has read everything. Only a deposed leader may be elsewhere.
    if (state.index !== this.#mirror.index || state.epoch !== this.#mirror.epoch || state.index < (this.#comparedAt.get(node) ?? 0)) return
    this.#standing(node, state, 'standbys compared', this.#history.rows.at(-1)?.atMs ?? 0)
  }

  /** This life of a candidate is over. */
  gone(node: string): void {
    this.#live.delete(node)
  }

  /** How far a living candidate has applied. */
  appliedIndex(node: string): number | undefined {
    return this.#live.get(node)?.index
  }

  #standing(node: string, state: State, probe: string, atMs: number): void {
    if (this.#broken) return
    const bytes = encodeSnapshot(this.#mirror)
    this.#comparedAt.set(node, state.index + rowsPerCompare + Math.floor(bytes.length / bytesPerRow))
    this.#history.probe(probe)
    if (!encodeSnapshot(state).equals(bytes))
      this.#history.violate('S6', `${node}, which stands by, holds another state at ${state.index} than a replay`, atMs)
  }

  /** Whoever claims has applied everything before its claim, and holds what a replay holds. */
  #beforeClaim(row: DurableRow, [first]: readonly JournalRecord[]): void {
    if (first?.kind !== 'LeaderClaimed') return
    const state = this.#live.get(first.leader)
    // It may have died while its claim was on its way.
    if (!state) return
    if (state.index === this.#mirror.index) this.#standing(first.leader, state, 'states compared before a takeover', row.atMs)
    else this.#history.violate('S6', `${first.leader} claims with ${state.index} records applied of ${this.#mirror.index}`, row.atMs)
  }

  durable(row: DurableRow): void {
    if (this.#broken) return
    try {
      if (row.firstIndex !== this.#mirror.index + 1) throw new Error(`row ${row.firstIndex} where ${this.#mirror.index + 1} is next`)
      const records = decodeRecords(row.records, row.count)
      this.#beforeClaim(row, records)
      for (const record of records) apply(this.#mirror, record)
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

// Owns the filling in of payloads that were released before the onlooker could read them, with what the trace says that they held.
// Must not replace bytes that were read, and must not pass over a row that can be held against its hash.
import { hashOf } from '../../simulator/checkers/reader.ts'
import type { DurableRow } from '../../simulator/world/cluster-store.ts'
import { resultOf } from '../../simulator/world/fates.ts'
import { decodeRecords, type JournalRecord, type PayloadId } from '../../src/protocol/index.ts'
import { Ledger } from '../../test/core/ledger.ts'
import { chunkOf } from '../../test/fakes/values.ts'
import type { TraceEvent } from './events.ts'

/** The rows with all payloads that the rules look into. */
export interface FilledRows {
  rows: DurableRow[]
  /** Payloads that were read, and those that were filled in. */
  read: number
  gone: number
  /** Rows whose bytes are not those that their hashes say. */
  broken: string[]
}

/** A fact that brought a payload with it. */
type Naming = Extract<JournalRecord, { payload?: PayloadId | undefined }> & { payload: PayloadId }

/** The key of each task, as who asked for it and who ran it wrote them down. */
function keysOf(events: readonly TraceEvent[]): Map<string, string> {
  const keys = new Map<string, string>()
  for (const event of events) {
    if (event.ev === 't.start') keys.set(event.task.replace(/\/(\d+)$/, '/0/$1'), event.key)
    else if (event.ev === 'expect') for (const [index, key] of event.keys.entries()) keys.set(`${event.job}/0/${index}`, key)
  }
  return keys
}

/** Fills in what is missing, row by row. */
class Filler {
  readonly #keys: Map<string, string>
  readonly #ledger = new Ledger()
  read = 0
  gone = 0

  constructor(keys: Map<string, string>) {
    this.#keys = keys
  }

  /** The payloads that a row names, in its order. */
  payloadsOf(row: DurableRow): Map<PayloadId, Uint8Array> {
    const payloads = new Map<PayloadId, Uint8Array>()
    for (const record of decodeRecords(row.records, row.count)) {
      if ('payload' in record && record.payload !== undefined) payloads.set(record.payload, this.#bytes(row, record as Naming))
      this.#ledger.next(record)
    }
    return payloads
  }

  #bytes({ payloads }: DurableRow, record: Naming): Uint8Array {
    const kept = payloads.get(record.payload)
    if (kept) this.read++
    else this.gone++
    return kept ?? chunkOf(this.#values(record))
  }

  /** A task whose key nobody wrote down never ran. */
  #key(task: string): string {
    return this.#keys.get(task) ?? `never run: ${task}`
  }

  #values(record: Naming): unknown[] {
    if (!('lane' in record && 'count' in record) && record.kind !== 'TasksAdded') return []
    if (record.kind === 'TasksAdded') {
      const { job, stage, first, count } = record
      return Array.from({ length: count }, (_, i) => ({ key: this.#key(`${job}/${stage}/${first + i}`) }))
    }
    const tasks = this.#ledger.lanes.get(record.lane)?.queue.slice(0, record.count) ?? []
    return tasks.map(task => resultOf(this.#key(task.key)))
  }
}

/**
 * Gives each row its payloads. A row of which all were read is held against its hash; the others have only the product's own reader for that.
 * Since what was filled in is not what was hashed, the rows are then chained anew, for checkers that hold rows to their hashes.
 */
export function withPayloads(rows: readonly DurableRow[], events: readonly TraceEvent[]): FilledRows {
  const filler = new Filler(keysOf(events))
  const filled: DurableRow[] = []
  const broken: string[] = []
  for (const [at, row] of rows.entries()) {
    const goneBefore = filler.gone
    let payloads = row.payloads
    try {
      payloads = filler.payloadsOf(row)
    } catch {
      // What breaks a rule is told by the rules' own checker, which reads the same rows.
      payloads = new Map()
    }
    if (filler.gone === goneBefore && !hashOf({ ...row, payloads }).equals(row.hash))
      broken.push(`row ${row.firstIndex} does not have the hash of its content`)
    const before = rows[at - 1]
    if (before && !Buffer.from(row.previousHash).equals(before.hash)) broken.push(`row ${row.firstIndex} breaks the chain`)
    const chained = { ...row, payloads, previousHash: filled[at - 1]?.hash ?? row.previousHash }
    filled.push({ ...chained, hash: hashOf(chained) })
  }
  return { rows: filled, read: filler.read, gone: filler.gone, broken }
}

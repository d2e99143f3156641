// Owns the onlooker: it follows the journal with the product's own reader while a cluster runs, and what leader and workers say on disk.
// Must not write to the state folder.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { DurableRow } from '../../simulator/world/cluster-store.ts'
import { openSqliteReader, type StoreReader, verifyStore } from '../../src/journal/index.ts'
import { decodeRecords, type PayloadId } from '../../src/protocol/index.ts'
import type { Trace } from './events.ts'

const lookEveryMs = 5
/** A store elsewhere is shared with those that are watched. */
const lookElsewhereEveryMs = 50
const rowsAtOnce = 256

/** What a journal holds at the end of a run. */
export interface JournalAtEnd {
  rows: DurableRow[]
  /** What the product's own check of the whole store says. */
  problems: string[]
  /** The newest snapshot's index and state. */
  snapshot: { index: number; state: Uint8Array } | undefined
}

function field(path: string, name: string): number | undefined {
  try {
    const value = (JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>)[name]
    return typeof value === 'number' ? value : undefined
  } catch {
    return undefined
  }
}

/** What is followed. */
export interface Followed {
  /** Opens the journal without ever leading. */
  open(): Promise<Pick<StoreReader, 'journal' | 'snapshots' | 'inspect' | 'close'>>
  /** State folders in which candidates say who leads, and workers which epoch they have seen. */
  homes: readonly string[]
}

type Reader = Awaited<ReturnType<Followed['open']>>

/** The cluster of one state folder. */
export function followedHome(home: string): Followed {
  return { open: () => openSqliteReader(join(home, 'journal')), homes: [home] }
}

/** Follows one cluster. */
export class Watcher {
  readonly #followed: Followed
  readonly #trace: Trace
  /** Payloads as they were while they were there: results that were fetched, and inputs that nobody needs, go. */
  readonly #payloads = new Map<PayloadId, Uint8Array>()
  readonly #epochs = new Map<string, number>()
  #announced = 0
  #reader: Reader | undefined
  #next = 1
  #stopped = false
  #looking: Promise<void> | undefined

  constructor(followed: Followed, trace: Trace) {
    this.#followed = followed
    this.#trace = trace
  }

  async start(): Promise<void> {
    this.#reader = await this.#followed.open()
    this.#looking = this.#look(this.#reader)
  }

  /** The last index that is in the journal now; undefined if it cannot be read just then. */
  async lastIndex(): Promise<number | undefined> {
    try {
      return (await this.#reader?.journal.size())?.lastIndex
    } catch {
      return undefined
    }
  }

  async #look(reader: Reader): Promise<void> {
    while (!this.#stopped) {
      // A read that fails (busy, no descriptors) is made again: what is wrong for good shows at the end.
      await this.#rows(reader).catch(() => undefined)
      for (const home of this.#followed.homes) this.#files(home)
      const everyMs = this.#followed.homes.length === 1 ? lookEveryMs : lookElsewhereEveryMs
      await new Promise<void>(resolve => setTimeout(resolve, everyMs))
    }
  }

  async #rows(reader: Reader): Promise<void> {
    const rows = await reader.journal.read(this.#next, rowsAtOnce)
    for (const row of rows) {
      if (row.firstIndex < this.#next) continue
      await this.#keepPayloads(reader, row)
      this.#next = row.firstIndex + row.count
      const hash = Buffer.from(row.hash).toString('hex')
      this.#trace.write({ ev: 'j.append', epoch: row.epoch, seq: row.firstIndex, count: row.count, hash })
    }
  }

  async #keepPayloads(reader: Reader, row: { records: Uint8Array; count: number }): Promise<void> {
    for (const record of decodeRecords(row.records, row.count)) {
      if (!('payload' in record) || record.payload === undefined) continue
      const bytes = await reader.journal.payload(record.payload)
      if (bytes) this.#payloads.set(record.payload, bytes)
    }
  }

  #files(home: string): void {
    const endpoint = join(home, 'cluster.json')
    const epoch = field(endpoint, 'epoch')
    const before = this.#epochs.get(endpoint) ?? 0
    // A standby on another machine may say later who leads; what nobody may is go back behind what it said itself.
    if (epoch !== undefined && this.#changed(endpoint, epoch) && (epoch > this.#announced || epoch < before)) {
      this.#announced = Math.max(this.#announced, epoch)
      this.#trace.write({ ev: 'lead.seen', epoch, pid: field(endpoint, 'pid') ?? 0 })
    }
    let workers: string[] = []
    try {
      workers = readdirSync(join(home, 'workers'))
    } catch {
      // None has started yet.
    }
    for (const worker of workers) {
      const seen = field(join(home, 'workers', worker, 'epoch.json'), 'epoch')
      if (seen !== undefined && this.#changed(worker, seen)) this.#trace.write({ ev: 'w.epoch', epoch: seen }, undefined, worker)
    }
  }

  #changed(node: string, epoch: number): boolean {
    if (this.#epochs.get(node) === epoch) return false
    this.#epochs.set(node, epoch)
    return true
  }

  /** Ends the watch, and reads the whole journal once more: call it when no process of the cluster is left. */
  async finish(): Promise<JournalAtEnd> {
    this.#stopped = true
    await this.#looking
    await this.#reader?.close()
    const reader = await this.#followed.open()
    try {
      await this.#rows(reader)
      const rows: DurableRow[] = []
      for (let next = 1; ; ) {
        const read = await reader.journal.read(next, rowsAtOnce)
        if (read.length === 0) break
        for (const row of read) {
          next = row.firstIndex + row.count
          // The journal's own clock: a row is there as soon as its last index is.
          rows.push({ ...row, hash: row.hash, atMs: next - 1, payloads: this.#payloads, drops: [] })
        }
      }
      const { problems } = await verifyStore(reader)
      const snapshot = await reader.snapshots.latest()
      return { rows, problems, snapshot: snapshot && { index: snapshot.index, state: snapshot.state } }
    } finally {
      await reader.close()
    }
  }
}

// Owns the journal in memory: a shared disk from which several handles are opened, for tests and the simulator. It keeps all rules of a real one.
// Must not outlive its process: nothing here survives a crash of the process itself.
import { CoxswainError } from '../protocol/errors.ts'
import type { PayloadId } from '../protocol/index.ts'
import type { HistoryRow } from './history.ts'
import type { LeadershipView, Snapshot } from './journal.ts'
import { MemoryStore } from './memory-store.ts'
import type { KeptRow } from './row.ts'
import { rowBytesKeptDefault } from './rules.ts'

/** A snapshot as a memory disk keeps it. */
export interface KeptSnapshot {
  snapshot: Snapshot
  checksum: Uint8Array
  /** Index of the older snapshot that can stand in for this one, 0 if there is none. */
  fallback: number
}

interface Operation {
  owner: MemoryStore
  run(): void
}

/** What a memory disk can be told. */
export interface MemoryOptions {
  /** Rows up to this size together are kept by `compact` although nobody needs them, so that stories can be told. */
  rowBytesKept?: number
}

/** What several handles share, as processes share a disk. */
export class MemoryDisk {
  rows: KeptRow[] = []
  readonly payloads = new Map<PayloadId, { bytes: Uint8Array; checksum: number }>()
  /** By number. */
  readonly history = new Map<number, { row: HistoryRow; checksum: number }>()
  snapshots: KeptSnapshot[] = []
  view: LeadershipView = { epoch: 0, leader: '', pid: 0, processStart: '', address: '' }
  lastIndex = 0
  /** While true, every write fails as on a broken disk. */
  failing = false
  readonly rowBytesKept: number
  readonly #stores = new Set<MemoryStore>()
  #waiting: Operation[] = []
  #held = false
  #scheduled = false

  constructor(options: MemoryOptions = {}) {
    this.rowBytesKept = options.rowBytesKept ?? rowBytesKeptDefault
  }

  /** Another handle on this disk, as another process would open it. */
  open(): MemoryStore {
    const store = new MemoryStore(this)
    this.#stores.add(store)
    return store
  }

  /** From now on writes wait, as behind a slow fsync: none takes effect or is answered until `release`. Reads go on. */
  hold(): void {
    this.#held = true
  }

  /** Lets waiting writes go on, in their order. */
  release(): void {
    this.#held = false
    this.#schedule()
  }

  /** How many writes wait. */
  get waiting(): number {
    return this.#waiting.length
  }

  /** Changes a byte of the row that holds this record, so that its hash no longer holds. */
  corruptRow(index: number): void {
    const row = this.rows.find(one => index >= one.firstIndex && index < one.firstIndex + one.count)
    if (row === undefined) throw new CoxswainError('NOT_FOUND', `No row holds record ${index}.`)
    row.records = flipped(row.records)
  }

  /** Changes a byte of a payload. */
  corruptPayload(payload: PayloadId): void {
    const kept = this.payloads.get(payload)
    if (kept === undefined) throw new CoxswainError('NOT_FOUND', `No payload ${payload} is kept.`)
    kept.bytes = flipped(kept.bytes)
  }

  /** Changes a byte of what the history keeps of a job. */
  corruptHistory(job: string): void {
    const kept = [...this.history.values()].find(({ row }) => row.job === job)
    if (kept === undefined) throw new CoxswainError('NOT_FOUND', `The history has no job ${job}.`, { id: job })
    kept.row = { ...kept.row, body: flipped(kept.row.body) }
  }

  /** Changes a byte of the snapshot at this index. */
  corruptSnapshot(index: number): void {
    const kept = this.snapshots.find(one => one.snapshot.index === index)
    if (kept === undefined) throw new CoxswainError('NOT_FOUND', `No snapshot at ${index} is kept.`)
    kept.snapshot = { ...kept.snapshot, state: flipped(kept.snapshot.state) }
  }

  /** Queues a write of one handle; all writes of all handles take effect one after the other. */
  submit<T>(owner: MemoryStore, operate: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({
        owner,
        run() {
          try {
            resolve(operate())
          } catch (error) {
            reject(error)
          }
        },
      })
      this.#schedule()
    })
  }

  /** A handle died: what it had under way never happens and is never answered. */
  forget(owner: MemoryStore): void {
    this.#stores.delete(owner)
    this.#waiting = this.#waiting.filter(operation => operation.owner !== owner)
  }

  /** Tells all other handles that a newer leader exists. */
  deposeOthers(leader: MemoryStore): void {
    for (const store of this.#stores) if (store !== leader) store.deposed()
  }

  #schedule(): void {
    if (this.#scheduled || this.#held) return
    this.#scheduled = true
    queueMicrotask(() => {
      this.#scheduled = false
      while (!this.#held) {
        const operation = this.#waiting.shift()
        if (operation === undefined) return
        operation.run()
      }
    })
  }
}

/** Makes a new, empty disk in memory. */
export function createMemoryStore(options: MemoryOptions = {}): MemoryDisk {
  return new MemoryDisk(options)
}

function flipped(bytes: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(bytes)
  if (copy.length > 0) copy[copy.length >> 1]! ^= 0x01
  return copy
}

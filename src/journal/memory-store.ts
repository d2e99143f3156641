// Owns one handle on a disk in memory: the three interfaces, with all rules of a real backend.
// Must not share anything with other handles but through the disk.
import { CoxswainError, OverloadedError } from '../protocol/errors.ts'
import type { PayloadId } from '../protocol/index.ts'
import type { History } from './history.ts'
import type { Append, Claim, Journal, JournalRow, JournalSize, Leadership, Snapshot, Snapshots, Store } from './journal.ts'
import type { KeptSnapshot, MemoryDisk } from './memory.ts'
import { changeHistory, historyProblems, MemoryHistory, repeatedRow } from './memory-history.ts'
import {
  corruptPayload,
  corruptRow,
  encodeManifest,
  hashBytes,
  noHash,
  noSnapshotHolds,
  payloadChecksum,
  rowBytes,
  rowEnd,
  rowHash,
  rowProblem,
  sameBytes,
  snapshotHash,
} from './row.ts'
import { appendsInFlightMax, compactableTo, copyOfAppend, type Inspectable, type Inspection, snapshotIsOf } from './rules.ts'

function snapshotChecksum(snapshot: Snapshot): Uint8Array {
  return snapshotHash(snapshot.index, snapshot.epoch, snapshot.hash).update(snapshot.state).digest()
}

function holds(kept: KeptSnapshot): boolean {
  return sameBytes(kept.checksum, snapshotChecksum(kept.snapshot))
}

/** One handle on a memory disk. */
export class MemoryStore implements Store, Inspectable {
  readonly journal: Journal
  readonly history: History
  readonly snapshots: Snapshots
  readonly leadership: Leadership
  readonly inspect: Inspection
  readonly #disk: MemoryDisk
  readonly #lostCallbacks: (() => void)[] = []
  #epoch = 0
  #refused = false
  #lost = false
  #resigned = false
  #inFlight = 0
  #newestAppend: Promise<unknown> = Promise.resolve()
  #failure: CoxswainError | undefined
  #dead = false

  constructor(disk: MemoryDisk) {
    this.#disk = disk
    this.journal = {
      append: append => {
        const outcome = this.#append(append)
        this.#newestAppend = outcome
        return outcome
      },
      read: async (fromIndex, rowsMax) => this.#read(fromIndex, rowsMax),
      payload: async payload => this.#payload(payload),
      compact: (epoch, index) => this.#write(() => this.#compact(epoch, index)),
      size: async () => this.#size(),
    }
    this.history = new MemoryHistory(disk)
    this.snapshots = {
      save: snapshot => {
        const copy = { ...snapshot, hash: Uint8Array.from(snapshot.hash), state: Uint8Array.from(snapshot.state) }
        return this.#write(() => this.#save(copy))
      },
      latest: async () => this.#latest(),
    }
    this.leadership = {
      view: async () => ({ ...disk.view }),
      claim: claim => {
        const copy = { ...claim, opening: copyOfAppend(claim.opening) }
        return this.#write(() => this.#claim(copy))
      },
      resign: () => this.#resign(),
      onLost: callback => {
        if (this.#lost) queueMicrotask(callback)
        else this.#lostCallbacks.push(callback)
      },
    }
    this.inspect = {
      payloadIds: async (after, idsMax) =>
        [...disk.payloads.keys()]
          .filter(id => id > after)
          .sort((a, b) => a - b)
          .slice(0, idsMax),
      snapshots: async () => disk.snapshots.map(kept => ({ index: kept.snapshot.index, holds: holds(kept) })),
      problems: async () => historyProblems(disk),
    }
  }

  async close(): Promise<void> {
    if (!this.#dead) await this.#disk.submit(this, () => this.kill())
  }

  /** Ends this handle as kill -9 ends a process: what it had under way never happens and is never answered. */
  kill(): void {
    this.#dead = true
    this.#disk.forget(this)
  }

  /** Another handle became leader. */
  deposed(): void {
    if (this.#epoch === 0 || this.#lost) return
    this.#lost = true
    this.#refused = true
    if (this.#resigned) return
    for (const callback of this.#lostCallbacks.splice(0)) queueMicrotask(callback)
  }

  #write<T>(operate: () => T): Promise<T> {
    if (this.#dead) return Promise.reject(new CoxswainError('JOURNAL_WRITE_FAILED', 'The store is closed.'))
    return this.#disk.submit(this, () => {
      if (this.#disk.failing) this.#failure ??= new CoxswainError('JOURNAL_WRITE_FAILED', 'The disk in memory was told to fail.')
      if (this.#failure !== undefined) throw this.#failure
      return operate()
    })
  }

  async #append(append: Append): Promise<'durable' | 'fenced'> {
    if (this.#inFlight >= appendsInFlightMax) throw new OverloadedError(`${appendsInFlightMax} appends are under way.`)
    this.#inFlight++
    try {
      const copy = copyOfAppend(append)
      return await this.#write(() => this.#applyAppend(copy))
    } finally {
      this.#inFlight--
    }
  }

  #applyAppend(append: Append): 'durable' | 'fenced' {
    const disk = this.#disk
    const current = !this.#refused && append.epoch === this.#epoch && append.epoch === disk.view.epoch
    if (!current || append.epoch === 0 || append.firstIndex !== disk.lastIndex + 1) {
      this.#refused = true
      this.deposed()
      return 'fenced'
    }
    this.#insert(append)
    return 'durable'
  }

  #insert({ epoch, firstIndex, count, records, payloads, drops, history }: Append): void {
    const disk = this.#disk
    const kept = payloads.map(({ payload, bytes }) => ({ payload, bytes, checksum: payloadChecksum(bytes) }))
    const repeated = kept.find(({ payload }) => disk.payloads.has(payload))
    const known = history && repeatedRow(disk, history)
    if (repeated !== undefined || known !== undefined) {
      const what = repeated ? `Payload ${repeated.payload}` : `Row ${known} of the history`
      this.#failure = new CoxswainError('JOURNAL_WRITE_FAILED', `${what} is written a second time.`)
      throw this.#failure
    }
    const manifest = encodeManifest(kept.map(({ payload, bytes, checksum }) => ({ payload, bytes: bytes.length, checksum })))
    const row = { firstIndex, count, epoch, previousHash: disk.rows.at(-1)?.hash ?? noHash, records, manifest }
    disk.rows.push({ ...row, hash: rowHash(row) })
    disk.lastIndex = firstIndex + count - 1
    for (const { payload, bytes, checksum } of kept) disk.payloads.set(payload, { bytes, checksum })
    for (const payload of drops) disk.payloads.delete(payload)
    if (history) changeHistory(disk, history)
  }

  #claim({ seenEpoch, leader, pid, processStart, address, opening }: Claim): 'claimed' | 'lost' {
    const disk = this.#disk
    if (opening.epoch !== seenEpoch + 1) {
      throw new CoxswainError('INVALID_ARGUMENT', `The opening of epoch ${seenEpoch + 1} says epoch ${opening.epoch}.`)
    }
    const end = disk.rows.at(-1)
    const problem = end === undefined ? undefined : rowProblem(end, undefined)
    if (end !== undefined && problem !== undefined) throw corruptRow(end.firstIndex, problem)
    if (disk.view.epoch !== seenEpoch || opening.firstIndex !== disk.lastIndex + 1) return 'lost'
    this.#insert(opening)
    disk.view = { epoch: opening.epoch, leader, pid, processStart, address }
    this.#epoch = opening.epoch
    this.#refused = false
    this.#lost = false
    this.#resigned = false
    disk.deposeOthers(this)
    return 'claimed'
  }

  async #resign(): Promise<void> {
    this.#resigned = true
    // Whoever waits for an append hears of it before the resignation is done.
    const before = this.#newestAppend.catch(() => undefined)
    await this.#write(() => {
      this.#refused = true
      this.#epoch = 0
    })
    await before
  }

  #read(fromIndex: number, rowsMax: number): JournalRow[] {
    const { rows, lastIndex } = this.#disk
    let at = rows.findIndex(row => row.firstIndex + row.count > fromIndex)
    if (at < 0) at = rows.length
    const answer: JournalRow[] = []
    for (; at < rows.length && answer.length < rowsMax; at++) {
      const row = rows[at]!
      const before = at > 0 ? rows[at - 1] : undefined
      const problem = rowProblem(row, before === undefined ? undefined : rowEnd(before))
      if (problem !== undefined) throw corruptRow(row.firstIndex, problem)
      const { manifest: _, ...face } = row
      answer.push({ ...face, records: Uint8Array.from(row.records) })
    }
    if (at === rows.length && rows.length > 0 && rowEnd(rows.at(-1)!).lastIndex !== lastIndex) throw corruptRow(lastIndex, 'is missing')
    return answer
  }

  #payload(payload: PayloadId): Uint8Array | undefined {
    const kept = this.#disk.payloads.get(payload)
    if (kept === undefined) return undefined
    if (payloadChecksum(kept.bytes) !== kept.checksum) throw corruptPayload(payload, 'does not match its checksum')
    return Uint8Array.from(kept.bytes)
  }

  #compact(epoch: number, index: number): void {
    const disk = this.#disk
    if (this.#refused || epoch !== this.#epoch || epoch !== disk.view.epoch || epoch === 0) {
      throw new CoxswainError('FENCED', `Epoch ${epoch} does not lead: nothing was compacted.`)
    }
    const end = compactableTo(index, disk.snapshots.at(-1)?.fallback ?? 0)
    let kept = disk.rows.reduce((sum, row) => sum + rowBytes(row.records.length, row.manifest.length), 0)
    let gone = 0
    for (; gone < disk.rows.length - 1; gone++) {
      const row = disk.rows[gone]!
      kept -= rowBytes(row.records.length, row.manifest.length)
      if (rowEnd(row).lastIndex >= end || kept < disk.rowBytesKept) break
    }
    disk.rows = disk.rows.slice(gone)
  }

  #save(snapshot: Snapshot): 'durable' | 'fenced' {
    const disk = this.#disk
    if (this.#refused || snapshot.epoch !== this.#epoch || snapshot.epoch !== disk.view.epoch || snapshot.epoch === 0) return 'fenced'
    const row = disk.rows.find(one => rowEnd(one).lastIndex === snapshot.index)
    const problem = snapshotIsOf(snapshot, row?.hash, disk.snapshots.at(-1)?.snapshot.index ?? 0)
    if (problem !== undefined) throw new CoxswainError('INVALID_ARGUMENT', problem)
    const others = disk.snapshots.filter(kept => kept.snapshot.index !== snapshot.index)
    const fallback = others.findLast(holds)?.snapshot.index ?? 0
    disk.snapshots = others.filter(kept => kept.snapshot.index >= fallback)
    disk.snapshots.push({ snapshot, checksum: snapshotChecksum(snapshot), fallback })
    return 'durable'
  }

  #latest(): Snapshot | undefined {
    const { snapshots, rows } = this.#disk
    const kept = snapshots.findLast(holds)
    if (kept !== undefined) {
      const { snapshot } = kept
      return { ...snapshot, hash: Uint8Array.from(snapshot.hash.subarray(0, hashBytes)), state: Uint8Array.from(snapshot.state) }
    }
    const firstIndex = rows[0]?.firstIndex ?? 1
    if (firstIndex > 1) throw noSnapshotHolds(firstIndex)
    return undefined
  }

  #size(): JournalSize {
    const { rows, payloads, lastIndex } = this.#disk
    let payloadBytes = 0
    for (const { bytes } of payloads.values()) payloadBytes += bytes.length
    return {
      firstIndex: rows[0]?.firstIndex ?? 1,
      lastIndex,
      rows: rows.length,
      rowBytes: rows.reduce((sum, row) => sum + rowBytes(row.records.length, row.manifest.length), 0),
      payloads: payloads.size,
      payloadBytes,
      historyRows: this.#disk.history.size,
      diskBytes: 0,
    }
  }
}

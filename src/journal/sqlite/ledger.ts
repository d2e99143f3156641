// Owns what is written: one transaction per group of appends, claims, snapshots' rows. Every write compares epoch and index in the same transaction.
// Must not retry anything: after a failed write the outcome is unknown and the store is given up.
import type { DatabaseSync } from 'node:sqlite'
import { CoxswainError } from '../../protocol/errors.ts'
import type { PayloadId } from '../../protocol/index.ts'
import { recordVersion } from '../../protocol/limits.ts'
import type { Append, Claim, Snapshot } from '../journal.ts'
import { encodeManifest, noHash, payloadChecksum, rowBytes, rowHash } from '../row.ts'
import { snapshotIsOf } from '../rules.ts'
import { openForWriting } from './database.ts'
import { filePath, Mark, removeFile, snapshotNames } from './files.ts'
import { HistoryLedger } from './history.ts'
import { folderInUse, journalEnd } from './journal-end.ts'
import { type LeaderRow, leaderChecksum, readLeader } from './leader-row.ts'
import { type LedgerStatements, ledgerStatements } from './ledger-statements.ts'
import { FolderLock } from './lock.ts'
import { type Place, Segments, segmentThresholdBytes } from './segments.ts'

/** Says something to the operator. */
export type Log = (level: 'info' | 'warn' | 'error', event: string, fields?: Record<string, unknown>) => void

/** A claim without its opening, which travels in a slab. */
export type ClaimHead = Omit<Claim, 'opening'>

/** A snapshot that is on disk already, to be named by a row. */
export interface WrittenSnapshot extends Omit<Snapshot, 'state'> {
  size: number
  checksum: Uint8Array
  file: string
  /** The newest older snapshot that matches its checksum, 0 if none does. */
  fallback: number
}

interface Placed {
  payload: PayloadId
  bytes: Uint8Array
  checksum: number
  place: Place | undefined
}

interface Totals {
  rowBytes: number
  payloads: number
  payloadBytes: number
  historyRows: number
}

const nothing: Totals = { rowBytes: 0, payloads: 0, payloadBytes: 0, historyRows: 0 }

/** The journal's files as the one thread sees them that writes them. */
export class Ledger {
  readonly folder: string
  readonly database: DatabaseSync
  readonly segments: Segments
  readonly log: Log
  readonly #lock: FolderLock
  readonly #mark: Mark
  readonly #run: LedgerStatements
  readonly #history: HistoryLedger
  /** 0 while this process does not lead, or was refused. */
  #epoch = 0
  #lastIndex = 0
  #lastHash = noHash

  constructor(folder: string, log: Log) {
    this.folder = folder
    this.log = log
    this.database = openForWriting(folder)
    this.#run = ledgerStatements(this.database)
    this.#history = new HistoryLedger(this.database, log)
    this.#lock = new FolderLock(folder)
    this.#mark = new Mark(folder, true)
    this.segments = new Segments(folder)
  }

  /** True while this process leads in this epoch, as far as it knows. */
  leads(epoch: number): boolean {
    return epoch > 0 && epoch === this.#epoch
  }

  /** Runs `work` in one transaction; `undefined` from it rolls back. */
  transaction<T>(work: () => T | undefined): T | undefined {
    this.#run.begin.run()
    try {
      const result = work()
      if (result === undefined) this.#run.rollback.run()
      else this.#run.commit.run()
      return result
    } catch (error) {
      // What the disk has of it is unknown, but no lock may stay: another process has to be able to lead.
      if (this.database.isTransaction) this.#run.rollback.run()
      throw error
    }
  }

  /** Changes the totals of what is kept; false if this epoch does not lead any more. */
  count(rows: number, { rowBytes, payloads, payloadBytes, historyRows }: Totals = nothing): boolean {
    return this.#run.count.run(rows, rowBytes, payloads, payloadBytes, historyRows, this.#epoch).changes === 1
  }

  leader(): LeaderRow {
    return readLeader(this.#run.leader)
  }

  /** Gives up leading: everything of this epoch is refused from now on, and another process may lead. */
  depose(): void {
    this.#epoch = 0
    this.#lock.release()
  }

  /** Takes the lock and the leadership. */
  claim(claim: ClaimHead, opening: Append): 'claimed' | 'lost' {
    if (opening.epoch !== claim.seenEpoch + 1 || opening.count < 1) {
      throw new CoxswainError(
        'INVALID_ARGUMENT',
        `The opening of epoch ${claim.seenEpoch + 1} is of epoch ${opening.epoch}, with ${opening.count} records.`,
      )
    }
    const hadLock = this.#lock.held
    if (!this.#lock.take()) throw folderInUse(this.folder, this.leader())
    try {
      const outcome = this.#claimLocked(claim, opening)
      if (outcome === 'lost' && !hadLock) this.#lock.release()
      return outcome
    } catch (error) {
      if (!hadLock) this.#lock.release()
      throw error
    }
  }

  /** Makes appends durable in one transaction. Gives how many of them, from the first on; the others are fenced. */
  commit(appends: readonly Append[]): number {
    let next = this.#lastIndex + 1
    let accepted = 0
    for (const append of appends) {
      if (!this.leads(append.epoch) || append.firstIndex !== next || append.count < 1) break
      next += append.count
      accepted++
    }
    const taken = appends.slice(0, accepted)
    const done = accepted > 0 && this.#commitTaken(taken, next - 1)
    if (!done || accepted < appends.length) this.depose()
    return done ? accepted : 0
  }

  #commitTaken(appends: readonly Append[], lastIndex: number): boolean {
    const placed = appends.map(append => this.#place(append))
    this.segments.sync()
    let hash = this.#lastHash
    const dropped: { size: number; segment: number }[] = []
    const done = this.transaction(() => {
      if (this.#run.advance.run(lastIndex, this.#epoch, this.#lastIndex).changes !== 1) return undefined
      const totals = { ...nothing }
      for (let i = 0; i < appends.length; i++) hash = this.#insert(appends[i]!, placed[i]!, hash, totals, dropped)
      this.count(appends.length, totals)
      return true
    })
    if (done === undefined) return false
    this.#acknowledged(lastIndex, hash, dropped)
    return true
  }

  #acknowledged(lastIndex: number, hash: Uint8Array, dropped: readonly { size: number; segment: number }[]): void {
    this.#lastIndex = lastIndex
    this.#lastHash = hash
    this.#mark.write(lastIndex)
    if (dropped.length === 0) return
    for (const { segment, size } of dropped) if (segment > 0) this.segments.dropped(segment, size)
    this.segments.removeEmpty()
  }

  #place({ payloads }: Append): Placed[] {
    let bytesTogether = 0
    for (const { bytes } of payloads) bytesTogether += bytes.length
    const places = bytesTogether >= segmentThresholdBytes ? this.segments.write(payloads.map(({ bytes }) => bytes)) : []
    return payloads.map(({ payload, bytes }, i) => ({ payload, bytes, checksum: payloadChecksum(bytes), place: places[i] }))
  }

  #insert(
    append: Append,
    placed: readonly Placed[],
    previousHash: Uint8Array,
    totals: Totals,
    dropped: { size: number; segment: number }[],
  ): Uint8Array {
    const { firstIndex, count, epoch, records } = append
    const manifest = encodeManifest(placed.map(({ payload, bytes, checksum }) => ({ payload, bytes: bytes.length, checksum })))
    const hash = rowHash({ firstIndex, count, epoch, previousHash, manifest, records })
    this.#run.insertRow.run(firstIndex, count, epoch, previousHash, hash, manifest, records)
    totals.rowBytes += rowBytes(records.length, manifest.length)
    for (const { payload, bytes, checksum, place } of placed) {
      this.#run.insertPayload.run(
        payload,
        bytes.length,
        checksum,
        place?.segment ?? 0,
        place?.position ?? 0,
        place === undefined ? bytes : null,
      )
      totals.payloads++
      totals.payloadBytes += bytes.length
    }
    const effect = append.history && this.#history.change(append.history)
    totals.historyRows += effect?.rows ?? 0
    for (const payload of effect ? [...append.drops, ...effect.drops] : append.drops) {
      const gone = this.#run.dropPayload.get(payload) as { size: number; segment: number } | undefined
      if (gone === undefined) continue
      totals.payloads--
      totals.payloadBytes -= gone.size
      dropped.push(gone)
    }
    return hash
  }

  #claimLocked(claim: ClaimHead, opening: Append): 'claimed' | 'lost' {
    const { leader: last, hash: lastHash, markHolds } = journalEnd(this.#run, this.#mark)
    const { epoch, lastIndex } = last
    if (!markHolds) this.log('warn', 'journal-mark-damaged', { folder: this.folder })
    this.#lastIndex = lastIndex
    this.#lastHash = lastHash
    if (epoch !== claim.seenEpoch || opening.firstIndex !== lastIndex + 1) return 'lost'
    const live = this.#run.liveSegments.all() as { segment: number; bytes: number; payloads: number }[]
    const removed = this.segments.load(live) + this.#removeForeignSnapshots()
    if (removed > 0) this.log('info', 'journal-files-removed', { folder: this.folder, files: removed })
    const placed = this.#place(opening)
    this.segments.sync()
    const end = lastIndex + opening.count
    let hash = lastHash
    const dropped: { size: number; segment: number }[] = []
    this.#epoch = opening.epoch
    const done = this.transaction(() => {
      const { leader, pid, processStart, address } = claim
      const checksum = leaderChecksum({ epoch: opening.epoch, leader, pid, processStart, address }, recordVersion)
      const { changes } = this.#run.claim.run(opening.epoch, end, leader, pid, processStart, address, checksum, epoch, lastIndex)
      if (changes !== 1) return undefined
      const totals = { ...nothing }
      hash = this.#insert(opening, placed, hash, totals, dropped)
      this.count(1, totals)
      return true
    })
    if (done === undefined) {
      this.depose()
      return 'lost'
    }
    this.#acknowledged(end, hash, dropped)
    return 'claimed'
  }

  #removeForeignSnapshots(): number {
    const named = new Set((this.#run.snapshotFiles.all() as { file: string }[]).map(({ file }) => file))
    return snapshotNames(this.folder).filter(name => !named.has(name) && removeFile(filePath(this.folder, name))).length
  }

  /** Whether a snapshot may be stored; throws INVALID_ARGUMENT if it is of no row. */
  checkSnapshot(snapshot: Omit<Snapshot, 'state'>): 'durable' | 'fenced' {
    if (!this.leads(snapshot.epoch)) return 'fenced'
    const row = this.#run.rowEndingAt.get(snapshot.index) as { hash: Uint8Array; last: number } | undefined
    const newest = (this.#run.newestSnapshot.get() as { lastIndex: number } | undefined)?.lastIndex ?? 0
    const problem = snapshotIsOf(snapshot, row?.last === snapshot.index ? row.hash : undefined, newest)
    if (problem !== undefined) throw new CoxswainError('INVALID_ARGUMENT', problem)
    return 'durable'
  }

  /** Names a snapshot that is on disk, and lets go of those behind its fall-back. */
  saveSnapshot(snapshot: WrittenSnapshot): 'durable' | 'fenced' {
    const { index, epoch, hash, size, checksum, file, fallback } = snapshot
    if (this.checkSnapshot(snapshot) === 'fenced') {
      // Nothing names it, nor ever will.
      removeFile(filePath(this.folder, file))
      return 'fenced'
    }
    const gone = this.transaction(() => {
      if (!this.count(0)) return undefined
      const old = this.#run.oldSnapshots.all(fallback, index) as { file: string }[]
      this.#run.endFallbacks.run()
      this.#run.insertSnapshot.run(index, epoch, hash, size, checksum, file, fallback)
      return old
    })
    if (gone === undefined) {
      this.depose()
      return 'fenced'
    }
    for (const old of gone) removeFile(filePath(this.folder, old.file))
    return 'durable'
  }

  close(): void {
    this.segments.close()
    this.#mark.close()
    this.database.close()
    this.#lock.close()
  }
}

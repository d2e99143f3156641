// Owns snapshots: in parts below the prefix up to a named size, beyond it in a store for large ones. The one before is kept until the new one was read back.
// Must not delete what a snapshot's key names.
import { CoxswainError } from '../../protocol/errors.ts'
import type { Snapshot } from '../journal.ts'
import { noSnapshotHolds, snapshotHash } from '../row.ts'
import { snapshotIsOf } from '../rules.ts'
import type { Log } from '../sqlite/ledger.ts'
import type { Operation } from './api.ts'
import { partsOf, readBlob } from './blobs.ts'
import type { Caller } from './caller.ts'
import { blobRange, snapshotBlobs, snapshotKey, snapshots as snapshotRange } from './keys.ts'
import type { Reader } from './reader.ts'
import type { Term } from './term.ts'
import { sealedJson, unsealed } from './values.ts'

/** Where snapshots are kept that are too large for etcd: a shared folder, or object storage. It is one cluster's alone. Names have no slashes. */
export interface SnapshotStore {
  /** Resolves when the bytes are durable, whole. */
  put(name: string, bytes: Uint8Array): Promise<void>
  /** Undefined if there are none of this name. */
  get(name: string): Promise<Uint8Array | undefined>
  /** Harmless for what is not there. */
  delete(name: string): Promise<void>
  list(): Promise<string[]>
}

/** A snapshot as its key names it. */
interface SnapshotHead {
  index: number
  epoch: number
  /** Hash of the row that ends there, and of the snapshot, in hex. */
  hash: string
  checksum: string
  bytes: number
  name: string
  outside: boolean
  /** Index of the older one that can stand in for it, 0 if there is none. */
  fallback: number
}

/** What snapshots are kept with. */
export interface SnapshotOptions {
  caller: Caller
  reader: Reader
  log: Log
  /** Snapshots up to this size are kept in etcd. */
  inEtcdBytesMax: number
  outside: SnapshotStore | undefined
  /** The leadership of this handle, if there is one. */
  term(): Term | undefined
}

function checksumOf({ index, epoch, hash, state }: Snapshot): string {
  return snapshotHash(index, epoch, hash).update(state).digest('hex')
}

/** Snapshots of one handle. */
export class EtcdSnapshots {
  readonly #options: SnapshotOptions
  #written = 0

  constructor(options: SnapshotOptions) {
    this.#options = options
  }

  /** All that are kept, oldest first. */
  async #heads(): Promise<SnapshotHead[]> {
    const { rows } = await this.#options.caller.range(snapshotRange)
    return rows.map(({ key, value }) => {
      const text = unsealed(value)
      if (text === undefined) throw new CoxswainError('JOURNAL_CORRUPT', `The key ${key} does not match its checksum.`, { id: key })
      return JSON.parse(text.toString()) as SnapshotHead
    })
  }

  /** Index of the older snapshot that a start could fall back to. */
  async fallback(): Promise<number> {
    return (await this.#heads()).at(-1)?.fallback ?? 0
  }

  /** The snapshot with its state, or undefined where it does not match its checksum. */
  async #whole({ index, epoch, hash, checksum, bytes, name, outside }: SnapshotHead): Promise<Snapshot | undefined> {
    const { caller } = this.#options
    const state = outside ? await this.#outside().get(name) : await readBlob(caller, name, bytes)
    const snapshot = state && { index, epoch, hash: Buffer.from(hash, 'hex'), state }
    return snapshot && checksumOf(snapshot) === checksum ? snapshot : undefined
  }

  #outside(): SnapshotStore {
    const { outside } = this.#options
    if (!outside)
      throw new CoxswainError(
        'INVALID_ARGUMENT',
        'A snapshot of this cluster is kept outside of etcd: start every candidate with the same --snapshots.',
      )
    return outside
  }

  /** See `Snapshots.latest`. */
  async latest(): Promise<Snapshot | undefined> {
    const { reader, log } = this.#options
    for (let tries = 0; ; tries++) {
      const heads = await this.#heads()
      for (const head of heads.reverse()) {
        const snapshot = await this.#whole(head)
        if (snapshot) return snapshot
        log('warn', 'snapshot-damaged', { index: head.index })
      }
      const { firstIndex } = await reader.size()
      if (firstIndex === 1) return undefined
      // A newer one may have replaced all of them meanwhile.
      if (tries > 0) throw noSnapshotHolds(firstIndex)
    }
  }

  /** See `Inspection.snapshots`. */
  async list(): Promise<{ index: number; holds: boolean }[]> {
    const list: { index: number; holds: boolean }[] = []
    for (const head of await this.#heads()) list.push({ index: head.index, holds: (await this.#whole(head)) !== undefined })
    return list
  }

  /** See `Snapshots.save`. */
  async save(snapshot: Snapshot): Promise<'durable' | 'fenced'> {
    const term = this.#options.term()
    const leads = (): boolean => term?.leads === true && term.epoch === snapshot.epoch
    if (!term || !leads()) return 'fenced'
    const before = await this.#heads()
    const problem = snapshotIsOf(snapshot, await this.#hashAt(snapshot.index), before.at(-1)?.index ?? 0)
    if (problem !== undefined) throw new CoxswainError('INVALID_ARGUMENT', problem)
    try {
      const head = await this.#write(term, snapshot)
      if (head === undefined) return 'fenced'
      const others = before.filter(({ index }) => index !== snapshot.index)
      const fallback = await this.#newestGood(others)
      const gone = before.filter(({ index }) => index < fallback || index === snapshot.index)
      await term.alone(alone => alone.commit(this.#replace({ ...head, fallback }, gone), {}))
      for (const { name } of gone.filter(({ outside }) => outside))
        await this.#outside()
          .delete(name)
          .catch(() => undefined)
      return 'durable'
    } catch (error) {
      // Whoever leads after this process clears away what it does not know: that is no failure.
      if (leads()) throw error
      return 'fenced'
    }
  }

  #replace(head: SnapshotHead, gone: readonly SnapshotHead[]): Operation[] {
    const operations: Operation[] = gone.flatMap(({ index, name, outside }) => [
      ...(index === head.index ? [] : [{ delete: { key: snapshotKey(index) } }]),
      ...(outside ? [] : [{ delete: blobRange(name) }]),
    ])
    return [...operations, { put: { key: snapshotKey(head.index), value: sealedJson(head) } }]
  }

  /** The hash of the row that ends at this index. */
  async #hashAt(index: number): Promise<Uint8Array | undefined> {
    const [row] = await this.#options.reader.rows(index, 1)
    return row && row.firstIndex + row.count - 1 === index ? row.hash : undefined
  }

  /** Writes the state and reads it back; undefined: it is not this handle's any more to write. */
  async #write(term: Term, snapshot: Snapshot): Promise<Omit<SnapshotHead, 'fallback'> | undefined> {
    const { inEtcdBytesMax } = this.#options
    const { index, epoch, hash, state } = snapshot
    const outside = state.length > inEtcdBytesMax
    if (outside && !this.#options.outside)
      throw new CoxswainError(
        'JOURNAL_WRITE_FAILED',
        `A snapshot of ${state.length} bytes is larger than etcd is to hold (${inEtcdBytesMax}): give all candidates a place for large ones with --snapshots.`,
      )
    // A claim's revision is no other's, and no number of this process either: nobody ever writes under this name again.
    const name = `s${index.toString(16)}-${term.fence.toString(16)}-${(++this.#written).toString(16)}`
    const checksum = checksumOf(snapshot)
    const head = { index, epoch, hash: Buffer.from(hash).toString('hex'), checksum, bytes: state.length, name, outside }
    if (outside) await this.#outside().put(name, state)
    else if (!(await term.putParts(partsOf(name, state)))) return undefined
    if (await this.#whole({ ...head, fallback: 0 })) return head
    throw new CoxswainError('JOURNAL_WRITE_FAILED', `The snapshot at ${index} was not read back as it was written.`)
  }

  async #newestGood(heads: readonly SnapshotHead[]): Promise<number> {
    for (const head of [...heads].reverse()) if (await this.#whole(head)) return head.index
    return 0
  }

  /** Removes what earlier leaders left of snapshots that no key names. */
  async clear(term: Term): Promise<void> {
    const { caller, outside } = this.#options
    const { rows } = await caller.range({ ...snapshotBlobs, keysOnly: true })
    const named = new Set((await this.#heads()).map(({ name }) => name))
    const there = new Set(rows.map(({ key }) => key.split('/')[1]!))
    for (const name of there) if (!named.has(name) && !(await term.fenced([{ delete: blobRange(name) }]))) return
    for (const name of (await outside?.list()) ?? [])
      if (/^s[0-9a-f]+-/.test(name) && !named.has(name) && term.leads) await outside?.delete(name)
  }
}

// Owns a leader as the suite's cases play it, and how they look at what was kept.
// Must not hold cases.
import assert from 'node:assert/strict'
import { CoxswainError, type ErrorCode } from '../../protocol/errors.ts'
import type { PayloadId } from '../../protocol/index.ts'
import type { HistoryChange } from '../history.ts'
import type { Append, JournalRow, PayloadWrite, Snapshot } from '../journal.ts'
import type { TestStore } from './backend.ts'

/** One leader as a test plays it: it counts on from where the journal ends. */
export class TestLeader {
  readonly store: TestStore
  epoch = 0
  next = 1
  #payload = 1

  constructor(store: TestStore) {
    this.store = store
  }

  /** Claims the leadership on the journal as it stands. */
  static async claim(store: TestStore, leader = 'one'): Promise<TestLeader> {
    const self = new TestLeader(store)
    const { epoch } = await store.leadership.view()
    const { lastIndex } = await store.journal.size()
    self.epoch = epoch + 1
    self.next = lastIndex + 1
    self.#payload = self.epoch * 1000
    const claim = {
      seenEpoch: epoch,
      leader,
      pid: process.pid,
      processStart: '17',
      address: 'ws://127.0.0.1:1',
      opening: self.make({ count: 1 }),
    }
    assert.equal(await store.leadership.claim(claim), 'claimed')
    return self
  }

  /** The next append, with records that tell their index. */
  make({
    count = 1,
    payloads = [],
    drops = [],
    recordBytes = 8,
    history,
  }: {
    count?: number
    payloads?: PayloadWrite[]
    drops?: PayloadId[]
    recordBytes?: number
    history?: HistoryChange
  } = {}): Append {
    const firstIndex = this.next
    this.next += count
    const records = Buffer.alloc(count * recordBytes, firstIndex % 251)
    return { epoch: this.epoch, firstIndex, count, records, payloads, drops, history }
  }

  payload(bytes: number, fill = 7): PayloadWrite {
    return { payload: this.#payload++, bytes: Buffer.alloc(bytes, fill) }
  }

  async append(options?: Parameters<TestLeader['make']>[0]): Promise<void> {
    assert.equal(await this.store.journal.append(this.make(options)), 'durable')
  }

  /** Saves a snapshot of the journal's end. */
  async snapshot(state: Uint8Array = Buffer.from(`state at ${this.next - 1}`)): Promise<Snapshot> {
    const [row] = await this.store.journal.read(this.next - 1, 1)
    const snapshot = { index: this.next - 1, epoch: this.epoch, hash: row!.hash, state }
    assert.equal(await this.store.snapshots.save(snapshot), 'durable')
    return snapshot
  }
}

/** Asserts that a promise rejects with one of our codes, and about this id if one is given. */
export async function rejectsWith(promise: Promise<unknown>, code: ErrorCode, id?: string): Promise<void> {
  await assert.rejects(promise, (error: unknown) => {
    assert.ok(error instanceof CoxswainError, String(error))
    assert.equal(error.code, code, error.message)
    if (id !== undefined) assert.equal(error.id, id)
    return true
  })
}

/** Every row from an index on, read a few at a time. */
export async function allRows(store: TestStore, from = 1): Promise<JournalRow[]> {
  const rows: JournalRow[] = []
  for (let next = from; ; ) {
    const some = await store.journal.read(next, 3)
    if (some.length === 0) return rows
    rows.push(...some)
    next = some.at(-1)!.firstIndex + some.at(-1)!.count
  }
}

/** Bytes in a form that compares by content. */
export function plain(bytes: Uint8Array | undefined): Buffer | undefined {
  return bytes === undefined ? undefined : Buffer.from(bytes)
}

// Owns the journal's store as several candidates share it: the one in memory, behind a disk that is slow, breaks, and loses with a process
// what that process had not made durable. With a lock it is as SQLite's, without as etcd's.
// Must not be kinder than a real one: the same conformance suite holds it.
import {
  type Append,
  copyOfAppend,
  createMemoryStore,
  type History,
  type Inspectable,
  type Journal,
  type Leadership,
  type MemoryDisk,
  type MemoryStore,
  type Snapshots,
} from '../../src/journal/index.ts'
import { CoxswainError } from '../../src/protocol/index.ts'
import type { Boot, Kernel } from '../kernel/kernel.ts'
import type { Fault } from '../scenario.ts'
import type { Archive, ClusterHandle, ClusterStore, DurableRow } from './cluster-store.ts'
import { calmDisk, type DiskMood, sufferDisk } from './disk-mood.ts'
import { Losses, type Waiting } from './losses.ts'

const [readMs, orderMs] = [0.05, 0.001]

export class SharedStore implements ClusterStore {
  readonly kernel: Kernel
  readonly disk: MemoryDisk
  /** One process at a time may lead, and keeps others from it as long as it lives. */
  readonly locking: boolean
  /** How late a deposed leader hears of it, on average. */
  readonly newsMs: number
  readonly mood: DiskMood = { ...calmDisk }
  /** Every row that ever became durable: the truth. */
  readonly rows: DurableRow[] = []
  /** Told of each row right after it became durable. */
  durable: ((row: DurableRow) => void) | undefined
  /** Told when a snapshot is read. */
  snapshotUsed: (() => void) | undefined
  /** Told of a living process whose leadership another one's claim has ended, and of each process that asks for an append. */
  deposed: ((boot: Boot) => void) | undefined
  asked: ((boot: Boot) => void) | undefined
  /** Told of each write that is under way, and for how long. */
  writing: ((boot: Boot, snapshot: boolean, leftMs: number) => void) | undefined
  readonly losses = new Losses()
  /** A read takes this long at least, and twice as long on average. */
  readMs = readMs
  /** Appends under way of one handle, at most. */
  queuedMax = 0
  /** Who has the lock, and who claimed last. */
  holder: StoreHandle | undefined
  leading: StoreHandle | undefined
  /** The device does one write after the other. */
  freeAtMs = 0

  constructor(kernel: Kernel, options: { locking: boolean; rowBytesKept?: number; newsMs?: number }) {
    this.kernel = kernel
    this.newsMs = options.newsMs ?? 0
    this.locking = options.locking
    this.disk = createMemoryStore({ rowBytesKept: options.rowBytesKept ?? 64 << 10 })
  }

  /** Opens it for a process. */
  open(boot: Boot): StoreHandle {
    return new StoreHandle(this, boot)
  }

  suffer(fault: Fault): boolean {
    return sufferDisk(this.mood, fault)
  }

  recover(): void {
    this.calm()
  }

  calm(): void {
    Object.assign(this.mood, calmDisk)
  }

  archive(): Archive {
    return { rows: [...this.disk.history.values()].map(({ row }) => row), payloads: this.disk.payloads }
  }

  /** Rows that are new since the last look are noted. */
  look(append: Append): void {
    const row = this.disk.rows.findLast(one => one.firstIndex === append.firstIndex && one.epoch === append.epoch)
    if (!row) return
    const last = this.rows.at(-1)
    if (last && row.firstIndex < last.firstIndex + last.count) return
    const { epoch, firstIndex, count, previousHash, hash } = row
    const noted: DurableRow = {
      atMs: this.kernel.nowMs,
      epoch,
      firstIndex,
      count,
      records: row.records,
      payloads: new Map(append.payloads.map(({ payload, bytes }) => [payload, bytes])),
      drops: append.drops,
      previousHash,
      hash,
    }
    this.rows.push(noted)
    this.kernel.note(`row ${firstIndex}`, hash)
    this.durable?.(noted)
  }
}

/** The store as one process has it open. */
export class StoreHandle implements ClusterHandle, Inspectable {
  readonly journal: Journal
  readonly history: History
  readonly snapshots: Snapshots
  readonly leadership: Leadership
  readonly #shared: SharedStore
  readonly #boot: Boot
  readonly #inner: MemoryStore
  readonly #queue: Waiting[] = []
  #failure: CoxswainError | undefined
  #closed = false

  constructor(shared: SharedStore, boot: Boot) {
    this.#shared = shared
    this.#boot = boot
    this.#inner = shared.disk.open()
    const inner = this.#inner
    this.journal = {
      append: append => this.#append(append),
      read: (from, rowsMax) => this.#soon(() => inner.journal.read(from, rowsMax)),
      payload: payload => this.#soon(() => inner.journal.payload(payload)),
      compact: (epoch, index) => this.#write(undefined, () => inner.journal.compact(epoch, index)),
      size: () => this.#soon(() => inner.journal.size()),
    }
    this.history = {
      page: query => this.#soon(() => inner.history.page(query)),
      row: job => this.#soon(() => inner.history.row(job)),
    }
    this.snapshots = {
      save: snapshot => {
        const copy = { ...snapshot, hash: Uint8Array.from(snapshot.hash), state: Uint8Array.from(snapshot.state) }
        const save = (): Promise<'durable' | 'fenced'> => inner.snapshots.save(copy)
        return this.#write(undefined, save, async () => {
          if ((await save()) !== 'durable') return
          shared.disk.corruptSnapshot(copy.index)
          shared.losses.torn++
        })
      },
      latest: () =>
        this.#soon(async () => {
          const found = await inner.snapshots.latest()
          if (found) shared.snapshotUsed?.()
          if (found && found.index < shared.disk.snapshots.at(-1)!.snapshot.index) shared.losses.fallbacks++
          return found
        }),
    }
    this.leadership = {
      ...inner.leadership,
      view: () => this.#soon(() => inner.leadership.view()),
      claim: claim => {
        const opening = copyOfAppend(claim.opening)
        return this.#write(opening, async () => {
          this.#takeLock()
          const outcome = await inner.leadership.claim({ ...claim, opening })
          if (outcome === 'lost' && shared.holder === this && !this.#leads) shared.holder = undefined
          if (outcome === 'claimed') this.#lead()
          return outcome
        })
      },
      onLost: callback =>
        inner.leadership.onLost(failure => {
          // Where claims depose, the news of it is late: such a leader may learn it from its next append first, or from its peers.
          const lateMs = shared.newsMs > 0 ? shared.kernel.stream('news').exponential(shared.newsMs) : 0
          shared.kernel.at(boot, lateMs, 'io', () => callback(failure))
        }),
    }
    const resign = (inner.leadership as { resign?: () => Promise<void> }).resign
    if (resign) {
      Object.assign(this.leadership, {
        resign: () =>
          this.#write(undefined, async () => {
            await resign.call(inner.leadership)
            this.#unlock()
          }),
      })
    }
  }

  #leads = false
  /** When the last answer comes: answers come in the order of the writes. */
  #answerMs = 0

  get inspect(): MemoryStore['inspect'] {
    return this.#inner.inspect
  }

  get #kernel(): Kernel {
    return this.#shared.kernel
  }

  #takeLock(): void {
    const { holder, locking } = this.#shared
    if (!locking) return
    if (holder && holder !== this) throw new CoxswainError('STATE_FOLDER_IN_USE', 'Another process leads.', { id: 'store' })
    this.#shared.holder = this
  }

  #lead(): void {
    const { leading } = this.#shared
    this.#leads = true
    this.#shared.leading = this
    if (leading && leading !== this && leading.#leads) this.#shared.deposed?.(leading.#boot)
  }

  #unlock(): void {
    this.#leads = false
    if (this.#shared.holder === this) this.#shared.holder = undefined
  }

  #soon<T>(ask: () => Promise<T>): Promise<T> {
    const delayMs = this.#shared.readMs + this.#kernel.stream('store').exponential(this.#shared.readMs)
    return new Promise((resolve, reject) => {
      this.#kernel.at(this.#boot, delayMs, 'io', () => ask().then(resolve, reject))
    })
  }

  #append(append: Append): Promise<'durable' | 'fenced'> {
    this.#shared.asked?.(this.#boot)
    const copy = copyOfAppend(append)
    const under = this.#queue.filter(one => one.append).length + 1
    this.#shared.queuedMax = Math.max(this.#shared.queuedMax, under)
    return this.#write(copy, () => this.#inner.journal.append(copy))
  }

  /** Writes take effect one after the other, each after the device's time for it; its answer comes a moment later. */
  #write<T>(append: Append | undefined, operate: () => Promise<T>, tear?: () => Promise<void>): Promise<T> {
    if (this.#closed) return Promise.reject(new CoxswainError('JOURNAL_WRITE_FAILED', 'The store is closed.'))
    const shared = this.#shared
    const stream = this.#kernel.stream('store')
    const effect = async (): Promise<T> => {
      const outcome = await operate()
      if (append) shared.look(append)
      return outcome
    }
    const item = { append, effect: effect as () => Promise<unknown>, tear }
    this.#queue.push(item)
    shared.freeAtMs = Math.max(shared.freeAtMs, this.#kernel.nowMs) + 0.05 + stream.exponential(shared.mood.syncMs)
    shared.writing?.(this.#boot, tear !== undefined, shared.freeAtMs - this.#kernel.nowMs)
    return new Promise<T>((resolve, reject) => {
      this.#kernel.at(this.#boot, shared.freeAtMs - this.#kernel.nowMs, 'io', () => {
        this.#queue.splice(this.#queue.indexOf(item), 1)
        const answer = (settle: () => void): void => {
          this.#answerMs = Math.max(this.#answerMs + orderMs, this.#kernel.nowMs + stream.exponential(readMs))
          this.#kernel.at(this.#boot, this.#answerMs - this.#kernel.nowMs, 'io', settle)
        }
        this.#fail(append !== undefined, stream.number())
        const failure = this.#failure
        if (failure && failure !== this.#late) return answer(() => reject(failure))
        this.#late = undefined
        effect().then(
          outcome => answer(() => (failure ? reject(failure) : resolve(outcome))),
          error => answer(() => reject(error)),
        )
      })
    })
  }

  /** An error whose write is done all the same. */
  #late: CoxswainError | undefined

  #fail(appends: boolean, toss: number): void {
    const { mood } = this.#shared
    if (this.#failure || !appends) return
    if (mood.full) this.#failure = new CoxswainError('JOURNAL_WRITE_FAILED', 'The disk is full.')
    else if (toss < mood.failed) this.#failure = new CoxswainError('JOURNAL_WRITE_FAILED', 'The disk failed.')
    else if (toss < mood.failed + mood.indeterminate) {
      this.#failure = new CoxswainError('JOURNAL_WRITE_FAILED', 'Nobody knows what became of it.')
      this.#late = this.#failure
    }
  }

  /** Its process died. */
  crash(): void {
    const waiting = this.#queue.splice(0)
    if (!this.#failure) this.#shared.losses.settle(waiting, this.#kernel.stream('crash'))
    this.#closed = true
    this.#unlock()
    queueMicrotask(() => this.#inner.kill())
  }

  async close(): Promise<void> {
    if (this.#closed) return
    await this.#write(undefined, async () => undefined)
    this.#closed = true
    this.#unlock()
    await this.#inner.close()
  }
}

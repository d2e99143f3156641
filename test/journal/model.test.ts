// Holds SQLite to the journal in memory: the same random script gives the same answers, rows, hashes, payloads and sizes.
// Must not use claims beside a living leader: there the two differ on purpose.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { TestStore } from '../../src/journal/conformance/index.ts'
import { endStates } from '../../src/journal/history.ts'
import { type Append, createMemoryStore, type HistoryChange } from '../../src/journal/index.ts'
import { CoxswainError } from '../../src/protocol/index.ts'
import { sqlitePlace } from './sqlite-place.ts'

const rowBytesKept = 600

const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('append' as const),
      counts: fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 6 }),
      bytes: fc.constantFrom(0, 1, 700, 70_000, 270_000),
      drop: fc.nat(20),
      archive: fc.boolean(),
      forget: fc.nat(4),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('append wrong' as const), off: fc.constantFrom(-1, 1, 5) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('claim' as const), stale: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('snapshot' as const), bytes: fc.nat(300) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('compact' as const), part: fc.double({ min: 0, max: 1, noNaN: true }) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('read' as const),
      part: fc.double({ min: 0, max: 1.2, noNaN: true }),
      rowsMax: fc.integer({ min: 1, max: 9 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('reopen' as const) }) },
)
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

/** Plays a script on one backend; the answers are its transcript. */
class Player {
  readonly transcript: unknown[] = []
  readonly #open: () => Promise<TestStore>
  #store: TestStore | undefined
  #epoch = 0
  #next = 1
  #payload = 1
  #archived = 0
  #forgotten = 0

  constructor(open: () => Promise<TestStore>) {
    this.#open = open
  }

  async play(steps: readonly Step[]): Promise<void> {
    this.#store = await this.#open()
    for (const one of steps) this.transcript.push(one.do, await this.#answer(one))
    await this.#tellAll()
    await this.#store.close()
  }

  get #now(): TestStore {
    return this.#store!
  }

  async #answer(one: Step): Promise<unknown> {
    try {
      return await this.#act(one)
    } catch (error) {
      if (error instanceof CoxswainError) return error.code
      throw error
    }
  }

  #make(count: number, change: Partial<Append> = {}): Append {
    return {
      epoch: this.#epoch,
      firstIndex: this.#next,
      count,
      records: Buffer.alloc(count * 11, this.#next),
      payloads: [],
      drops: [],
      ...change,
    }
  }

  /** One more row, with an old payload or one that is not there; or a few of the oldest let go, or emptied. */
  #history(archive: boolean, forget: number): HistoryChange {
    const first = this.#forgotten + 1
    if (!archive && forget > 2) return { rows: [], emptied: { first, count: forget } }
    this.#forgotten += archive ? 0 : Math.min(forget, Math.max(0, this.#archived - this.#forgotten))
    if (!archive) return { rows: [], forgotten: { first, count: this.#forgotten + 1 - first } }
    const place = ++this.#archived
    const labels = [`of ${place % 3}`, 'all'].slice(place % 2)
    const rest = {
      name: `name ${place % 2}`,
      labels,
      submittedAtMs: place,
      payloads: [this.#payload - 3],
      body: Buffer.alloc(place, place),
    }
    return { rows: [{ number: place + (place % 2) * 1000, place, job: `job ${place}`, state: endStates[place % 3]!, ...rest }] }
  }

  async #act(one: Step): Promise<unknown> {
    const { journal, leadership, snapshots } = this.#now
    switch (one.do) {
      case 'append': {
        const appends = one.counts.map(count => {
          const payloads = one.bytes === 0 ? [] : [{ payload: this.#payload++, bytes: Buffer.alloc(one.bytes, count) }]
          const history = this.#history(one.archive, one.forget)
          const append = this.#make(count, { payloads, drops: one.drop > 10 ? [] : [this.#payload - one.drop], history })
          this.#next += count
          return append
        })
        const outcomes = await Promise.all(appends.map(append => journal.append(append)))
        this.#next = (await journal.size()).lastIndex + 1
        return outcomes
      }
      case 'append wrong':
        return [await journal.append(this.#make(1, { firstIndex: this.#next + one.off })), await journal.append(this.#make(1))]
      case 'claim': {
        const { epoch } = await leadership.view()
        const seenEpoch = one.stale ? Math.max(0, epoch - 1) : epoch
        const opening = this.#make(2, { epoch: seenEpoch + 1 })
        const outcome = await leadership.claim({ seenEpoch, leader: 'model', pid: 1, processStart: '', address: '', opening })
        if (outcome === 'claimed') {
          this.#epoch = seenEpoch + 1
          this.#next += 2
        }
        return outcome
      }
      case 'snapshot': {
        const row = (await journal.read(this.#next - 1, 1))[0]
        const state = Buffer.alloc(one.bytes, this.#next)
        return snapshots.save({ index: this.#next - 1, epoch: this.#epoch, hash: row?.hash ?? Buffer.alloc(32), state })
      }
      case 'compact':
        return journal.compact(this.#epoch, Math.ceil(one.part * this.#next))
      case 'read':
        return (await journal.read(Math.max(1, Math.ceil(one.part * this.#next)), one.rowsMax)).map(row => [
          row.firstIndex,
          Buffer.from(row.hash).toString('hex'),
        ])
      case 'reopen':
        await this.#now.close()
        this.#store = await this.#open()
        this.#epoch = 0
        return 'reopened'
    }
  }

  async #tellAll(): Promise<void> {
    const { journal, history, leadership, snapshots, inspect } = this.#now
    const { diskBytes: _, ...size } = await journal.size()
    this.transcript.push(size, await leadership.view(), await inspect.snapshots(), await inspect.problems())
    const latest = await snapshots.latest()
    this.transcript.push(latest && [latest.index, latest.epoch, Buffer.from(latest.state).toString('hex')])
    for (const row of await journal.read(1, 10_000))
      this.transcript.push([row.firstIndex, row.count, row.epoch, Buffer.from(row.hash).toString('hex')])
    for (const id of await inspect.payloadIds(0, 10_000)) this.transcript.push([id, (await journal.payload(id))?.length])
    for (const part of [{}, { label: 'all' }, { name: 'name 0', state: 'failed' as const }, { prefix: 'job 1' }]) {
      const { rows } = await history.page({ ...part, rowsMax: 1000 })
      this.transcript.push(rows.map(row => ({ ...row, body: Buffer.from(row.body).toString('hex') })))
    }
  }
}

describe('random scripts', () => {
  it('give the same in memory and in SQLite', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async steps => {
        const script: Step[] = [{ do: 'claim', stale: false }, ...steps]
        const disk = createMemoryStore({ rowBytesKept })
        const memory = new Player(async () => disk.open())
        await memory.play(script)
        const place = sqlitePlace(rowBytesKept)
        try {
          const sqlite = new Player(place.open)
          await sqlite.play(script)
          assert.deepEqual(sqlite.transcript, memory.transcript)
        } finally {
          await place.remove()
        }
      }),
      { numRuns: 10 },
    )
  })
})

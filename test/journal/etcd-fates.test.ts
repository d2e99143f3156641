// Holds the journal in etcd to its promises whatever becomes of each call: done, lost on the way there or back, or done later; in any order.
// Must not decide by chance: fast-check names what it drew.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { Boot } from '../../simulator/kernel/kernel.ts'
import { TestLeader, type TestStore } from '../../src/journal/conformance/index.ts'
import { allRows, plain } from '../../src/journal/conformance/leader.ts'
import type { TransactionRequest } from '../../src/journal/etcd/api.ts'
import type { Append } from '../../src/journal/index.ts'
import { verifyStore } from '../../src/journal/index.ts'
import { EtcdBench } from './etcd-place.ts'

type Fate = 'done' | 'lost before' | 'lost after' | 'late'

const fates = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.constant<Fate>('done') },
    { weight: 1, arbitrary: fc.constantFrom<Fate>('lost before', 'lost after', 'late') },
  ),
  { minLength: 1, maxLength: 60 },
)

const command = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      who: fc.nat(2),
      payload: fc.constantFrom(-1, 5, 100_000),
      rows: fc.nat(40),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('claim' as const), who: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('resign' as const, 'kill' as const, 'snapshot' as const), who: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('pass' as const), ms: fc.constantFrom(1, 50, 700) }) },
)

type Command = typeof command extends fc.Arbitrary<infer C> ? C : never

/** One candidate as a run plays it. */
interface Player {
  store: TestStore
  leader: TestLeader | undefined
  dropped: number
}

class Run {
  readonly bench: EtcdBench
  readonly #players: Player[] = []
  readonly #answers: Promise<unknown>[] = []
  readonly acknowledged: Append[] = []
  /** Who led when a write that only a leader may do had its effect, and who did it. */
  readonly breaches: string[] = []
  #leading: Boot | undefined
  #places = 1

  constructor(seed: number, drawn: readonly Fate[]) {
    this.bench = new EtcdBench(seed)
    let at = 0
    const { server } = this.bench
    const writes = (request: TransactionRequest): boolean => request.success.some(one => !('range' in one))
    server.fateOf = request => (request && writes(request) ? drawn[at++ % drawn.length] : 'done')
    server.transacted = (request, succeeded, boot) => {
      if (!succeeded || boot === undefined) return
      if (request.success.some(one => 'put' in one && one.put.key === 'leader')) this.#leading = boot
      else if (boot !== this.#leading) this.breaches.push(`${boot.node.name} wrote where ${this.#leading?.node.name} leads`)
    }
  }

  async begin(): Promise<void> {
    for (let who = 0; who < 3; who++)
      this.#players.push({ store: await this.bench.open({ rowBytesKept: who * 2000 }), leader: undefined, dropped: 0 })
  }

  async play(one: Command): Promise<void> {
    if (one.kind === 'pass') return this.bench.pass(one.ms)
    const player = this.#players[one.who]!
    switch (one.kind) {
      case 'claim':
        player.leader = await TestLeader.claim(player.store, `c${one.who}`).catch(() => undefined)
        return
      case 'resign':
        player.leader = undefined
        return player.store.leadership.resign().catch(() => undefined)
      case 'kill':
        this.bench.crash(player.store)
        player.leader = undefined
        player.store = await this.bench.open()
        return
      case 'snapshot':
        if (player.leader)
          this.#answers.push(
            player.leader
              .snapshot()
              .then(() => player.store.journal.compact(player.leader?.epoch ?? 0, 1e6))
              .catch(() => undefined),
          )
        return
      case 'append':
        return this.#append(player, one)
    }
  }

  #append({ store, leader }: Player, { payload, rows }: { payload: number; rows: number }): void {
    if (!leader) return
    const payloads = payload < 0 ? [] : [leader.payload(payload, 3)]
    const number = leader.next * 100
    const history = {
      rows: Array.from({ length: rows }, (_, at) => ({
        ...{
          number: number + at,
          place: this.#places++,
          job: `job-${number + at}-${leader.epoch}`,
          name: 'n',
          state: 'succeeded' as const,
        },
        ...{ labels: [], submittedAtMs: number, payloads: [], body: Buffer.alloc(10) },
      })),
    }
    const drops = leader.next % 3 === 0 ? [leader.epoch * 1000, leader.epoch * 1000 + 2] : []
    const append = leader.make({ count: 2, payloads, drops, history })
    const answered = store.journal.append(append).then(outcome => {
      if (outcome === 'durable') this.acknowledged.push(append)
    })
    this.#answers.push(answered.catch(() => undefined))
  }

  /** All of it is over, also what is late. */
  async end(): Promise<TestStore> {
    let open = true
    const all = Promise.all(this.#answers).then(() => {
      open = false
    })
    // A process that was killed never answers.
    for (let waited = 0; open && waited < 60; waited++) await Promise.race([all, this.bench.pass(500)])
    this.bench.server.fateOf = undefined
    await this.bench.pass(10_000)
    const store = await this.bench.open()
    await (await TestLeader.claim(store, 'last')).append()
    return store
  }
}

describe('the journal in etcd, whatever becomes of each call', () => {
  it('has all that was acknowledged exactly once, and nothing of who was fenced', async () => {
    const property = fc.asyncProperty(
      fc.nat(),
      fates,
      fc.array(command, { minLength: 5, maxLength: 40 }),
      async (seed, drawn, commands) => {
        const run = new Run(seed, drawn)
        try {
          await run.begin()
          await run.play({ kind: 'claim', who: 0 })
          for (const one of commands) await run.play(one)
          const store = await run.end()
          assert.deepEqual(run.breaches, [])
          const { firstIndex } = await store.journal.size()
          const rows = await allRows(store)
          for (const { firstIndex: index, records } of run.acknowledged.filter(one => one.firstIndex >= firstIndex)) {
            const there = rows.filter(row => row.firstIndex === index)
            assert.equal(there.length, 1, `row ${index}`)
            assert.deepEqual(plain(there[0]!.records), plain(records))
          }
          assert.deepEqual((await verifyStore(store)).problems, [])
          const todos = await run.bench.server.connect().range({ key: 'todo/', end: 'todo0', countOnly: true })
          assert.equal(todos.count, 0)
        } finally {
          run.bench.end()
        }
      },
    )
    await fc.assert(property, { numRuns: 60 })
  })
})

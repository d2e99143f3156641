// Shows what the journal in etcd does where etcd, or the way to it, is not as one wishes: order, lease, watch, space, sweeps across crashes, what is not ours.
// Must not sleep: the simulated server's time runs by itself.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { rejectsWith, TestLeader, type TestStore } from '../../src/journal/conformance/index.ts'
import { allRows, plain } from '../../src/journal/conformance/leader.ts'
import type { TransactionRequest } from '../../src/journal/etcd/api.ts'
import { encodeLeader, sealed } from '../../src/journal/etcd/values.ts'
import { type HistoryRow, verifyStore } from '../../src/journal/index.ts'
import type { CoxswainError } from '../../src/protocol/index.ts'
import { EtcdBench } from './etcd-place.ts'

function on(name: string, run: (bench: EtcdBench) => Promise<void>): void {
  it(name, async () => {
    const bench = new EtcdBench()
    try {
      await run(bench)
    } finally {
      bench.end()
    }
  })
}

const puts = (request: TransactionRequest | undefined, prefix: string): boolean =>
  request?.success.some(one => 'put' in one && one.put.key.startsWith(prefix)) === true

/** Resolves with what the store said when it lost the leadership; undefined: it was deposed. */
const lossOf = (store: TestStore): Promise<CoxswainError | undefined> => new Promise(resolve => store.leadership.onLost(resolve))

function rowsOf(count: number, from = 1): HistoryRow[] {
  return Array.from({ length: count }, (_, at) => ({
    ...{ number: from + at, place: from + at, job: `job-${from + at}`, name: 'n', state: 'succeeded' as const },
    ...{ labels: [], submittedAtMs: 1, payloads: [], body: Buffer.from('b') },
  }))
}

describe('appends to etcd', () => {
  on('that arrive out of order are sent again after those before them', async bench => {
    const store = await bench.open({ inFlightMax: 4 })
    const leader = await TestLeader.claim(store)
    bench.server.mood.latencyMs = 5
    let refused = 0
    bench.server.transacted = (_, succeeded) => {
      if (!succeeded) refused++
    }
    const outcomes = await Promise.all(Array.from({ length: 60 }, () => store.journal.append(leader.make())))
    assert.deepEqual(new Set(outcomes), new Set(['durable']))
    assert.ok(refused > 0, 'some came too early')
    assert.deepEqual((await verifyStore(store)).problems, [])
  })

  for (const fate of ['lost before', 'lost after', 'late'] as const) {
    on(`whose outcome is not known are sent again, and are there once: ${fate}`, async bench => {
      const store = await bench.open()
      const leader = await TestLeader.claim(store)
      let tries = 0
      bench.server.fateOf = request => (puts(request, 'row/') && tries++ < 2 ? fate : 'done')
      const append = leader.make({ count: 3, payloads: [leader.payload(10)] })
      assert.equal(await store.journal.append(append), 'durable')
      assert.ok(tries >= 3)
      await bench.pass(5000)
      const rows = await allRows(store)
      assert.deepEqual([rows.length, plain(rows[1]!.records)], [2, plain(append.records)])
      assert.equal((await store.journal.size()).payloads, 1)
    })
  }

  on('are refused where etcd is not heard in time, and the leadership is over', async bench => {
    const store = await bench.open()
    const leader = await TestLeader.claim(store)
    const loss = lossOf(store)
    bench.server.mood.down = 'noQuorum'
    await rejectsWith(store.journal.append(leader.make()), 'JOURNAL_WRITE_FAILED')
    assert.equal((await loss)?.code, 'JOURNAL_WRITE_FAILED')
    await rejectsWith(store.journal.append(leader.make()), 'JOURNAL_WRITE_FAILED')
    bench.server.mood.down = 'no'
    const again = await TestLeader.claim(store)
    await again.append()
    assert.deepEqual((await verifyStore(store)).problems, [])
  })

  on('are refused with what to do where etcd has no space left', async bench => {
    const store = await bench.open()
    const leader = await TestLeader.claim(store)
    const loss = lossOf(store)
    bench.server.state.quotaBytes = 20_000
    await assert.rejects(
      (async () => {
        for (;;) await leader.append({ recordBytes: 2000 })
      })(),
      /NOSPACE.*etcdctl alarm disarm/,
    )
    assert.match((await loss)?.message ?? '', /NOSPACE/)
    await store.leadership.resign()
    bench.server.heal()
    await (await TestLeader.claim(store)).append()
    assert.deepEqual((await verifyStore(store)).problems, [])
  })

  on('may be as large as they like', async bench => {
    const store = await bench.open()
    const leader = await TestLeader.claim(store)
    const many = Array.from({ length: 3000 }, () => leader.payload(1500))
    const append = leader.make({ count: 10, recordBytes: 400_000, payloads: [leader.payload(3 << 20), ...many] })
    assert.equal(await store.journal.append(append), 'durable')
    const [row] = await store.journal.read(append.firstIndex, 1)
    assert.deepEqual(plain(row!.records), plain(append.records))
    assert.deepEqual(plain(await store.journal.payload(many[2999]!.payload)), plain(many[2999]!.bytes))
    await leader.append({ drops: many.map(({ payload }) => payload) })
    assert.deepEqual(await store.inspect.payloadIds(0, 10), [append.payloads[0]!.payload])
    assert.deepEqual((await verifyStore(store)).problems, [])
  })

  on('refuse a payload that was written before', async bench => {
    const store = await bench.open()
    const leader = await TestLeader.claim(store)
    const payload = leader.payload(10)
    await leader.append({ payloads: [payload] })
    await rejectsWith(store.journal.append(leader.make({ payloads: [payload] })), 'JOURNAL_WRITE_FAILED', `payload ${payload.payload}`)
  })
})

describe('a leader on etcd', () => {
  on('is told by its watch that another one claimed', async bench => {
    const one = await bench.open()
    await TestLeader.claim(one)
    const loss = lossOf(one)
    await TestLeader.claim(await bench.open(), 'two')
    assert.equal(await loss, undefined)
  })

  on('is told too when its watch broke, and what it missed is compacted', async bench => {
    const one = await bench.open()
    await TestLeader.claim(one)
    const loss = lossOf(one)
    bench.server.cut.add(bench.bootOf(one).node.name)
    const two = await bench.open()
    const leader = await TestLeader.claim(two, 'two')
    await leader.append()
    bench.server.state.compact(bench.server.state.revision)
    bench.server.cut.clear()
    assert.equal(await loss, undefined)
  })

  on('gives itself up when it has not heard of the store for as long as its lease lasts', async bench => {
    const store = await bench.open()
    const leader = await TestLeader.claim(store)
    const loss = lossOf(store)
    const begunMs = bench.kernel.nowMs
    bench.server.cut.add(bench.bootOf(store).node.name)
    assert.match((await loss)?.message ?? '', /not heard for/)
    assert.ok(bench.kernel.nowMs - begunMs <= 4000)
    await rejectsWith(store.journal.append(leader.make()), 'JOURNAL_WRITE_FAILED')
  })

  on('goes on while it is heard, and the lease is held; it is gone soon after its death', async bench => {
    const one = await bench.open()
    await TestLeader.claim(one)
    const two = await bench.open()
    await bench.pass(20_000)
    assert.equal((await two.leadership.view()).lease, 'held')
    bench.crash(one)
    await bench.pass(4000)
    assert.equal((await two.leadership.view()).lease, 'gone')
  })

  on('that resigns lets go of the lease at once', async bench => {
    const one = await bench.open()
    await TestLeader.claim(one)
    await one.leadership.resign()
    assert.equal((await one.leadership.view()).lease, 'gone')
  })

  on('takes another lease where its own ended and nobody claimed', async bench => {
    const one = await bench.open()
    const leader = await TestLeader.claim(one)
    bench.server.state.revoke('1')
    assert.equal((await one.leadership.view()).lease, 'gone')
    await bench.pass(3000)
    assert.equal((await one.leadership.view()).lease, 'held')
    await leader.append()
  })

  on('is deposed whatever its renewals say', async bench => {
    bench.server.mood.leaseLies = 1
    const one = await bench.open()
    const leader = await TestLeader.claim(one)
    bench.server.state.revoke('1')
    const two = await bench.open()
    await TestLeader.claim(two, 'two')
    assert.equal(await one.journal.append(leader.make()), 'fenced')
  })

  on('that stood still for longer than its lease gives itself up before it reads anything', async bench => {
    const one = await bench.open()
    await TestLeader.claim(one)
    const loss = lossOf(one)
    bench.kernel.pause(bench.bootOf(one).node)
    await bench.pass(10_000)
    bench.kernel.resume(bench.bootOf(one).node)
    assert.match((await loss)?.message ?? '', /not heard for/)
  })

  on('whose claim was answered late leads all the same', async bench => {
    const store = await bench.open()
    let claims = 0
    bench.server.fateOf = request => (puts(request, 'leader') && claims++ === 0 ? 'lost after' : 'done')
    await (await TestLeader.claim(store)).append()
    assert.deepEqual([claims, (await store.journal.size()).lastIndex], [2, 2])
  })
})

describe('what an append leaves to be done', () => {
  /** The append of which every transaction may be the last: rows, what is emptied and forgotten, drops, large payloads. */
  async function busy(leader: TestLeader, kept: number[]): Promise<void> {
    const payloads = Array.from({ length: 120 }, () => leader.payload(70_000))
    kept.push(...payloads.map(({ payload }) => payload))
    await leader.append({ payloads: payloads.slice(0, 60), history: { rows: rowsOf(30) } })
    await leader.append({
      payloads: payloads.slice(60),
      history: {
        rows: rowsOf(5, 31)
          .map(row => ({ ...row, payloads: kept.slice(0, 45) }))
          .slice(0, 1),
      },
    })
    const append = leader.make({
      payloads: [leader.payload(2 << 20)],
      drops: kept.slice(50, 115),
      history: { rows: rowsOf(70, 100), emptied: { first: 31, count: 1 }, forgotten: { first: 1, count: 25 } },
    })
    await leader.store.journal.append(append)
    await leader.store.journal.size()
  }

  on('is done by the next leader, whichever transaction was the last', async bench => {
    let transactions = 0
    bench.server.transacted = () => transactions++
    const store = await bench.open()
    await busy(await TestLeader.claim(store), [])
    const expected = await store.journal.size()
    assert.deepEqual([expected.historyRows, expected.payloads], [76, 120 - 65 - 45 + 1])
    assert.deepEqual((await verifyStore(store)).problems, [])
    const whole = transactions
    assert.ok(whole > 20)
    for (let last = 4; last <= whole; last++) await crashedAfter(last, expected)
  })

  async function crashedAfter(last: number, expected: Awaited<ReturnType<TestStore['journal']['size']>>): Promise<void> {
    const bench = new EtcdBench()
    try {
      const store = await bench.open()
      let transactions = 0
      bench.server.transacted = () => {
        if (++transactions === last) bench.crash(store)
      }
      const over = busy(await TestLeader.claim(store), [])
      over.catch(() => undefined)
      await Promise.race([over, bench.pass(3000)])
      bench.server.transacted = undefined
      const next = await bench.open()
      const leader = await TestLeader.claim(next, 'next')
      await leader.append()
      const { lastIndex, historyRows, payloads } = await next.journal.size()
      assert.deepEqual((await verifyStore(next)).problems, [], `after transaction ${last}`)
      const keys = async (key: string, end: string): Promise<number> =>
        (await bench.server.connect().range({ key, end, countOnly: true })).count
      assert.deepEqual([await keys('todo/', 'todo0'), await keys('blob/t', 'blob/u')], [0, 0])
      if (lastIndex === 6) assert.deepEqual([historyRows, payloads], [expected.historyRows, expected.payloads], `after transaction ${last}`)
      const ids = await next.inspect.payloadIds(0, 1000)
      const parts = await bench.server.connect().range({ key: 'blob/p', end: 'blob/q', keysOnly: true })
      const owners = new Set(parts.rows.map(({ key }) => Number.parseInt(key.slice(6, 22), 16)))
      assert.deepEqual(
        [...owners].sort((a, b) => a - b),
        ids.filter(id => owners.has(id)),
        'no parts without a payload',
      )
    } finally {
      bench.end()
    }
  }
})

describe('a prefix in etcd', () => {
  on('with foreign data is refused, and nothing is changed', async bench => {
    const etcd = bench.server.connect()
    await etcd.transact({ compare: [], success: [{ put: { key: 'registry/pods', value: Buffer.from('x') } }] })
    const { revision } = bench.server.state
    await rejectsWith(bench.open(), 'FOREIGN_DATA', 'registry/pods')
    assert.equal(bench.server.state.revision, revision)
  })

  on('on a release of etcd with bugs that matter is read, and led only where that is allowed', async bench => {
    bench.server.version = '3.6.8'
    const store = await bench.open()
    await rejectsWith(TestLeader.claim(store), 'UNSAFE_ETCD')
    assert.deepEqual(await store.journal.read(1, 1), [])
    await (await TestLeader.claim(await bench.open({ allowUnsafe: true }))).append()
    bench.server.version = '3.6.9'
    await (await TestLeader.claim(store)).append()
  })

  on('of a newer release is refused, and nothing is changed', async bench => {
    const first = await bench.open()
    await TestLeader.claim(first)
    await first.close()
    const value = encodeLeader({ epoch: 1, leader: 'one', pid: 1, processStart: '', address: '', claim: '1' })
    for (const change of [/"format":1/, /"records":\d+/] as const) {
      const json = value
        .subarray(4)
        .toString()
        .replace(change, found => found.replace(/\d+/, '99'))
      await bench.server.connect().transact({ compare: [], success: [{ put: { key: 'leader', value: sealed(Buffer.from(json)) } }] })
      await rejectsWith(bench.open(), 'JOURNAL_VERSION')
    }
  })

  on('whose leader or end is damaged, or gone, is refused', async bench => {
    const first = await bench.open()
    await TestLeader.claim(first)
    await first.close()
    const etcd = bench.server.connect()
    for (const key of ['leader', 'end']) {
      const [kept] = (await etcd.range({ key })).rows
      const hurt = Uint8Array.from(kept!.value)
      hurt[20]! ^= 1
      await etcd.transact({ compare: [], success: [{ put: { key, value: hurt } }] })
      await rejectsWith(bench.open(), 'JOURNAL_CORRUPT', key)
      await etcd.transact({ compare: [], success: [{ delete: { key } }] })
      await rejectsWith(bench.open(), 'JOURNAL_CORRUPT', key)
      await etcd.transact({ compare: [], success: [{ put: { key, value: kept!.value } }] })
    }
    await (await TestLeader.claim(await bench.open())).append()
  })
})

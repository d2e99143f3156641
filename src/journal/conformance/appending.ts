// Owns the suite's cases about appending, reading and fencing.
// Must not know any backend.
import assert from 'node:assert/strict'
import { noHash } from '../row.ts'
import { verifyStore } from '../verify.ts'
import type { Case } from './backend.ts'
import { allRows, plain, rejectsWith, TestLeader } from './leader.ts'

/** Cases about appending. */
export const appending: Record<string, Case> = {
  async 'an empty journal has nothing and no leader'(place) {
    const store = await place.open()
    assert.deepEqual(await store.journal.read(1, 10), [])
    assert.equal(await store.journal.payload(1), undefined)
    assert.equal(await store.snapshots.latest(), undefined)
    assert.deepEqual(await store.leadership.view(), { epoch: 0, leader: '', pid: 0, processStart: '', address: '' })
    const { diskBytes: _, ...size } = await store.journal.size()
    assert.deepEqual(size, { firstIndex: 1, lastIndex: 0, rows: 0, rowBytes: 0, payloads: 0, payloadBytes: 0, historyRows: 0 })
    await store.close()
  },

  async 'what was appended is read back, in a chain of hashes'(place) {
    const store = await place.open()
    const leader = await TestLeader.claim(store)
    const appends = [leader.make({ count: 3 }), leader.make({ count: 1 }), leader.make({ count: 5 })]
    for (const append of appends) assert.equal(await store.journal.append(append), 'durable')
    const rows = await allRows(store)
    assert.deepEqual(
      rows.map(row => [row.firstIndex, row.count, row.epoch]),
      [
        [1, 1, 1],
        [2, 3, 1],
        [5, 1, 1],
        [6, 5, 1],
      ],
    )
    assert.deepEqual(
      rows.slice(1).map(row => plain(row.records)),
      appends.map(({ records }) => plain(records)),
    )
    assert.deepEqual(plain(rows[0]!.previousHash), plain(noHash))
    for (let i = 1; i < rows.length; i++) assert.deepEqual(plain(rows[i]!.previousHash), plain(rows[i - 1]!.hash))
    await store.close()
  },

  async 'reading begins with the row that holds the index'(place) {
    const store = await place.open()
    const leader = await TestLeader.claim(store)
    for (let i = 0; i < 4; i++) await leader.append({ count: 5 })
    assert.deepEqual(
      (await store.journal.read(9, 2)).map(row => row.firstIndex),
      [7, 12],
    )
    assert.deepEqual(
      (await store.journal.read(11, 9)).map(row => row.firstIndex),
      [7, 12, 17],
    )
    assert.deepEqual(
      (await store.journal.read(21, 9)).map(row => row.firstIndex),
      [17],
    )
    assert.deepEqual(await store.journal.read(22, 9), [])
    assert.deepEqual(await store.journal.read(22, 1), [])
    assert.deepEqual(await store.journal.read(1000, 9), [])
    await store.close()
  },

  async 'appends under way at once take effect in the order of the calls'(place) {
    const store = await place.open()
    const leader = await TestLeader.claim(store)
    const order: number[] = []
    const outcomes = await Promise.all(
      Array.from({ length: 100 }, (_, i) =>
        store.journal.append(leader.make({ count: (i % 3) + 1 })).then(outcome => {
          order.push(i)
          return outcome
        }),
      ),
    )
    assert.ok(outcomes.every(outcome => outcome === 'durable'))
    assert.deepEqual(
      order,
      [...order].sort((a, b) => a - b),
    )
    assert.equal((await allRows(store)).length, 101)
    assert.equal((await store.journal.size()).lastIndex, leader.next - 1)
    await store.close()
  },

  async 'bytes may be changed by the caller as soon as append has returned its promise'(place) {
    const store = await place.open()
    const leader = await TestLeader.claim(store)
    const small = leader.payload(10, 1)
    const large = leader.payload(400_000, 2)
    const append = leader.make({ payloads: [small, large] })
    const expected = plain(append.records)
    const done = store.journal.append(append)
    for (const bytes of [append.records, small.bytes, large.bytes]) bytes.fill(9)
    assert.equal(await done, 'durable')
    assert.deepEqual(plain((await store.journal.read(append.firstIndex, 1))[0]!.records), expected)
    assert.deepEqual(plain(await store.journal.payload(small.payload)), Buffer.alloc(10, 1))
    assert.deepEqual(plain(await store.journal.payload(large.payload)), Buffer.alloc(400_000, 2))
    await store.close()
  },

  async 'closing finishes what is under way and refuses the rest'(place) {
    const store = await place.open()
    const leader = await TestLeader.claim(store)
    const under = Array.from({ length: 20 }, () => store.journal.append(leader.make()))
    const closed = store.close()
    assert.deepEqual(new Set(await Promise.all(under)), new Set(['durable']))
    await closed
    await rejectsWith(store.journal.append(leader.make()), 'JOURNAL_WRITE_FAILED')
    await store.close()
    const again = await place.open()
    assert.equal((await again.journal.size()).lastIndex, 21)
    await again.close()
  },
}

/** Cases about giving up on purpose. */
export const resigning: Record<string, Case> = {
  async 'who resigns has settled what came before, is refused from then on, and is not told'(place) {
    const one = await place.open()
    const first = await TestLeader.claim(one)
    let told = 0
    one.leadership.onLost(() => told++)
    const order: string[] = []
    const before = Array.from({ length: 20 }, () => one.journal.append(first.make()).then(outcome => order.push(outcome)))
    const resigned = one.leadership.resign().then(() => order.push('resigned'))
    const after = one.journal.append(first.make())
    await Promise.all([...before, resigned])
    assert.deepEqual(order, [...Array(20).fill('durable'), 'resigned'])
    assert.equal(await after, 'fenced')
    assert.equal((await one.journal.size()).lastIndex, 21)
    await rejectsWith(one.journal.compact(1, 2), 'FENCED')
    const row = (await one.journal.read(21, 1))[0]!
    assert.equal(await one.snapshots.save({ index: 21, epoch: 1, hash: row.hash, state: Buffer.alloc(1) }), 'fenced')
    assert.equal((await one.leadership.view()).epoch, 1, 'the view names who led last')
    const two = await place.open()
    const second = await TestLeader.claim(two, 'two')
    await second.append()
    assert.equal(await one.journal.append(first.make()), 'fenced')
    await two.leadership.resign()
    const third = await TestLeader.claim(one, 'three')
    await third.append()
    assert.deepEqual([third.epoch, told], [3, 0])
    assert.deepEqual((await verifyStore(two)).problems, [])
    await one.close()
    await two.close()
  },

  async 'resigning is harmless for who does not lead'(place) {
    const one = await place.open()
    await one.leadership.resign()
    const leader = await TestLeader.claim(one)
    const two = await place.open()
    await two.leadership.resign()
    await leader.append()
    await one.leadership.resign()
    await one.leadership.resign()
    await (await TestLeader.claim(two, 'two')).append()
    await one.close()
    await two.close()
    await rejectsWith(one.leadership.resign(), 'JOURNAL_WRITE_FAILED')
  },

  async 'a snapshot and a compaction under way when the leader resigns end, and hurt nobody'(place) {
    const one = await place.open()
    const first = await TestLeader.claim(one)
    for (let i = 0; i < 10; i++) await first.append({ count: 3 })
    const older = await first.snapshot()
    await first.append()
    const row = (await one.journal.read(first.next - 1, 1))[0]!
    const saved = one.snapshots.save({ index: first.next - 1, epoch: 1, hash: row.hash, state: Buffer.alloc(20 << 20, 1) })
    const compacted = one.journal.compact(1, first.next).catch((error: unknown) => error)
    await one.leadership.resign()
    const two = await place.open()
    const second = await TestLeader.claim(two, 'two')
    const outcome = await saved
    await compacted
    assert.equal((await two.snapshots.latest())?.index, outcome === 'durable' ? row.firstIndex : older.index)
    await second.append()
    await second.snapshot()
    assert.deepEqual((await verifyStore(two)).problems, [])
    await one.close()
    await two.close()
  },
}

/** Cases about fencing. */
export const fencing: Record<string, Case> = {
  async 'an append refuses all behind it when its index is not the next'(place) {
    const store = await place.open()
    const leader = await TestLeader.claim(store)
    let lost = 0
    store.leadership.onLost(() => lost++)
    const good = leader.make()
    const bad = { ...leader.make(), firstIndex: 77 }
    const behind = { ...leader.make(), firstIndex: good.firstIndex + 1 }
    assert.deepEqual(await Promise.all([good, bad, behind].map(append => store.journal.append(append))), ['durable', 'fenced', 'fenced'])
    assert.equal(await store.journal.append(behind), 'fenced')
    assert.equal((await store.journal.size()).lastIndex, good.firstIndex)
    assert.equal(lost, 1)
    const again = await TestLeader.claim(store)
    await again.append()
    assert.deepEqual(
      (await allRows(store)).map(row => row.epoch),
      [1, 1, 2, 2],
    )
    await store.close()
  },

  async 'only a handle that claimed this epoch may append'(place) {
    const store = await place.open()
    const stranger = new TestLeader(store)
    assert.equal(await store.journal.append(stranger.make()), 'fenced')
    const leader = await TestLeader.claim(store)
    assert.equal(await store.journal.append({ ...leader.make(), epoch: 2 }), 'fenced')
    assert.equal((await store.journal.size()).lastIndex, 1)
    await store.close()
  },

  async 'a claim on an epoch or an end that is not the present one is lost'(place) {
    const store = await place.open()
    const leader = await TestLeader.claim(store)
    await leader.append({ count: 4 })
    const view = await store.leadership.view()
    const opening = (epoch: number, firstIndex: number) => ({
      epoch,
      firstIndex,
      count: 1,
      records: Buffer.from('x'),
      payloads: [],
      drops: [],
    })
    const claim = { leader: 'two', pid: 1, processStart: '', address: '' }
    assert.equal(await store.leadership.claim({ ...claim, seenEpoch: 0, opening: opening(1, 6) }), 'lost')
    assert.equal(await store.leadership.claim({ ...claim, seenEpoch: 1, opening: opening(2, 5) }), 'lost')
    assert.equal(await store.leadership.claim({ ...claim, seenEpoch: 1, opening: opening(2, 7) }), 'lost')
    await rejectsWith(store.leadership.claim({ ...claim, seenEpoch: 1, opening: opening(3, 6) }), 'INVALID_ARGUMENT')
    assert.deepEqual(await store.leadership.view(), view)
    assert.equal((await store.journal.size()).lastIndex, 5)
    await store.close()
  },

  async 'a second leader is refused, or deposes the first'(place, { rivalClaim }) {
    const one = await place.open()
    const first = await TestLeader.claim(one)
    const lost = new Promise<void>(resolve => one.leadership.onLost(() => resolve()))
    const two = await place.open()
    if (rivalClaim === 'refused') {
      await rejectsWith(TestLeader.claim(two, 'two'), 'STATE_FOLDER_IN_USE')
      await first.append()
      await (place.crash?.(one) ?? one.close())
    }
    const second = await TestLeader.claim(two, 'two')
    await second.append()
    if (rivalClaim === 'wins') {
      await lost
      assert.equal(await one.journal.append(first.make()), 'fenced')
      const row = (await one.journal.read(second.next - 1, 1))[0]!
      assert.equal(await one.snapshots.save({ index: second.next - 1, epoch: 1, hash: row.hash, state: Buffer.alloc(1) }), 'fenced')
      await rejectsWith(one.journal.compact(1, 2), 'FENCED')
      await one.close()
    }
    const { leader, epoch, pid, processStart, address } = await two.leadership.view()
    assert.deepEqual([leader, epoch, pid, processStart, address], ['two', 2, process.pid, '17', 'ws://127.0.0.1:1'])
    await two.close()
  },

  async 'all that was acknowledged is there for the next leader'(place) {
    const one = await place.open()
    const leader = await TestLeader.claim(one)
    const payload = leader.payload(300_000)
    await leader.append({ count: 7, payloads: [payload] })
    const rows = await allRows(one)
    await (place.crash?.(one) ?? one.close())
    const two = await place.open()
    const next = await TestLeader.claim(two, 'two')
    await next.append()
    assert.deepEqual((await allRows(two)).slice(0, rows.length), rows)
    assert.deepEqual(plain(await two.journal.payload(payload.payload)), plain(payload.bytes))
    assert.deepEqual((await verifyStore(two)).problems, [])
    await two.close()
  },
}

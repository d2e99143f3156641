// Owns the suite's cases about payloads, snapshots and compaction.
// Must not know any backend.
import assert from 'node:assert/strict'
import type { Snapshot } from '../journal.ts'
import { verifyStore } from '../verify.ts'
import type { Case } from './backend.ts'
import { allRows, plain, rejectsWith, TestLeader } from './leader.ts'

/** Cases about payloads. */
export const payloads: Record<string, Case> = {
  async 'payloads of every size are kept until they are dropped'(place, { bytesPerPayload = 0 }) {
    const store = await place.open()
    const leader = await TestLeader.claim(store)
    const sizes = [0, 1, 100, 65_536, 262_143, 262_144, 1 << 20, 5 << 20]
    const written = sizes.map((bytes, i) => leader.payload(bytes, i))
    for (const payload of written) await leader.append({ payloads: [payload] })
    await leader.append({ payloads: [leader.payload(200_000), leader.payload(100_000), leader.payload(0)] })
    for (const { payload, bytes } of written) assert.deepEqual(plain(await store.journal.payload(payload)), plain(bytes))
    const before = await store.journal.size()
    assert.deepEqual([before.payloads, before.payloadBytes], [11, sizes.reduce((a, b) => a + b) + 300_000 + 11 * bytesPerPayload])
    await leader.append({ drops: [written[0]!.payload, written[3]!.payload, written[7]!.payload, 999_999] })
    assert.equal(await store.journal.payload(written[3]!.payload), undefined)
    assert.equal(await store.journal.payload(written[7]!.payload), undefined)
    assert.deepEqual(plain(await store.journal.payload(written[6]!.payload)), plain(written[6]!.bytes))
    const after = await store.journal.size()
    assert.deepEqual([after.payloads, before.payloadBytes - after.payloadBytes], [8, 65_536 + (5 << 20) + 3 * bytesPerPayload])
    assert.deepEqual((await verifyStore(store)).problems, [])
    await store.close()
  },

  async 'an append may drop what it writes, and a refused one neither writes nor drops'(place) {
    const store = await place.open()
    const leader = await TestLeader.claim(store)
    const kept = leader.payload(10)
    await leader.append({ payloads: [kept] })
    const brief = leader.payload(10)
    await leader.append({ payloads: [brief], drops: [brief.payload] })
    assert.equal(await store.journal.payload(brief.payload), undefined)
    const never = leader.payload(10)
    const refused = { ...leader.make({ payloads: [never], drops: [kept.payload] }), firstIndex: 99 }
    assert.equal(await store.journal.append(refused), 'fenced')
    assert.equal(await store.journal.payload(never.payload), undefined)
    assert.notEqual(await store.journal.payload(kept.payload), undefined)
    await store.close()
  },
}

/** Cases about snapshots. */
export const snapshots: Record<string, Case> = {
  async 'the newest snapshot is found, also by the next leader'(place) {
    const one = await place.open()
    const leader = await TestLeader.claim(one)
    await leader.snapshot()
    await leader.append({ count: 3 })
    const large = await leader.snapshot(Buffer.alloc(9 << 20, 3))
    await leader.append()
    const found = await one.snapshots.latest()
    assert.deepEqual([found?.index, found?.epoch, plain(found?.hash), found?.state.length], [large.index, 1, plain(large.hash), 9 << 20])
    assert.deepEqual(plain(found?.state), plain(large.state))
    for (let i = 0; i < 3; i++) {
      await leader.append()
      await leader.snapshot()
    }
    assert.deepEqual(
      (await one.inspect.snapshots()).map(({ index }) => index),
      [leader.next - 2, leader.next - 1],
    )
    await (place.crash?.(one) ?? one.close())
    const two = await place.open()
    assert.equal((await two.snapshots.latest())?.index, leader.next - 1)
    await two.close()
  },

  async 'a snapshot of no row, of an older state, or of a stranger is refused'(place) {
    const store = await place.open()
    const leader = await TestLeader.claim(store)
    await leader.append({ count: 3 })
    const { index, hash, epoch, state } = await leader.snapshot()
    const save = (change: Partial<Snapshot>) => store.snapshots.save({ index, hash, epoch, state, ...change })
    await rejectsWith(save({ index: index - 1 }), 'INVALID_ARGUMENT')
    await rejectsWith(save({ index: index + 1 }), 'INVALID_ARGUMENT')
    await rejectsWith(save({ hash: Buffer.alloc(32, 1) }), 'INVALID_ARGUMENT')
    const [first] = await store.journal.read(1, 1)
    await rejectsWith(save({ index: 1, hash: first!.hash }), 'INVALID_ARGUMENT')
    assert.equal(await save({ epoch: 2 }), 'fenced')
    assert.equal((await store.snapshots.latest())?.index, index)
    await store.close()
  },
}

/** Cases about compaction. */
export const compaction: Record<string, Case> = {
  async 'rows go only behind the older of two snapshots, and never the newest'(place) {
    const store = await place.open()
    const leader = await TestLeader.claim(store)
    const firstIndex = async () => (await store.journal.size()).firstIndex
    for (let i = 0; i < 5; i++) await leader.append({ count: 2 })
    await store.journal.compact(1, leader.next)
    assert.equal(await firstIndex(), 1, 'without a snapshot nothing goes')
    const older = await leader.snapshot()
    await leader.append({ count: 2 })
    await store.journal.compact(1, leader.next)
    assert.equal(await firstIndex(), 1, 'with one snapshot nothing goes')
    await leader.snapshot()
    await store.journal.compact(1, 3)
    assert.equal(await firstIndex(), 2, 'only rows that end before the index')
    await store.journal.compact(1, leader.next)
    assert.equal(await firstIndex(), older.index + 1, 'the older snapshot can still be started from')
    const rows = await allRows(store)
    assert.deepEqual(
      rows.map(row => row.firstIndex),
      [older.index + 1],
    )
    const { rows: counted, rowBytes } = await store.journal.size()
    assert.equal(counted, 1)
    assert.ok(rowBytes >= 32)
    await rejectsWith(store.journal.compact(2, leader.next), 'FENCED')
    assert.deepEqual((await verifyStore(store)).problems, [])
    await leader.append()
    await store.close()
  },

  async 'rows within the budget are kept for stories'(place) {
    const store = await place.open()
    const leader = await TestLeader.claim(store)
    for (let i = 0; i < 20; i++) await leader.append({ recordBytes: 1000 })
    await leader.snapshot()
    await leader.append()
    await leader.snapshot()
    const before = await store.journal.size()
    await store.journal.compact(1, leader.next)
    assert.deepEqual(await store.journal.size().then(({ rows }) => rows), before.rows)
    await store.close()
  },
}

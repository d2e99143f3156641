// Owns the suite's cases about damage: it is named, and nothing damaged is used.
// Must not know any backend.
import assert from 'node:assert/strict'
import { verifyStore } from '../verify.ts'
import type { Case, Place, TestStore } from './backend.ts'
import { plain, rejectsWith, TestLeader } from './leader.ts'

async function damaged(place: Place, store: TestStore, what: (damage: NonNullable<Place['damage']>) => Promise<void>): Promise<TestStore> {
  await store.close()
  await what(place.damage!)
  return place.open()
}

/** Cases about corruption. */
export const corruption: Record<string, Case> = {
  async 'a damaged row is named, and nothing behind it is read'(place) {
    const store = await place.open()
    const leader = await TestLeader.claim(store)
    for (let i = 0; i < 6; i++) await leader.append({ count: 2 })
    const hurt = await damaged(place, store, damage => damage.row(6))
    assert.equal((await hurt.journal.read(1, 3)).length, 3)
    await rejectsWith(hurt.journal.read(1, 100), 'JOURNAL_CORRUPT', '6')
    await rejectsWith(hurt.journal.read(6, 1), 'JOURNAL_CORRUPT', '6')
    const report = await verifyStore(hurt)
    assert.equal(report.rows, 3)
    assert.match(report.problems[0]!, /record 6 does not match its hash/)
    await hurt.close()
  },

  async 'nobody leads on a damaged end'(place) {
    const store = await place.open()
    const leader = await TestLeader.claim(store)
    await leader.append()
    const hurt = await damaged(place, store, damage => damage.row(2))
    await rejectsWith(TestLeader.claim(hurt), 'JOURNAL_CORRUPT', '2')
    assert.equal((await hurt.journal.size()).lastIndex, 2)
    await hurt.close()
  },

  async 'a damaged payload is named, others are read'(place) {
    const store = await place.open()
    const leader = await TestLeader.claim(store)
    const [small, large, other] = [leader.payload(100), leader.payload(300_000), leader.payload(100)]
    await leader.append({ payloads: [small] })
    await leader.append({ payloads: [large] })
    await leader.append({ payloads: [other] })
    const hurt = await damaged(place, store, async damage => {
      await damage.payload(small.payload)
      await damage.payload(large.payload)
    })
    await rejectsWith(hurt.journal.payload(small.payload), 'JOURNAL_CORRUPT', `payload ${small.payload}`)
    await rejectsWith(hurt.journal.payload(large.payload), 'JOURNAL_CORRUPT', `payload ${large.payload}`)
    assert.deepEqual(plain(await hurt.journal.payload(other.payload)), plain(other.bytes))
    const { problems } = await verifyStore(hurt)
    assert.equal(problems.length, 2)
    await hurt.close()
  },

  async 'a damaged snapshot gives way to the one before it'(place) {
    const store = await place.open()
    const leader = await TestLeader.claim(store)
    const older = await leader.snapshot()
    await leader.append()
    const newer = await leader.snapshot()
    await leader.append()
    const hurt = await damaged(place, store, damage => damage.snapshot(newer.index))
    assert.equal((await hurt.snapshots.latest())?.index, older.index)
    assert.match((await verifyStore(hurt)).problems[0]!, new RegExp(`snapshot at record ${newer.index} `))
    const again = await TestLeader.claim(hurt)
    const third = await again.snapshot()
    // The damaged one does not count: the good older one stays to be fallen back to.
    const worse = await damaged(place, hurt, damage => damage.snapshot(third.index))
    assert.equal((await worse.snapshots.latest())?.index, older.index)
    const worst = await damaged(place, worse, damage => damage.snapshot(older.index))
    assert.equal(await worst.snapshots.latest(), undefined, 'the journal still begins at its first record')
    await worst.close()
  },

  async 'without any good snapshot a compacted journal is refused'(place) {
    const store = await place.open()
    const leader = await TestLeader.claim(store)
    await leader.append()
    const older = await leader.snapshot()
    await leader.append()
    const newer = await leader.snapshot()
    await store.journal.compact(1, leader.next)
    const hurt = await damaged(place, store, async damage => {
      await damage.snapshot(older.index)
      await damage.snapshot(newer.index)
    })
    await rejectsWith(hurt.snapshots.latest(), 'JOURNAL_CORRUPT')
    await hurt.close()
  },
}

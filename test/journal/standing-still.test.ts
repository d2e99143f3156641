// Shows what only threads can: who stands still for an append knows how it ended without a message, and is told by one where it gave up too early.
// Must not assert how long anything takes.
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { TestLeader, type TestStore } from '../../src/journal/conformance/index.ts'
import { sqlitePlace } from './sqlite-place.ts'

/** Longer than any append of these tests takes. */
const longMs = 60_000

/** Everything that promises have to do, and nothing that the event loop would bring. */
async function afterPromises(): Promise<void> {
  for (let hop = 0; hop < 20; hop++) await undefined
}

describe('standing still', () => {
  let place: ReturnType<typeof sqlitePlace>
  let store: TestStore
  let leader: TestLeader
  beforeEach(async () => {
    place = sqlitePlace(0)
    store = await place.open()
    leader = await TestLeader.claim(store)
  })
  afterEach(async () => {
    await store.close()
    await place.remove()
  })

  it('settles the append before anything else happens', async () => {
    for (let round = 0; round < 20; round++) {
      let outcome: string | undefined
      store.journal.append(leader.make()).then(given => {
        outcome = given
      })
      store.journal.standStill!(longMs)
      await afterPromises()
      assert.equal(outcome, 'durable')
    }
  })

  it('ends after its time, and the append is told of as if nobody had stood still', async () => {
    const large = leader.payload(64 << 20)
    let outcome: string | undefined
    const append = store.journal.append(leader.make({ payloads: [large] })).then(given => {
      outcome = given
    })
    store.journal.standStill!(0.01)
    await afterPromises()
    assert.equal(outcome, undefined)
    await append
    assert.equal(outcome, 'durable')
  })

  it('ends for a refusal too', async () => {
    const refused = store.journal.append({ ...leader.make(), epoch: leader.epoch + 1 })
    store.journal.standStill!(longMs)
    assert.equal(await refused, 'fenced')
  })

  it('loses nothing, however long it is, and whoever was roused', async () => {
    const { journal } = store
    journal.rouse!()
    journal.standStill!(longMs)
    const outcomes: string[] = []
    const underWay: Promise<unknown>[] = []
    for (let round = 0; round < 200; round++) {
      if (round % 2 === 0) journal.rouse!()
      for (let appends = 0; appends <= round % 3; appends++)
        underWay.push(journal.append(leader.make()).then(outcome => outcomes.push(outcome)))
      // Too short, about as long as it takes, and long enough.
      journal.standStill!([0, 0.05, 0.1, 0.2, longMs][round % 5]!)
      if (round % 7 === 0) await Promise.all(underWay)
    }
    await Promise.all(underWay)
    assert.deepEqual(
      outcomes,
      underWay.map(() => 'durable'),
    )
  })
})

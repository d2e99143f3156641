// Shows the leader's small parts by themselves: the mailbox, the detector of silence, the loop.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { createObserved, createState, defaultLimits } from '../../src/core/index.ts'
import { createMemoryStore } from '../../src/journal/index.ts'
import { SilenceDetector, silenceBoundMaxMs, silenceBoundMinMs } from '../../src/leader/detector.ts'
import { Loop } from '../../src/leader/loop.ts'
import { Mailbox, mailboxBytesMax, mailboxLettersMax } from '../../src/leader/mailbox.ts'
import { World } from '../fakes/world.ts'

describe('the mailbox', () => {
  const letter = (bytes: number) => ({ command: { kind: 'endSession' as const, session: `${bytes}` }, bytes, reply: () => {} })

  it('gives letters in their order, within its limits, and knows what it holds', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat({ max: 9 }), fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 20 }))), script => {
        const mailbox = new Mailbox()
        const plain: number[] = []
        for (const [puts, lettersMax, bytesMax] of script) {
          for (let i = 0; i < puts; i++) {
            mailbox.put(letter(i))
            plain.push(i)
          }
          const taken = mailbox.take(lettersMax, bytesMax).map(one => one.bytes)
          assert.deepEqual(taken, plain.splice(0, taken.length))
          assert(taken.length <= lettersMax && taken.slice(0, -1).reduce((sum, one) => sum + one, 0) < bytesMax)
          assert.equal(mailbox.size, plain.length)
        }
      }),
      { seed: 1 },
    )
  })

  it('is full by letters or by bytes', () => {
    const mailbox = new Mailbox()
    mailbox.put(letter(mailboxBytesMax))
    assert.equal(mailbox.full, true)
    mailbox.take(1, 1)
    assert.equal(mailbox.full, false)
    for (let i = 0; i < mailboxLettersMax; i++) mailbox.put(letter(0))
    assert.equal(mailbox.full, true)
    assert.equal(mailbox.overrun, false)
  })
})

describe('the detector of silence', () => {
  it('waits longer for those that are irregular, within its bounds', () => {
    const regular = new SilenceDetector(0)
    assert.equal(regular.boundMs, silenceBoundMaxMs)
    for (let ms = 500; ms <= 20_000; ms += 500) regular.seen(ms)
    assert.equal(regular.boundMs, silenceBoundMinMs)
    assert.equal(regular.dead(20_000 + silenceBoundMinMs), false)
    assert.equal(regular.dead(20_001 + silenceBoundMinMs), true)
    const irregular = new SilenceDetector(0)
    for (let ms = 0; ms <= 20_000; ms += 1000) irregular.seen(ms + (ms % 3000))
    assert.equal(irregular.boundMs, silenceBoundMaxMs)
    irregular.forgive(60_000)
    assert.equal(irregular.dead(60_000 + silenceBoundMaxMs), false)
  })
})

describe('the loop', () => {
  async function loopOn(world: World) {
    const disk = createMemoryStore()
    const store = disk.open()
    const lost: string[] = []
    const replies: string[] = []
    const state = createState()
    const loop = new Loop({
      state,
      observed: createObserved(),
      journal: store.journal,
      clock: world.clock,
      limits: defaultLimits,
      policy: 'spread',
      nowMs: () => world.nowMs,
      listener: { record: () => undefined, turnEnded: () => () => {}, payload() {}, dropped() {} },
      lost: error => lost.push(error.code),
    })
    const post = (session: string): void =>
      loop.post({ command: { kind: 'endSession', session }, bytes: 0, reply: () => replies.push(session) })
    return { loop, lost, replies, post }
  }

  it('ends when the journal does not take it for the leader, and answers nobody from then on', async () => {
    const world = new World()
    const { loop, lost, replies, post } = await loopOn(world)
    post('a')
    await world.calm()
    assert.deepEqual([lost, replies], [['FENCED'], []])
    post('b')
    loop.schedule()
    loop.whenDurable(() => replies.push('never'))
    await world.calm()
    await loop.end()
    assert.deepEqual([lost, replies], [['FENCED'], []])
  })
})

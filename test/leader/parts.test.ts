// Shows the leader's small parts by themselves: the mailbox, the detector of silence, the loop.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { createObserved, createState, defaultLimits } from '../../src/core/index.ts'
import { createMemoryStore, type Journal } from '../../src/journal/index.ts'
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
  async function loopOn(world: World, journal: Journal = createMemoryStore().open().journal) {
    const lost: string[] = []
    const replies: string[] = []
    const state = createState()
    const loop = new Loop({
      state,
      observed: createObserved(),
      journal,
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

  /** A journal whose appends take `tookMs` each: they are over when it is stood still for so long, or when the test says so. */
  function timed(world: World) {
    const held: (() => void)[] = []
    const journal = {
      tookMs: 0.1,
      stood: 0,
      ...createMemoryStore().open().journal,
      append: () => new Promise<'durable'>(resolve => held.push(() => resolve('durable'))),
      standStill(msMax: number) {
        journal.stood++
        world.nowMs += Math.min(msMax, journal.tookMs)
        if (journal.tookMs <= msMax) held.shift()!()
      },
      /** What is still under way is over now. */
      over() {
        world.nowMs += held.length > 0 ? journal.tookMs : 0
        for (const end of held.splice(0)) end()
      },
    }
    return journal
  }

  async function timedLoop(world: World) {
    const journal = timed(world)
    const { post, replies, loop } = await loopOn(world, journal)
    const call = async (session: string): Promise<void> => {
      world.nowMs += 10
      post(session)
      await world.calm()
      journal.over()
      await world.calm()
    }
    return { journal, call, post, replies, loop }
  }

  it('stands still for its appends once they have shown to be quick', async () => {
    const world = new World()
    const { journal, call, replies } = await timedLoop(world)
    await call('first')
    assert.equal(journal.stood, 0, 'nothing is known of them yet')
    for (let calls = 0; calls < 20; calls++) await call(`${calls}`)
    const before = journal.stood
    assert(before > 0)
    await call('last')
    assert.equal(journal.stood, before + 1)
    assert.deepEqual(replies.length, 22)
  })

  it('stands still no more where the disk has become slow, and goes on', async () => {
    const world = new World()
    const { journal, call, replies } = await timedLoop(world)
    for (let calls = 0; calls < 20; calls++) await call(`${calls}`)
    const before = journal.stood
    journal.tookMs = 4
    for (let calls = 0; calls < 20; calls++) await call(`slow ${calls}`)
    assert.equal(journal.stood, before + 1, 'once, to see it')
    assert.equal(replies.length, 40)
    journal.tookMs = 0.1
    for (let calls = 0; calls < 40; calls++) await call(`quick ${calls}`)
    assert(journal.stood > before + 1, 'it is quick again')
  })

  it('does not stand still where something else waits for its turn', async () => {
    const world = new World()
    const { journal, call, post, replies } = await timedLoop(world)
    for (let calls = 0; calls < 20; calls++) await call(`${calls}`)
    const before = journal.stood
    world.nowMs += 10
    post('one')
    // It arrives after the turn of the first has ended, and before its append is over.
    world.later(() => {
      world.nowMs += 1
      post('two')
    })
    await world.calm()
    journal.over()
    await world.calm()
    assert.deepEqual(replies.slice(-2), ['one', 'two'])
    assert.equal(journal.stood, before + 1, 'for the second only')
  })
})

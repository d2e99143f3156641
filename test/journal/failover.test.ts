// Shows what a claim does beside a leader that is dead, frozen, or about to claim too: with real processes and real signals.
// Must not measure time: `npm run chaos` does.
import assert from 'node:assert/strict'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { rejectsWith, TestLeader } from '../../src/journal/conformance/index.ts'
import { openSqliteStore, verifyStore } from '../../src/journal/index.ts'
import { type Child, ChildrenOnFolder } from './children.ts'

const racesMax = 25

describe('a claim', () => {
  const children = new ChildrenOnFolder()

  async function candidate(name: string): Promise<Child> {
    const made = children.start('./candidate.ts', name)
    assert.equal(await made.line(), 'open')
    return made
  }

  it('succeeds when the leader was killed in the middle of a transaction, of which nothing is left', async () => {
    const store = await openSqliteStore({ folder: children.folder })
    const halfway = children.start('./half-a-transaction.ts', 'SIGKILL')
    assert.deepEqual([await halfway.line(), await halfway.line()], ['claimed', '1'])
    await halfway.ended()
    assert.equal(halfway.process.signalCode, 'SIGKILL')
    assert.ok(statSync(join(children.folder, 'journal.db-wal')).size > 5 << 20, 'part of it was in the log')
    const leader = await TestLeader.claim(store, 'two')
    assert.deepEqual([leader.epoch, leader.next], [2, 4])
    await leader.append()
    assert.deepEqual((await verifyStore(store)).problems, [])
    await store.close()
  })

  it('is refused beside a leader that is frozen in the middle of a transaction, and succeeds when that one is killed', async () => {
    const store = await openSqliteStore({ folder: children.folder })
    const halfway = children.start('./half-a-transaction.ts', 'SIGSTOP')
    assert.deepEqual([await halfway.line(), await halfway.line()], ['claimed', '1'])
    await rejectsWith(TestLeader.claim(store, 'two'), 'STATE_FOLDER_IN_USE', children.folder)
    const view = await store.leadership.view()
    assert.deepEqual([view.leader, view.pid], ['halfway', halfway.process.pid], 'the view says whom to kill')
    // One more that opens only now, beside the open transaction.
    const late = await candidate('late')
    assert.equal(await late.ask('look'), `1 halfway ${halfway.process.pid} 2`)
    assert.equal(await late.ask('claim'), 'STATE_FOLDER_IN_USE')
    assert.equal(await late.ask('read'), '2')
    assert.deepEqual(await halfway.kill(), [], 'it did nothing more')
    assert.equal(await late.ask('claim'), 'claimed')
    assert.equal(await late.ask('append'), 'durable')
    assert.equal((await store.journal.size()).lastIndex, 4)
    assert.deepEqual((await verifyStore(store)).problems, [])
    await store.close()
  })

  it('is refused beside a frozen leader; resumed, that one still leads', async () => {
    const one = await candidate('one')
    await one.ask('look')
    assert.equal(await one.ask('claim'), 'claimed')
    one.stop()
    const two = await candidate('two')
    assert.equal(await two.ask('look'), `1 one ${one.process.pid} 1`)
    assert.equal(await two.ask('claim'), 'STATE_FOLDER_IN_USE')
    one.resume()
    assert.equal(await one.ask('append'), 'durable')
    assert.equal(await two.ask('append'), 'fenced')
    await one.kill()
    assert.equal(await two.ask('claim'), 'lost', 'it did not see the last append')
    await two.ask('look')
    assert.equal(await two.ask('claim'), 'claimed')
    assert.equal(await two.ask('look'), `2 two ${two.process.pid} 3`)
  })

  it('by two processes at once is won by exactly one, every time', async () => {
    const both = [await candidate('one'), await candidate('two')]
    for (let race = 1; race <= racesMax; race++) {
      await Promise.all(both.map(one => one.ask('look')))
      const outcomes = await Promise.all(both.map(one => one.ask('claim')))
      const winner = outcomes.indexOf('claimed')
      assert.ok(winner >= 0, `race ${race}: ${outcomes.join(' and ')}`)
      assert.match(outcomes[1 - winner]!, /^(lost|STATE_FOLDER_IN_USE)$/)
      assert.equal(await both[1 - winner]!.ask('append'), 'fenced')
      assert.equal(await both[winner]!.ask('append'), 'durable')
      assert.equal(await both[winner]!.ask('resign'), 'resigned')
      assert.equal(await both[winner]!.ask('append'), 'fenced')
      assert.match(await both[0]!.ask('look'), new RegExp(`^${race} `))
    }
    for (const one of both) assert.equal(await one.ask('close'), 'closed')
    const store = await openSqliteStore({ folder: children.folder })
    assert.equal((await store.journal.size()).lastIndex, racesMax * 2)
    assert.deepEqual((await verifyStore(store)).problems, [])
    await store.close()
  })

  it('by two processes at once, when the leader is killed, is won by exactly one', async () => {
    const one = await candidate('one')
    await one.ask('look')
    await one.ask('claim')
    const both = [await candidate('two'), await candidate('three')]
    await Promise.all(both.map(other => other.ask('look')))
    await one.kill()
    const outcomes = await Promise.all(both.map(other => other.ask('claim')))
    assert.equal(outcomes.filter(outcome => outcome === 'claimed').length, 1, outcomes.join(' and '))
  })
})

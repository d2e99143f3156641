// Shows when a sign of life keeps a grant: only where it is not over, or about to be, and only by a leader that still leads.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createState } from '../../src/core/index.ts'
import type { LeadershipView } from '../../src/journal/index.ts'
import { GrantWatch } from '../../src/leader/grants.ts'
import type { Letter } from '../../src/leader/mailbox.ts'
import type { LeaderToClient } from '../../src/protocol/index.ts'
import { World } from '../fakes/world.ts'
import { House } from './house.ts'

const view = (epoch: number): LeadershipView => ({ epoch, leader: `candidate-${epoch}`, pid: 1, processStart: '', address: '' })

/** A watch over grants whose store answers when the test says so. */
function watch(): { grants: GrantWatch; asked: ((epoch: number) => void)[]; letters: Letter[]; world: World } {
  const world = new World()
  const letters: Letter[] = []
  const asked: ((epoch: number) => void)[] = []
  const leadership = { view: () => new Promise<LeadershipView>(resolve => asked.push(epoch => resolve(view(epoch)))) }
  const state = createState()
  state.epoch = 1
  return {
    grants: new GrantWatch(state, { post: letter => letters.push(letter) }, world.platform.clock, leadership),
    asked,
    letters,
    world,
  }
}

describe('a leader that says whether it still leads', () => {
  it('asks the store for each call after it, once for all that came meanwhile', async () => {
    const { grants, asked } = watch()
    const first = grants.leads()
    const meanwhile = [grants.leads(), grants.leads()]
    assert.equal(asked.length, 1)
    asked[0]!(1)
    await first
    await new Promise(setImmediate)
    assert.equal(asked.length, 2, 'the first look began before those two were asked')
    // Another one claimed between the two looks.
    asked[1]!(2)
    for (const one of meanwhile) await assert.rejects(one, { code: 'FENCED' })
    const later = grants.leads()
    asked[2]!(1)
    await later
  })
})

describe('a sign of life', () => {
  it('names grants, and is told which of them are over', async () => {
    const house = await House.open()
    const client = await house.client('session-1')
    const keep = async (...grants: string[]): Promise<LeaderToClient | undefined> => client.ask({ kind: 'keepGrants', grants })
    const lock = { kind: 'lock', lock: 'one', mode: 'exclusive', permits: 0, ttlMs: 1000 } as const
    assert.equal((await client.ask({ ...lock, grant: 'held' }))?.kind, 'granted')
    assert.equal(await client.ask({ ...lock, grant: 'waits' }), undefined)
    const kept = await keep('held', 'waits', 'never asked for')
    assert(kept?.kind === 'kept')
    assert.deepEqual(kept.over, ['never asked for'])
    // Another session's is none of its own.
    const other = await house.client('session-2')
    const others = await other.ask({ kind: 'keepGrants', grants: ['held'] })
    assert(others?.kind === 'kept')
    assert.deepEqual(others.over, ['held'])
    await client.ask({ kind: 'unlock', grant: 'held' })
    assert.equal(client.heard.filter(answer => answer.kind === 'granted').length, 2)
    const after = await keep('held', 'waits')
    assert(after?.kind === 'kept')
    assert.deepEqual(after.over, ['held'])
  })

  it('does not save a grant whose time was over when it was judged', async () => {
    const house = await House.open()
    const client = await house.client('session-1')
    await client.ask({ kind: 'lock', grant: 'held', lock: 'one', mode: 'exclusive', permits: 0, ttlMs: 1000 })
    // The judgement waits for the disk, and the sign of life comes before it is durable.
    house.disk.hold()
    await house.world.advance(1600)
    const kept = await client.ask({ kind: 'keepGrants', grants: ['held'] })
    assert(kept?.kind === 'kept')
    assert.deepEqual(kept.over, ['held'])
  })
})

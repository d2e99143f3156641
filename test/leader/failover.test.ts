// Holds candidates to their lives: who stands by, who leads next, when, and that nobody is deposed who is sound.
// Each candidate has its own handle of one disk in memory; the world moves by hand.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { encodeSnapshot } from '../../src/core/index.ts'
import { recover } from '../../src/leader/index.ts'
import { CoxswainError } from '../../src/protocol/index.ts'
import { Fleet } from './fleet.ts'

describe('candidates', () => {
  it('the first leads, the others follow and apply', async () => {
    const fleet = await Fleet.of(100, 100, 100)
    assert.deepEqual(await fleet.epochs(), [[1, 'candidate-1']])
    assert.deepEqual([fleet.at(2).follows, fleet.at(3).follows], [['candidate-1'], ['candidate-1']])
    const { candidates } = await fleet.status(1)
    assert.deepEqual(
      candidates.map(one => [one.id, one.state, one.priority, one.lagRecords]),
      [
        ['candidate-1', 'leader', 100, 0],
        ['candidate-2', 'standby', 100, 0],
        ['candidate-3', 'standby', 100, 0],
      ],
    )
  })

  it('the one with the highest priority follows a dead leader, at once; the next one would wait a step longer', async () => {
    const fleet = await Fleet.of(100, 100, 300)
    fleet.die('candidate-1')
    await fleet.world.calm()
    assert.deepEqual(await fleet.epochs(), [
      [1, 'candidate-1'],
      [2, 'candidate-3'],
    ])
    await fleet.world.advance(600)
    assert.equal(fleet.at(2).follows.at(-1), 'candidate-3')
    assert.equal((await fleet.epochs()).length, 2)
  })

  it('where the first in line is dead too, the second leads a step later', async () => {
    const fleet = await Fleet.of(100, 100, 300)
    fleet.die('candidate-3')
    fleet.die('candidate-1')
    await fleet.world.calm()
    assert.equal((await fleet.epochs()).length, 1)
    await fleet.world.advance(400)
    assert.deepEqual((await fleet.epochs()).at(-1), [2, 'candidate-2'])
  })

  it('a leader that broke down ranks lower, P = P0 × (1 − r), until that is forgotten', async () => {
    const fleet = await Fleet.of(100, 80)
    fleet.die('candidate-1')
    await fleet.world.advance(600)
    await fleet.start('candidate-1', 100)
    await fleet.world.advance(600)
    const rank = async () => (await fleet.status(2)).candidates.map(one => [one.id, one.state, Math.round(one.priority)])
    assert.deepEqual(await rank(), [
      ['candidate-1', 'standby', 70],
      ['candidate-2', 'leader', 80],
    ])
    await fleet.world.advance(1_200_000)
    assert.deepEqual((await rank())[0], ['candidate-1', 'standby', 93])
  })

  it('a broken connection is no death: it dials again and nobody claims', async () => {
    const fleet = await Fleet.of(100, 100)
    for (const connection of fleet.world.connections(fleet.at(1).endpoint!.address)) connection.close('the network')
    await fleet.world.advance(5000)
    assert.deepEqual(await fleet.epochs(), [[1, 'candidate-1']])
    assert.deepEqual(fleet.at(2).follows, ['candidate-1', 'candidate-1'])
    assert.deepEqual(fleet.killed, [])
  })

  it('a leader that stands still is killed before the claim', async () => {
    const fleet = await Fleet.of(100, 100)
    await fleet.world.advance(3000)
    fleet.world.freeze(fleet.at(1).endpoint!.address)
    await fleet.world.advance(1900)
    assert.deepEqual(fleet.killed, [])
    await fleet.world.advance(1200)
    assert.deepEqual(fleet.killed, ['candidate-1'])
    assert.deepEqual((await fleet.epochs()).at(-1), [2, 'candidate-2'])
  })

  it('a standby that was asleep does not judge the leader by that', async () => {
    const fleet = await Fleet.of(100, 100)
    await fleet.world.sleep(60_000)
    await fleet.world.advance(5000)
    assert.deepEqual(fleet.killed, [])
  })

  it('two pulses at once, of which both tell of new records, are one catching up', async () => {
    const fleet = await Fleet.of(100, 100)
    const connections = fleet.world.connections(fleet.at(1).endpoint!.address)
    const client = await fleet.client(1)
    for (const connection of connections) connection.stuck = true
    for (const worker of ['w1', 'w2']) {
      await client.ask({ kind: 'drainWorker', worker })
      await fleet.world.advance(500)
    }
    for (const connection of connections) connection.unstick()
    await fleet.world.calm()
    assert.equal(fleet.at(2).ended, undefined)
    const { candidates } = await fleet.status(1)
    assert.equal(candidates[1]?.lagRecords, 0)
  })

  it('all have the same state, byte for byte', async () => {
    const fleet = await Fleet.of(100, 200, 300)
    fleet.die('candidate-1')
    await fleet.world.advance(600)
    fleet.die('candidate-3')
    await fleet.world.advance(600)
    assert.equal((await fleet.epochs()).length, 3)
    const last = await fleet.client(2)
    await last.ask({ kind: 'drainWorker', worker: 'nobody' })
    assert.deepEqual(encodeSnapshot(fleet.state!), encodeSnapshot(await recover(fleet.disk.open())))
  })
})

describe('a hand-over', () => {
  it('by stop: the successor claims at once and nobody failed', async () => {
    const fleet = await Fleet.of(100, 100, 200)
    const stopped = fleet.at(1).candidate.stop('asked to')
    await fleet.world.calm()
    await stopped
    assert.deepEqual((await fleet.epochs()).at(-1), [2, 'candidate-3'])
    assert.ok((await fleet.records()).some(one => one.kind === 'LeaderResigned' && one.to === 'candidate-3'))
    await fleet.world.advance(600)
    const { candidates } = await fleet.status(3)
    const byId = candidates.toSorted((a, b) => a.id.localeCompare(b.id))
    assert.deepEqual(
      byId.map(one => [one.id, one.state, one.failureRate]),
      [
        ['candidate-1', 'away', 0],
        ['candidate-2', 'standby', 0],
        ['candidate-3', 'leader', 0],
      ],
    )
  })

  it('by promote: the one that is named leads, the old leader stands by', async () => {
    const fleet = await Fleet.of(100, 100, 200)
    const client = await fleet.client(1)
    await client.ask({ kind: 'promote', candidate: 'candidate-2' })
    await fleet.world.advance(600)
    assert.deepEqual((await fleet.epochs()).at(-1), [2, 'candidate-2'])
    assert.deepEqual([fleet.at(1).follows, fleet.at(3).follows.at(-1)], [['candidate-2'], 'candidate-2'])
    assert.equal(fleet.at(1).ended, undefined)
  })

  it('to who is unknown, away or leads already', async () => {
    const fleet = await Fleet.of(100, 100)
    const client = await fleet.client(1)
    const unknown = await client.ask({ kind: 'promote', candidate: 'candidate-9' })
    assert.ok(unknown?.kind === 'failed' && unknown.error.code === 'NOT_FOUND')
    assert.equal((await client.ask({ kind: 'promote', candidate: 'candidate-1' }))?.kind, 'done')
    await fleet.at(2).candidate.stop('asked to')
    await fleet.world.advance(600)
    const away = await client.ask({ kind: 'promote', candidate: 'candidate-2' })
    assert.ok(away?.kind === 'failed' && away.error.code === 'UNAVAILABLE')
    assert.equal((await fleet.epochs()).length, 1)
    assert.ok((await fleet.records()).some(one => one.kind === 'CandidateLeft' && !one.failed))
  })

  it('in which the store fails ends the leadership all the same', async () => {
    const fleet = await Fleet.of(100, 100)
    const { journal } = fleet.at(1).store
    journal.append = () => Promise.reject(new CoxswainError('JOURNAL_WRITE_FAILED', 'The disk is full.'))
    await fleet.at(1).candidate.stop('asked to')
    await fleet.world.calm()
    assert.match(String(fleet.at(1).ended), /JOURNAL_WRITE_FAILED: The disk is full/)
    assert.equal((await fleet.client(1)).welcomed, undefined)
    await fleet.world.advance(1000)
    assert.deepEqual((await fleet.epochs()).at(-1), [2, 'candidate-2'])
  })

  it('whose successor dies goes to the next', async () => {
    const fleet = await Fleet.of(100, 100, 200)
    fleet.at(3).store.kill()
    const stopped = fleet.at(1).candidate.stop('asked to')
    await fleet.world.advance(1000)
    await stopped
    assert.deepEqual((await fleet.epochs()).at(-1), [2, 'candidate-2'])
  })
})

describe('a leader', () => {
  it('that stood still for longer than its standbys wait steps down by itself', async () => {
    const fleet = await Fleet.of(100, 100)
    await fleet.world.advance(1000)
    await fleet.world.sleep(10_000)
    assert.match(String(fleet.at(1).ended), /FENCED: This process stood still for/)
    await fleet.world.advance(1000)
    assert.deepEqual((await fleet.epochs()).at(-1), [2, 'candidate-2'])
  })

  it('that leads alone goes on', async () => {
    const fleet = await Fleet.of(100)
    await fleet.world.sleep(10_000)
    await fleet.world.advance(1000)
    assert.equal(fleet.at(1).ended, undefined)
  })
})

describe('a candidate that cannot stand by', () => {
  it('with a priority out of range says so', async () => {
    const fleet = await Fleet.of(100)
    const other = await fleet.start('candidate-2', 5000)
    await fleet.world.advance(600)
    assert.equal((other.ended as { code?: string }).code, 'INVALID_ARGUMENT')
    assert.match(String(other.ended), /priority 5000/)
  })

  it('of a port that is a stranger’s by now is not misled', async () => {
    const fleet = await Fleet.of(100)
    const { address } = fleet.at(1).endpoint!
    fleet.die('candidate-1')
    await fleet.world.calm()
    const port = Number(address.split(':').at(-1))
    await fleet.world.transport.listen({
      host: '127.0.0.1',
      port,
      frameBytesMax: 1000,
      authenticate: () => undefined,
      healthy: () => true,
      accept: () => ({ opened() {}, frame() {}, closed() {} }),
    })
    await fleet.start('candidate-2')
    await fleet.world.advance(1000)
    assert.deepEqual((await fleet.epochs()).at(-1), [2, 'candidate-2'])
    assert.deepEqual(fleet.killed, [])
  })
})

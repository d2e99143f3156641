// Holds candidates to what they do with what cannot be right: folders, releases and journals that do not fit, clocks that are off.
// Each time: a clear error, nobody killed, nothing lost, and the cluster that was sound goes on.
//
// | bad input | where |
// | --- | --- |
// | priority out of range | failover.test.ts; test/cli/commands.test.ts for `--priorities` |
// | promote of an unknown or dead candidate | failover.test.ts, test/faults/failover.test.ts; of a lagging one: here |
// | drill with one candidate | test/faults/drill.test.ts |
// | a standby with another cluster's folder | here |
// | a candidate of another release, a journal of a newer one | here; peers.test.ts, archive.test.ts |
// | a standby whose journal was truncated | here; test/journal/damage.test.ts for what is on the disk |
// | clocks an hour apart | here; `clock-jump` of the simulator for jumps while it runs |
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { apply, createState } from '../../src/core/index.ts'
import type { LeaderContext } from '../../src/leader/context.ts'
import { promotionProblem } from '../../src/leader/succession.ts'
import { CoxswainError, encodeMessage, encodeRecords, type JournalRecord, welcome } from '../../src/protocol/index.ts'
import { principals } from '../fakes/principals.ts'
import { Fleet, type Process } from './fleet.ts'

function codeOf({ ended }: Process): string | undefined {
  return ended instanceof CoxswainError ? ended.code : undefined
}

/** The fleet's first candidate leads as before, and its cluster still takes what it is asked. */
async function assertGoesOn(fleet: Fleet): Promise<void> {
  assert.deepEqual(await fleet.epochs(), [[1, 'candidate-1']])
  assert.deepEqual(fleet.killed, [])
  assert.equal(fleet.at(1).ended, undefined)
  const client = await fleet.client(1)
  assert.ok(await client.view('status', {}))
}

/** Puts a journal on the fleet's disk that was led from this address. */
async function ledFrom(fleet: Fleet, address: string, records?: Uint8Array): Promise<void> {
  const claimed: JournalRecord = {
    kind: 'LeaderClaimed',
    cluster: 'another',
    epoch: 1,
    leader: 'candidate-1',
    pid: 42,
    address,
    release: '0.1.0',
    atMs: 1,
  }
  const opening = { epoch: 1, firstIndex: 1, count: 1, records: records ?? encodeRecords([claimed]), payloads: [], drops: [] }
  const { leadership } = fleet.disk.open()
  assert.equal(await leadership.claim({ seenEpoch: 0, leader: 'candidate-1', pid: 42, processStart: '1', address, opening }), 'claimed')
}

describe('a promotion', () => {
  it('of a standby that is far behind is refused, and says how far', () => {
    const state = createState()
    apply(state, { kind: 'CandidateJoined', candidate: 'candidate-2', priority: 100 })
    state.index = 200_001
    const problem = (appliedIndex: number): CoxswainError | undefined => {
      const links = { candidates: new Map([['candidate-2', { appliedIndex }]]) }
      return promotionProblem({ id: 'candidate-1', state, links } as unknown as LeaderContext, 'candidate-2')
    }
    assert.equal(problem(100_001), undefined)
    assert.equal(problem(100_000)?.code, 'UNAVAILABLE')
    assert.match(problem(100_000)!.message, /candidate-2 has still 100001 records to apply; ask again when it has caught up/)
  })
})

describe('a candidate', () => {
  it("with another cluster's folder leaves the leader alone that has the old address now", async () => {
    const sound = await Fleet.of(100, 100)
    const other = new Fleet(sound.world)
    await ledFrom(other, sound.at(1).endpoint!.address)
    await other.start('candidate-2')
    await other.world.advance(10_000)
    assert.ok(other.world.log.some(({ event, fields }) => event === 'not-followed' && fields['code'] === 'WRONG_CLUSTER'))
    assert.deepEqual((await other.epochs()).at(-1), [2, 'candidate-2'])
    assert.deepEqual(other.killed, [])
    await assertGoesOn(sound)
  })

  for (const code of ['VERSION_MISMATCH', 'WRONG_CLUSTER'] as const)
    it(`that the living leader refuses with ${code} ends with that, and kills nobody`, async () => {
      const fleet = new Fleet()
      const { address } = await fleet.world.transport.listen({
        host: '127.0.0.1',
        port: 0,
        frameBytesMax: 1000,
        authenticate: () => principals['worker'],
        healthy: () => true,
        accept: connection => ({
          opened() {},
          frame() {
            connection.send(encodeMessage(welcome, { kind: 'refused', code, message: 'This leader speaks otherwise.' }))
            connection.close(code)
          },
          closed() {},
        }),
      })
      await ledFrom(fleet, address)
      const store = fleet.disk.open()
      // As in SQLite, whose lock is the living leader's.
      store.leadership.claim = () => Promise.reject(new CoxswainError('STATE_FOLDER_IN_USE', 'It is led.'))
      const candidate = await fleet.start('candidate-2', 100, 0, { store })
      await fleet.world.advance(10_000)
      assert.equal(codeOf(candidate), code)
      assert.match(String(candidate.ended), /This leader speaks otherwise/)
      assert.deepEqual(fleet.killed, [])
    })

  it('on a journal with records of a newer release ends, and claims nothing', async () => {
    const fleet = new Fleet()
    await ledFrom(fleet, 'ws://127.0.0.1:1', Buffer.from([250]))
    const candidate = await fleet.start('candidate-2')
    await fleet.world.advance(10_000)
    assert.equal(codeOf(candidate), 'JOURNAL_VERSION')
    assert.match(String(candidate.ended), /records from 1 on were written by a newer release/)
    assert.equal(fleet.disk.lastIndex, 1)
  })

  it('that finds a gap in its journal names it and ends; the leader goes on', async () => {
    const fleet = await Fleet.of(100)
    const store = fleet.disk.open()
    const { journal } = store
    const read = journal.read.bind(journal)
    journal.read = async (from, max) => (await read(from, max)).slice(1)
    await fleet.client(1).then(client => client.ask({ kind: 'drainWorker', worker: 'nobody' }))
    const other = await fleet.start('candidate-2')
    await fleet.world.advance(1000)
    assert.equal(other.ended, undefined, 'a sound one follows')
    const cut = await fleet.start('candidate-3', 100, 0, { store })
    await fleet.world.advance(1000)
    assert.equal(codeOf(cut), 'JOURNAL_CORRUPT')
    assert.match(String(cut.ended), /goes on at record \d+ where 1 is next/)
    await assertGoesOn(fleet)
  })

  it('whose clock is an hour ahead or behind takes over all the same, and cluster time never goes back', async () => {
    const hourMs = 3_600_000
    const fleet = await Fleet.of(100)
    await fleet.start('candidate-2', 300, 0, { wallOffsetMs: hourMs })
    await fleet.start('candidate-3', 200, 0, { wallOffsetMs: -hourMs })
    await fleet.world.advance(5000)
    await assertGoesOn(fleet)
    fleet.die('candidate-1')
    await fleet.world.advance(1000)
    fleet.die('candidate-2')
    await fleet.world.advance(1000)
    assert.deepEqual(await fleet.epochs(), [
      [1, 'candidate-1'],
      [2, 'candidate-2'],
      [3, 'candidate-3'],
    ])
    assert.deepEqual(fleet.killed, [])
    const claims = (await fleet.records()).flatMap(one => (one.kind === 'LeaderClaimed' ? [one.atMs] : []))
    assert.ok(claims[1]! - claims[0]! >= hourMs)
    assert.ok(claims[2]! >= claims[1]!)
    assert.ok(await (await fleet.client(3)).view('status', {}))
  })
})

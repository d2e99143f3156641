// Shows what the leader gives to who wants blocks: capabilities under each worker's own key, for just what was asked, and all workers that hold a block.
import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { describe, it } from 'node:test'
import { locate } from '../../src/leader/capabilities.ts'
import type { LeaderContext } from '../../src/leader/context.ts'
import { everything, type Outcome, userRoles } from '../../src/protocol/index.ts'
import type { ScriptedWorker } from '../fakes/peers.ts'
import { finished } from '../fakes/worker.ts'
import { House } from './house.ts'

const block = 'a'.repeat(64)
const lifeMs = 600_000

function keyOf(worker: ScriptedWorker): Uint8Array {
  return worker.of('registered').at(-1)!.blockKey
}

/** What is expected of a capability but for its time, which is told. */
function expiryOf(text: string, key: Uint8Array, operation: string, holder: string, bearer: string, of: string): number {
  const [scope, expires, signature] = text.split('.') as [string, string, string]
  const expiresAtMs = Number.parseInt(expires, 36)
  const signed = JSON.stringify(['coxswain block capability 1', operation, holder, bearer, of, expiresAtMs])
  assert.equal(signature, createHmac('sha256', key).update(signed).digest('base64url'), `${operation} ${holder} ${bearer} ${of}`)
  assert.equal(scope, of === '' ? 'a' : 'b')
  return expiresAtMs
}

describe('capabilities', () => {
  it('of a client are for its session and each worker, to read and to write', async () => {
    const house = await House.open()
    const client = await house.client()
    const workers = [await house.worker('w1'), await house.worker('w2')]
    const { timeMs } = workers[1]!.of('registered').at(-1)!
    const answer = await client.view('locate')
    assert.deepEqual(
      answer.map(({ worker, blocks }) => [worker, blocks]),
      [
        ['w1', 'http://w1'],
        ['w2', 'http://w2'],
      ],
    )
    for (const [at, { worker, bearer, read, write }] of answer.entries()) {
      assert.equal(bearer, client.session)
      const key = keyOf(workers[at]!)
      assert.equal(key.length, 32)
      for (const expiresAtMs of [
        expiryOf(read, key, 'read', worker, client.session, ''),
        expiryOf(write, key, 'write', worker, client.session, ''),
      ])
        assert.ok(expiresAtMs >= timeMs + lifeMs && expiresAtMs < timeMs + lifeMs + 60_000)
    }
    assert.notDeepEqual(keyOf(workers[0]!), keyOf(workers[1]!))
  })

  it('of a user are for the session as the leader knows it, and to write only for who may submit', () => {
    const key = Buffer.alloc(32, 1)
    const known = new Map([['w1', { id: 'w1', blocks: 'http://w1' }]])
    // As much of a leader as is looked at.
    const context = {
      state: { membership: { workers: known }, blockHolders: new Map() },
      links: { workers: new Map([['w1', { blockKey: key }]]) },
      observed: { workers: known },
      nowMs: () => 1000,
    } as unknown as LeaderContext
    const session = 'ann/session-1'
    for (const role of userRoles) {
      const principal = { kind: 'user' as const, name: 'ann', role, scope: everything, credential: 'a token' }
      const [address] = locate(context, { session, principal }, undefined)
      assert.equal(address!.bearer, session)
      expiryOf(address!.read, key, 'read', 'w1', session, '')
      if (role === 'viewer') assert.equal(address!.write, '')
      else expiryOf(address!.write, key, 'write', 'w1', session, '')
    }
  })

  it('of a worker are for one block at one holder; a registration makes a new key', async () => {
    const house = await House.open()
    const worker = await house.worker('w1')
    const holder = await house.worker('w2')
    const located = async (): Promise<string> => {
      await worker.say({ kind: 'locateBlock', request: 1, holder: 'w2', block })
      const { replicas } = worker.of('blockLocated').at(-1)!
      assert.equal(replicas.length, 1)
      return replicas[0]!.capability
    }
    const key = keyOf(holder)
    expiryOf(await located(), key, 'read', 'w2', 'w1', block)
    await holder.connect(house.address)
    assert.notDeepEqual(keyOf(holder), key)
    expiryOf(await located(), keyOf(holder), 'read', 'w2', 'w1', block)
  })

  it('are given for all workers that hold the block, the named one first, and for none that is gone', async () => {
    const { house, client, worker } = await House.staffed({ cpus: 1 })
    const others = [await house.worker('w2'), await house.worker('w3')]
    await house.submit(client, 'job', 3)
    for (const one of [worker, ...others]) {
      const [lane] = one.work.busy
      const { work } = one
      await one.end(
        [{ ...finished(lane!), blocks: [{ index: lane!.open[0]!.index, block, bytes: 10, holder: work.id }] } as Outcome],
        lane!,
      )
    }
    const asked = async (holder: string, of: string): Promise<string[]> => {
      await worker.say({ kind: 'locateBlock', request: 1, holder, block: of })
      return worker
        .of('blockLocated')
        .at(-1)!
        .replicas.map(replica => replica.worker)
    }
    assert.deepEqual(await asked('w3', block), ['w3', 'w1', 'w2'])
    assert.deepEqual(await asked('w2', 'b'.repeat(64)), ['w2'])
    const held = async (): Promise<string[]> => {
      const answer = await client.view('locate', { block })
      return answer.filter(one => one.holds).map(one => one.worker)
    }
    assert.deepEqual(await held(), ['w1', 'w2', 'w3'])
    await others[1]!.hangUp()
    assert.deepEqual(await asked('w3', block), ['w1', 'w2'])
    assert.deepEqual(await held(), ['w1', 'w2'])
    await client.say({ kind: 'releaseResults', job: 'job', stage: 0, ranges: [{ first: 0, count: 3 }] })
    await house.world.advance(1000)
    assert.deepEqual(await held(), [])
  })
})

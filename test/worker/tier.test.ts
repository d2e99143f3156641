// Holds the durable tier to its order: blocks are there before anything names them, and go when nothing does; what fails is tried again, then told.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { encodeValue, type Outcome, type TaskBlock } from '../../src/protocol/index.ts'
import { BlockGate } from '../../src/worker/blocks/gate.ts'
import { Tier } from '../../src/worker/blocks/tier.ts'
import type { ExecutorEvent } from '../../src/worker/machine/index.ts'
import { blockAt, plan, programOf, stand } from './fakes.ts'
import { granted } from './grants.ts'
import { MemoryObjects } from './objects.ts'

const name = (fill: string): string => fill.repeat(64)
const blockOf = (fill: string): TaskBlock => ({ index: 0, block: name(fill), bytes: 10, holder: 'w1' })
const finished = (blocks: TaskBlock[], count = 1): Outcome => ({
  kind: 'finished',
  count,
  items: new Uint8Array(),
  blocks,
  elapsedMicros: 1,
})
const failed: Outcome = { kind: 'failed', code: 'TASK_FAILED', message: '', stack: '', retryable: true, elapsedMicros: 1 }
const outcomes = (executor: number, from: number, ...list: Outcome[]): ExecutorEvent => ({
  kind: 'outcomes',
  executor,
  lane: 1,
  from,
  outcomes: list,
})

/** Lets all that can happen without anybody's help happen. */
const settled = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

describe('what an executor says', () => {
  function scene() {
    const stores = new Map<string, PromiseWithResolvers<void>>()
    const told: ExecutorEvent[] = []
    const gate = new BlockGate(
      ({ block }) => {
        const store = Promise.withResolvers<void>()
        stores.set(block[0]!, store)
        return store.promise
      },
      event => told.push(event),
    )
    return { stores, told, gate }
  }

  test('is told at once as long as it names no block', () => {
    const { gate, told } = scene()
    const events = [outcomes(1, 0, finished([])), outcomes(1, 1, failed)]
    for (const event of events) gate.take(event)
    assert.deepEqual(told, events)
  })

  test('keeps its order behind blocks that are on their way, which go together; others do not wait', async () => {
    const { gate, told, stores } = scene()
    const first = outcomes(1, 0, finished([blockOf('a')]))
    const second = outcomes(1, 1, finished([blockOf('b')]))
    const ended: ExecutorEvent = {
      kind: 'executorEnded',
      executor: 1,
      exit: { started: true, how: 'code 0', heapFull: false, lastWords: '' },
    }
    const other = outcomes(2, 0, finished([]))
    for (const event of [first, second, ended, other]) gate.take(event)
    const sample: ExecutorEvent = { kind: 'sampled', executor: 1, rssBytes: 1, processes: 1 }
    gate.take(sample)
    assert.deepEqual(told, [other, sample])
    assert.deepEqual([...stores.keys()], ['a', 'b'])
    stores.get('b')!.resolve()
    await settled()
    assert.equal(told.length, 2)
    stores.get('a')!.resolve()
    await settled()
    assert.deepEqual(told.slice(2), [first, second, ended])
    const later = outcomes(1, 2, finished([]))
    gate.take(later)
    assert.equal(told.at(-1), later)
  })

  test('waits for blocks wherever they are named', () => {
    const { gate, told, stores } = scene()
    const inputs = { stage: 1, first: 0, items: new Uint8Array(), blocks: [blockOf('c')], seal: true }
    const spread: Extract<Outcome, { kind: 'spread' }> = {
      kind: 'spread',
      items: new Uint8Array(),
      blocks: [blockOf('a')],
      elapsedMicros: 1,
    }
    const expanded = {
      kind: 'expanded',
      stages: [],
      inputs: [inputs],
      flow: { steps: [] },
      policies: [],
      elapsedMicros: 1,
    } as unknown as Outcome
    const jobs = [{ inputs: [{ ...inputs, blocks: [blockOf('e')] }] }]
    const committed = { kind: 'committed', outcome: { ...spread, blocks: [blockOf('d')] }, jobs } as unknown as Outcome
    gate.take(outcomes(1, 0, spread, expanded, committed))
    assert.deepEqual(told, [])
    assert.deepEqual([...stores.keys()].sort(), ['a', 'c', 'd', 'e'])
  })

  test('fails, to be tried again, where its block cannot be stored; what else it says stays as it is', async () => {
    const { gate, told, stores } = scene()
    gate.take(outcomes(1, 0, finished([]), finished([blockOf('a')], 2), failed))
    stores.get('a')!.reject(Object.assign(new Error('no room'), { code: 'ENOSPC' }))
    await settled()
    const [event] = told
    assert.ok(event?.kind === 'outcomes')
    assert.deepEqual(
      event.outcomes.map(one => (one.kind === 'failed' ? [one.code, one.retryable] : one.kind)),
      ['finished', ['OBJECT_STORE_FAILED', true], ['OBJECT_STORE_FAILED', true], ['TASK_FAILED', true]],
    )
  })
})

describe('a tier', () => {
  const folder = mkdtempSync(join(tmpdir(), 'cox-tier-'))
  const path = join(folder, 'file')
  writeFileSync(path, '0123456789')
  after(() => rmSync(folder, { recursive: true }))

  function scene() {
    const objects = new MemoryObjects()
    const pauses: number[] = []
    const tier = new Tier(objects, { cluster: () => 'c1', pause: async ms => void pauses.push(ms) })
    return { objects, pauses, tier }
  }

  test('tries again, a bounded number of times, and tells what the store says', async () => {
    const { objects, pauses, tier } = scene()
    objects.failures = 5
    await tier.store('w1', name('a'), { path, bytes: 10 })
    assert.equal(pauses.length, 5)
    objects.failures = 1000
    await assert.rejects(tier.store('w1', name('b'), { path, bytes: 10 }), { code: 'OBJECT_STORE_FAILED' })
    assert.ok(pauses.length < 20)
    assert.deepEqual(await objects.list(''), [`c1/@w1/${name('a')}`])
  })

  test('takes a few at a time, and goes on behind failures', async () => {
    const { objects, tier } = scene()
    const gate = Promise.withResolvers<void>()
    objects.gate = gate.promise
    const all = Array.from({ length: 20 }, (_, at) => tier.store('w1', at.toString(16).padStart(64, '0'), { path, bytes: 10 }))
    await settled()
    assert.equal(objects.most, 4)
    gate.resolve()
    await Promise.all(all)
    assert.equal(objects.most, 4)
    assert.equal(objects.content.size, 20)
  })

  test('keeps what each worker stored apart, whatever they are called', async () => {
    const { objects, tier } = scene()
    for (const worker of ['w1', 'w2', '..', 'a/b', 'ä']) await tier.store(worker, name('a'), { path, bytes: 10 })
    await tier.remove('w1', name('a'), async () => false)
    assert.equal(await tier.size('w1', name('a')), undefined)
    for (const worker of ['w2', '..', 'a/b', 'ä']) assert.equal(await tier.size(worker, name('a')), 10)
    for (const key of await objects.list('')) assert.match(key, /^c1\/@[^/]+\/a{64}$/)
  })

  test('does not remove what is stored again at this moment', async () => {
    const { objects, tier } = scene()
    await tier.store('w1', name('a'), { path, bytes: 10 })
    await tier.remove('w1', name('a'), async () => true)
    assert.equal(objects.puts, 1)
    // It was not stored again when that was asked, and is now: first it goes, then it comes.
    const removing = tier.remove('w1', name('a'), async () => {
      await settled()
      return false
    })
    await Promise.all([removing, tier.store('w1', name('a'), { path, bytes: 10 })])
    assert.equal(await tier.size('w1', name('a')), 10)
  })
})

describe('a worker with a durable tier', () => {
  const tasks = programOf({ make: 'bytes => Buffer.alloc(bytes, 7)', small: 'x => x' })

  test('reports a large result when it is there, and everything after it in order', async () => {
    const tier = new MemoryObjects()
    await using cluster = await stand({ tier, executors: 1 })
    const { leader } = cluster
    const gate = Promise.withResolvers<void>()
    const reached = Promise.withResolvers<void>()
    tier.gate = gate.promise
    tier.put = new Proxy(tier.put, {
      apply: (put, self, args) => {
        reached.resolve()
        return Reflect.apply(put, self, args)
      },
    })
    const lane = leader.assign(plan(leader.program(tasks), 'make'), [100_000, 10])
    await reached.promise
    await settled()
    assert.equal(leader.lane(lane).ended.length, 0)
    gate.resolve()
    const log = await leader.ended(lane, 2)
    const { block } = blockAt(log, 0)
    assert.deepEqual(await tier.list(''), [`c1/@w1/${block}`])
    assert.equal(
      createHash('sha256')
        .update(tier.content.get(`c1/@w1/${block}`)!)
        .digest('hex'),
      block,
    )
  })

  test('answers who stores a block when it is there, and refuses where it cannot be', async () => {
    const tier = new MemoryObjects()
    await using cluster = await stand({ tier })
    const body = Buffer.from('the input')
    const block = createHash('sha256').update(body).digest('hex')
    const headers = granted({ operation: 'write' })
    for (const status of [201, 200]) {
      const response = await fetch(`${cluster.agent.blocks}/blocks/${block}`, { method: 'PUT', body, headers })
      assert.equal(response.status, status)
      assert.deepEqual(await tier.list(''), [`c1/@w1/${block}`])
      if (status === 201) tier.content.clear()
    }
  })

  test('gives from it what it does not have itself, whole or in part, to who says whose it is', async () => {
    const tier = new MemoryObjects()
    await using cluster = await stand({ tier })
    const data = Buffer.alloc(300_000, 'abcdefg')
    const block = createHash('sha256').update(data).digest('hex')
    tier.content.set(`c1/@gone/${block}`, data)
    const url = `${cluster.agent.blocks}/blocks/${block}`
    const headers = granted({}, 'gone')
    assert.ok(Buffer.from(await (await fetch(url, { headers })).arrayBuffer()).equals(data))
    const part = await fetch(url, { headers: { ...headers, range: 'bytes=100000-200000' } })
    assert.equal(part.status, 206)
    assert.equal(part.headers.get('content-range'), 'bytes 100000-200000/300000')
    assert.ok(Buffer.from(await part.arrayBuffer()).equals(data.subarray(100_000, 200_001)))
    const head = await fetch(url, { method: 'HEAD', headers })
    assert.equal(head.headers.get('content-length'), '300000')
    assert.equal((await fetch(url, { headers: { ...headers, range: 'bytes=300000-' } })).status, 416)
    assert.equal((await fetch(url, { headers: granted({}, 'other') })).status, 404)
    assert.equal((await fetch(url, { headers: granted() })).status, 404)
    assert.equal((await fetch(url, { headers: { ...headers, authorization: 'Bearer no' } })).status, 403)
    tier.failures = 1
    assert.equal((await fetch(url, { headers })).status, 503)
  })

  test('removes from it what the leader drops: its own, or of a worker that is gone', async () => {
    const tier = new MemoryObjects()
    await using cluster = await stand({ tier })
    const { leader, folder } = cluster
    const data = Buffer.concat(encodeValue(Buffer.alloc(70_000)))
    const block = createHash('sha256').update(data).digest('hex')
    const path = join(folder, 'blocks', block)
    writeFileSync(path, data)
    for (const worker of ['w1', 'gone', 'other']) tier.content.set(`c1/@${worker}/${block}`, data)
    const drop = (holder: string): void => leader.send({ kind: 'dropBlocks', epoch: leader.epoch, blocks: [block], holder })
    const removed = async (worker: string): Promise<void> => {
      while (tier.content.has(`c1/@${worker}/${block}`)) await settled()
    }
    drop('gone')
    await removed('gone')
    assert.ok(existsSync(path))
    // Stored just now: it stays in both places.
    drop('w1')
    drop('gone')
    await settled()
    assert.ok(tier.content.has(`c1/@w1/${block}`))
    const longAgo = new Date(Date.now() - 60_000)
    utimesSync(path, longAgo, longAgo)
    drop('w1')
    await removed('w1')
    assert.ok(!existsSync(path))
    assert.ok(tier.content.has(`c1/@other/${block}`))
  })
})

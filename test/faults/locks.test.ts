// Owns the tests of locks, spaces and transactions on a real cluster, also while its leaders are killed: each change counts once, nobody
// holds what another one holds.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { Cluster, LockGrant } from '../../src/index.ts'
import type { LockView } from '../../src/protocol/index.ts'
import { FaultCluster, rejection, until } from './harness.ts'
import { tallied, teller, told, wrongCommit } from './lock-tasks.ts'
import { echo } from './tasks.ts'

let cluster: FaultCluster
before(async () => {
  cluster = await FaultCluster.start('locks', ['--candidates', '3', '--workers', '1', '--cpus', '1', '--executors', '1'])
})
after(() => cluster[Symbol.asyncDispose]())

/** Kills so many leaders, each when the work has gone on by a step. */
async function killing(times: number, progress: () => number, step: number): Promise<void> {
  for (let kill = 0; kill < times; kill++) {
    const before = progress()
    while (progress() < before + step) await new Promise(resolve => setImmediate(resolve))
    await cluster.killLeader()
  }
}

describe('transactions', { timeout: 120_000 }, () => {
  test('count once each, also while leaders are killed', async () => {
    const clients = [cluster.client, await cluster.connect(), await cluster.connect()]
    let done = 0
    const perClient = 60
    const increments = clients.map(async (client, number) => {
      for (let i = 0; i < perClient; i++) {
        await client.transact(
          async tx => {
            const sums = tx.state<number>('sums')
            sums.set('all', ((await sums.get('all')) ?? 0) + 1)
            sums.set(`of ${number}`, i + 1)
          },
          { retries: 1000 },
        )
        done++
      }
    })
    await Promise.all([...increments, killing(3, () => done, 20)])
    const sums = cluster.client.state<number>('sums')
    assert.equal(await sums.get('all'), clients.length * perClient)
    assert.deepEqual(
      (await Array.fromAsync(sums.entries({ prefix: 'of' }))).map(([, value]) => value),
      clients.map(() => perClient),
    )
  })

  test('tell a workflow something with what they write, or neither; so does a task with its result', async () => {
    const first = await cluster.client.submit(told)
    const conflict = cluster.client.transact(
      async tx => {
        await tx.state('news').get('paper')
        await cluster.client.state('news').set('paper', 'written by another')
        tx.signal(first.id, 'news', 'never told')
      },
      { retries: 0 },
    )
    await rejection(conflict, 'TRANSACTION_CONFLICT')
    await cluster.client.transact(tx => {
      tx.state('news').set('paper', 'today')
      tx.signal(first.id, 'news', 'once')
    })
    assert.equal(await first.result(), 'once')
    const ended = cluster.client.transact(tx => {
      tx.state('news').set('paper', 'tomorrow')
      tx.signal(first.id, 'news', 'too late')
    })
    await rejection(ended, 'JOB_ENDED')
    assert.equal(await cluster.client.state('news').get('paper'), 'today')
    const second = await cluster.client.submit(told)
    await cluster.client.run(teller, { job: second.id })
    assert.equal(await second.result(), 'attempt 2')
  })

  test('under a lock that was given back write nothing', async () => {
    const grant = await cluster.client.lock('given-back')
    await cluster.client.transact(tx => {
      tx.holds(grant)
      tx.state('guarded').set('by', 'the lock')
    })
    await grant.release()
    const late = cluster.client.transact(tx => {
      tx.state('guarded').set('by', 'nobody')
      tx.holds(grant)
    })
    assert.match((await rejection(late, 'LOCK_LOST')).message, /given-back was given back/)
    assert.equal(await cluster.client.state('guarded').get('by'), 'the lock')
  })

  test('submit a job with what they write, or neither', async () => {
    const marks = cluster.client.state<string>('marks')
    const id = await cluster.client.transact(tx => {
      tx.state('marks').set('job', 'asked')
      return tx.submit(echo, 42)
    })
    assert.equal(await cluster.client.job(id).result(), 42)
    await rejection(
      cluster.client.transact(tx => {
        tx.state('marks').set('job', 'twice')
        tx.submit(echo, 1, { id })
      }),
      'JOB_ID_REUSED',
    )
    assert.equal(await marks.get('job'), 'asked')
    await rejection(marks.set('job', 'late', { version: 0 }), 'TRANSACTION_CONFLICT')
    assert.equal(await marks.get('job'), 'asked')
  })

  test('of a task are done with its result, once, however often it runs', async () => {
    const tallies = cluster.client.state<string>('tallies')
    const keys = Array.from({ length: 12 }, (_, i) => `key ${10 + i}`)
    let done = 0
    const each = keys.map(async (key, i) => {
      const { next } = await cluster.client.run(tallied, { key, version: 0 }, { labels: [`tally ${i}`] })
      done++
      assert.equal(await cluster.client.job(next).result(), next)
    })
    await Promise.all([...each, killing(1, () => done, 1)])
    assert.deepEqual(
      (await Array.fromAsync(tallies.entries())).map(([key]) => key),
      keys,
    )
    assert.match((await tallies.get('key 10')) ?? '', /^key 10 at [2-9]$/)
    // It was written once: the same again comes too late, each time it is tried.
    await rejection(cluster.client.run(tallied, { key: 'key 10', version: 0 }), 'TRANSACTION_CONFLICT')
    const wrong = await rejection(cluster.client.run(wrongCommit), 'TASK_FAILED')
    assert.match(wrong.message, /neither a task nor a workflow/)
  })

  test('refuse what cannot be kept', async () => {
    const marks = cluster.client.state('marks')
    await rejection(marks.set('large', 'x'.repeat(70_000)), 'VALUE_CANNOT_TRAVEL')
    await rejection(marks.set('', 1), 'INVALID_ARGUMENT')
    await rejection(marks.get('k'.repeat(600)), 'INVALID_ARGUMENT')
    assert.throws(() => cluster.client.state(''), { code: 'INVALID_ARGUMENT' })
    await assert.rejects(
      cluster.client.transact(() => {
        throw new Error('its own')
      }),
      /its own/,
    )
  })
})

describe('locks', { timeout: 120_000 }, () => {
  test('are held by one at a time, each with a larger token, also while leaders are killed', async () => {
    const clients = [cluster.client, await cluster.connect(), await cluster.connect()]
    const tokens: number[] = []
    let inside = 0
    const rounds = clients.map(async client => {
      for (let i = 0; i < 25; i++) {
        const grant = await client.lock('one')
        assert.equal(++inside, 1, 'two hold it')
        tokens.push(grant.token)
        await new Promise(resolve => setImmediate(resolve))
        assert.equal(grant.lost, false)
        inside--
        await grant.release()
      }
    })
    await Promise.all([...rounds, killing(3, () => tokens.length, 8)])
    assert.deepEqual(
      tokens,
      tokens.toSorted((a, b) => a - b),
    )
    assert.equal(new Set(tokens).size, clients.length * 25)
  })

  test('are given in the order in which clients ask, again and again, also by the next leader', async () => {
    const clients = [await cluster.connect(), await cluster.connect(), await cluster.connect()]
    const waiting = async (): Promise<number> => {
      const { stdout } = await cluster.cox(['locks', 'in turn', '--json'])
      return (JSON.parse(stdout) as LockView[])[0]?.waiting ?? 0
    }
    const order: number[] = []
    const ask = async (number: number): Promise<{ number: number; grant: LockGrant }> => {
      const grant = await clients[number]!.lock('in turn')
      order.push(number)
      return { number, grant }
    }
    let holder = { number: -1, grant: await cluster.client.lock('in turn') }
    const line: Promise<{ number: number; grant: LockGrant }>[] = []
    for (const number of clients.keys()) {
      line.push(ask(number))
      await until(`${number + 1} wait`, async () => (await waiting()) === number + 1)
    }
    for (let turn = 0; turn < 7; turn++) {
      if (turn === 3) await cluster.killLeader()
      await holder.grant.release()
      holder = await line.shift()!
      // It asks again before it gives back: behind the others.
      line.push(ask(holder.number))
      await until('all wait again', async () => (await waiting()) === clients.length)
    }
    await holder.grant.release()
    for (const next of line) await (await next).grant.release()
    assert.deepEqual(order, [0, 1, 2, 0, 1, 2, 0, 1, 2, 0])
  })

  test('outlive their leader, and go when their holder is killed', async () => {
    const script = fileURLToPath(new URL('./lock-holder.ts', import.meta.url))
    const child = spawn(process.execPath, [script, 'of a child'], {
      env: { ...process.env, COX_HOME: cluster.home },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [said] = (await once(child.stdout, 'data')) as [Buffer]
    await cluster.killLeader()
    const waiting = cluster.client.lock('of a child')
    const first = await Promise.race([waiting.then(() => 'granted'), cluster.client.lock('another').then(() => 'waits')])
    assert.equal(first, 'waits')
    const exit = once(child, 'exit')
    child.kill('SIGKILL')
    await exit
    const grant = await waiting
    assert.ok(grant.token > Number(said))
    await grant.release()
  })

  test('are given up in time, by their caller, and with their client', async () => {
    const client: Cluster = await cluster.connect()
    const held = await client.lock('busy', { ttl: '24h' })
    await rejection(cluster.client.lock('busy', { wait: '50ms' }), 'LOCK_TIMEOUT')
    const caller = new AbortController()
    const given = cluster.client.lock('busy', { signal: caller.signal })
    caller.abort(new Error('enough'))
    await assert.rejects(given, /enough/)
    await rejection(cluster.client.semaphore('busy', { permits: 2 }), 'LIMIT_CONFLICT')
    const next = cluster.client.lock('busy')
    // What is held is given back by a client that closes.
    await client.close()
    await (await next).release()
    assert.equal(held.lost, false)
  })

  test('of readers are shared, permits are as many as there are', async () => {
    const { client } = cluster
    const readers = await Promise.all([client.lock('book', { mode: 'read' }), client.lock('book', { mode: 'read' })])
    await rejection(client.lock('book', { wait: '50ms' }), 'LOCK_TIMEOUT')
    for (const reader of readers) await reader.release()
    await using writer = await client.lock('book')
    assert.ok(writer.token > readers[1].token)
    const permits = await Promise.all([1, 2].map(() => client.semaphore('pool', { permits: 2 })))
    await rejection(client.semaphore('pool', { permits: 2, wait: '50ms' }), 'LOCK_TIMEOUT')
    for (const permit of permits) await permit.release()
  })

  test('are refused where they cannot be', async () => {
    await rejection(cluster.client.lock(''), 'INVALID_ARGUMENT')
    await rejection(cluster.client.lock('x', { ttl: '10ms' }), 'INVALID_ARGUMENT')
    await rejection(cluster.client.lock('x', { mode: 'both' as never }), 'INVALID_ARGUMENT')
    await rejection(cluster.client.semaphore('x', { permits: 0 }), 'INVALID_ARGUMENT')
  })
})

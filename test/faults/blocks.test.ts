// Owns the tests of values that are too large for a message: their way, what they cost the leader, and a restart of who holds them.
// Must not measure time.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { FaultCluster, linesOf, until } from './harness.ts'
import { bytes, echo, gated, sum } from './tasks.ts'

const mebibyte = 1 << 20
const largeBytes = 500 * mebibyte
/** What a leader may grow by for other reasons while half a gigabyte goes by. */
const slackBytes = 60 * mebibyte

function digest(value: Uint8Array): string {
  return createHash('sha256').update(value).digest('hex')
}

describe('a value that is a block', { timeout: 120_000 }, () => {
  let cluster: FaultCluster
  before(async () => {
    cluster = await FaultCluster.start('blocks', ['--workers', '1', '--executors', '1', '--cpus', '1', '--memory', '3gb'])
  })
  after(() => cluster[Symbol.asyncDispose]())

  test('of 500 MB arrives, and neither the leader nor the journal grows by it', async () => {
    const { client } = cluster
    await client.run(echo, 'warm')
    const before = await client.status()
    const result = await client.run(bytes, { count: largeBytes, fill: 7 })
    const after = await client.status()
    assert.equal(result.length, largeBytes)
    assert.equal(digest(result), digest(Buffer.alloc(largeBytes, 7)))
    assert.ok(after.leader.rssBytes - before.leader.rssBytes < slackBytes, `${before.leader.rssBytes} → ${after.leader.rssBytes}`)
    assert.ok(after.journal.bytes + after.journal.payloadBytes - before.journal.bytes - before.journal.payloadBytes < mebibyte)
  })

  test('goes in as well, and from one task to the next', async () => {
    const input = Buffer.alloc(20 * mebibyte, 3)
    assert.equal(await cluster.client.run(sum, input), input.length * 3)
    const mixed = { small: 1, large: Buffer.alloc(mebibyte, 9) }
    assert.deepEqual(await cluster.client.run(echo, mixed), mixed)
    const mapped: unknown[] = []
    for await (const total of cluster.client.map(sum, [Buffer.alloc(100, 1), input, Buffer.alloc(mebibyte, 2)])) mapped.push(total)
    assert.deepEqual(mapped, [100, input.length * 3, mebibyte * 2])
  })

  test('outlives a restart of its worker and of the leader', async () => {
    const { client } = cluster
    const job = await client.submit(bytes, { count: 3 * mebibyte, fill: 5 }, { id: 'kept' })
    await until('it is durable', async () => (await job.status()).state === 'succeeded')
    const pid = await cluster.signal('worker-1', 'SIGKILL')
    await cluster.workerAgain('worker-1', pid)
    assert.equal(digest(await job.result()), digest(Buffer.alloc(3 * mebibyte, 5)))
    await cluster.killLeader()
    assert.equal(digest(await client.job<Buffer>('kept').result()), digest(Buffer.alloc(3 * mebibyte, 5)))
  })

  test('as an input outlives both as well', async () => {
    const { client } = cluster
    const input = Buffer.alloc(2 * mebibyte, 4)
    const trace = cluster.path('blocking-trace')
    const open = cluster.path('blocking-gate')
    // The only slot is taken: the input waits while its worker and its leader are killed.
    const blocking = await client.submit(gated, { trace, name: 'blocking', open })
    await until('the slot is taken', () => linesOf(trace).length === 1)
    const waiting = await client.submit(sum, input, { id: 'waiting' })
    const pid = await cluster.signal('worker-1', 'SIGKILL')
    await cluster.killLeader()
    await cluster.workerAgain('worker-1', pid)
    assert.equal((await waiting.status()).state, 'running')
    writeFileSync(open, '')
    assert.equal((await blocking.result()).attempt, 2)
    assert.equal(await waiting.result(), input.length * 4)
  })
})

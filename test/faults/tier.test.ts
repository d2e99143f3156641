// Owns the tests of the durable tier on a real S3 server: what was there outlives its worker, and a server that is killed loses nothing.
// Must not measure time.
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { noS3, S3Server } from '../services/s3.ts'
import { FaultCluster, linesOf, until } from './harness.ts'
import { bytes, gated, sum } from './tasks.ts'

const mebibyte = 1 << 20
const program = fileURLToPath(new URL('./tier-worker.ts', import.meta.url))

describe('with a durable tier', { skip: noS3, timeout: 180_000 }, () => {
  let cluster: FaultCluster
  let server: S3Server
  const workers = new Map<string, ChildProcess>()

  before(async () => {
    server = await S3Server.start()
    cluster = await FaultCluster.start('tier', ['--workers', '1'])
  })
  after(async () => {
    for (const name of [...workers.keys()]) await lose(name)
    await cluster?.[Symbol.asyncDispose]()
    await server?.stop()
  })

  async function join(name: string): Promise<void> {
    const env = { ...process.env, ...server.environment }
    workers.set(
      name,
      spawn(process.execPath, [program, cluster.home, name, 's3://test/blocks'], { env, stdio: ['ignore', 'ignore', 'inherit'] }),
    )
    await until(`${name} is there`, async () =>
      (await cluster.client.status()).workers.some(one => one.id === name && one.state === 'ready'),
    )
  }

  /** Killed, and all that it had on its disk is gone. */
  async function lose(name: string): Promise<void> {
    const child = workers.get(name)!
    workers.delete(name)
    const ended = new Promise(resolve => child.once('exit', resolve))
    child.kill('SIGKILL')
    await ended
    rmSync(cluster.path(`state/${name}`), { recursive: true, force: true })
  }

  test('a worker that is killed and whose disk is lost takes no results and no inputs with it', async () => {
    const { client } = cluster
    await join('first')
    // The cluster's own worker has no tier.
    assert.equal((await cluster.cox(['drain', 'worker-1'])).code, 0)
    await until('it is gone', async () => (await client.status()).workers.length === 1)
    const jobs = await Promise.all([1, 2, 3].map(fill => client.submit(bytes, { count: fill * mebibyte, fill }, { id: `made-${fill}` })))
    for (const job of jobs) await until('it is durable', async () => (await job.status()).state === 'succeeded')
    const trace = cluster.path('trace')
    const open = cluster.path('open')
    const blocking = await client.submit(gated, { trace, name: 'blocking', open })
    await until('the slot is taken', () => linesOf(trace).length === 1)
    const waiting = await client.submit(sum, Buffer.alloc(2 * mebibyte, 4), { id: 'waiting' })
    await lose('first')
    await join('second')
    assert.ok(!existsSync(cluster.path('state/first')))
    for (const [at, job] of jobs.entries()) {
      const result = await job.result()
      assert.ok(Buffer.alloc((at + 1) * mebibyte, at + 1).equals(result))
    }
    writeFileSync(open, '')
    assert.equal((await blocking.result()).attempt, 2)
    assert.equal(await waiting.result(), 2 * mebibyte * 4)
  })

  test('results wait for a server that is away, and are there when it is back', async () => {
    const { client } = cluster
    const blocks = cluster.path('state/second/blocks')
    const before = readdirSync(blocks).length
    await server.kill()
    const job = await client.submit(bytes, { count: mebibyte, fill: 9 }, { id: 'meanwhile' })
    await until('its result is on the disk of its worker', () => readdirSync(blocks).length > before)
    assert.equal((await job.status()).state, 'running')
    await server.again()
    assert.ok(Buffer.alloc(mebibyte, 9).equals(await job.result()))
    await lose('second')
    await join('third')
    assert.ok(Buffer.alloc(mebibyte, 9).equals(await client.job<Buffer>('meanwhile').result()))
  })
})

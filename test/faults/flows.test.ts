// Owns the tests of workflows against real deaths: the result is that of an undisturbed run, whoever is killed while it runs.
// Must not look at how steps are kept: test/core does.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { approved, thousand } from './flow-tasks.ts'
import { errorOf, FaultCluster, rejection, until } from './harness.ts'

const size = { width: 300, chain: 120 }
const expected = {
  squares: Array.from({ length: size.width }, (_, i) => i * i).reduce((a, b) => a + b, 0),
  fourth: Array.from({ length: size.width }, (_, i) => i ** 4).reduce((a, b) => a + b, 0),
  branch: (size.chain * (size.chain - 1)) / 2 + (((size.chain * (size.chain - 1)) / 2) % 2) * -1000 + 2000,
  caught: { code: { code: 'TASK_FAILED', message: 'as planned', task: '' } },
  recursion: 36,
}

describe('a workflow of a thousand steps', { timeout: 120_000 }, () => {
  let cluster: FaultCluster
  before(async () => {
    cluster = await FaultCluster.start('flows', ['--candidates', '3', '--workers', '2', '--cpus', '2', '--executors', '2'])
  })
  after(() => cluster[Symbol.asyncDispose]())

  function check(result: unknown): void {
    const found = structuredClone(result) as typeof expected
    assert.match(found.caught.code.task, /^\d+\/0$/)
    found.caught.code.task = ''
    assert.deepEqual(found, expected)
  }

  test('comes to its result', async () => {
    check(await cluster.client.run(thousand, size))
  })

  test('comes to the same result while its leaders are killed', async () => {
    const job = await cluster.client.submit(thousand, size)
    for (let kill = 0; kill < 3; kill++) {
      const done = (await job.status()).tasks.succeeded
      await until('it has gone on', async () => {
        const { tasks, state } = await job.status()
        return state !== 'running' || tasks.succeeded > done + 20
      })
      await cluster.killLeader()
    }
    check(await job.result())
  })

  test('comes to the same result while its workers are killed', async () => {
    const job = await cluster.client.submit(thousand, size)
    for (const worker of ['worker-1', 'worker-2']) {
      const done = (await job.status()).tasks.succeeded
      await until('it has gone on', async () => {
        const { tasks, state } = await job.status()
        return state !== 'running' || tasks.succeeded > done + 20
      })
      await cluster.signal(worker, 'SIGKILL')
    }
    check(await job.result())
  })

  test('waits for a signal over the death of its leader, and takes each one once', async () => {
    const job = await cluster.client.submit(approved, 40)
    await cluster.killLeader()
    await cluster.client.signal(job.id, 'go', 2, { id: 'one' })
    assert.equal(await job.result(), 42)
    const ended = await rejection(cluster.client.signal(job.id, 'go', 3), 'JOB_ENDED')
    assert.match(ended.message, /has ended/)
    await cluster.client.signal(job.id, 'go', 2, { id: 'one' })
  })

  test('is shown by cox with its steps, what they wait for and what they came to', async () => {
    const job = await cluster.client.submit(approved, 1, { id: 'shown' })
    const shown = await cluster.cox(['job', job.id])
    assert.match(shown.stdout, /▸ 0 go \(signal\) {2}open since .*\n.*· 1 add {2}waiting {2}← 0/)
    assert.match((await cluster.cox(['why', job.id])).stdout, /waits for the signal go: cox signal shown go/)
    assert.equal((await cluster.cox(['signal', job.id, 'go', '41'])).code, 0)
    assert.equal((await cluster.cox(['result', job.id])).stdout.trim(), '42')
    assert.equal((await cluster.cox(['result', job.id, 'add'])).stdout.trim(), '42')
    assert.match((await cluster.cox(['job', job.id, '--mermaid'])).stdout, /flowchart TD[\s\S]*s0 --> s1/)
    assert.equal(errorOf(await cluster.cox(['result', job.id, 'nothing', '--json'])).code, 'NOT_FOUND')
    assert.equal(errorOf(await cluster.cox(['signal', 'nobody', 'go', '--json'])).code, 'NOT_FOUND')
  })
})

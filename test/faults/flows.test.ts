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

  test('has steps of every kind whose inputs and results can be read while it is there', async () => {
    const job = await cluster.client.submit(thousand, { width: 5, chain: 3 })
    await job.result()
    const found = new Map<string, { input: unknown; result: unknown }>()
    for await (const step of job.steps()) {
      if (step.status !== 'succeeded' || step.parent !== undefined || step.kind !== 'tasks') continue
      found.set(`${step.step} ${step.name}`, { input: await job.stepInput(step), result: await job.stepResult(step) })
    }
    const of = (name: string) => [...found].filter(([key]) => key.endsWith(` ${name}`)).map(([, value]) => value)
    const squares = [0, 1, 4, 9, 16]
    assert.deepEqual(of('range'), [{ input: 5, result: [0, 1, 2, 3, 4] }])
    assert.deepEqual(of('square'), [
      { input: [0, 1, 2, 3, 4], result: squares },
      { input: squares, result: squares.map(value => value * value) },
    ])
    const [sum, fold] = of('total')
    assert.deepEqual(sum, { input: squares, result: 30 })
    assert.deepEqual(fold, { input: [squares.map(value => value * value)], result: 354 })
    assert.deepEqual(of('countdown'), [{ input: 8, result: 36 }])
    let broken: unknown
    for await (const step of job.steps()) if (step.status === 'failed') broken = await rejection(job.stepResult(step), 'TASK_FAILED')
    assert.match(String(broken), /as planned/)
    const shown = await cluster.cox(['result', job.id, 'broken'])
    assert.equal(shown.code, 1)
    assert.match(shown.stderr, /TASK_FAILED[\s\S]*as planned/)
    assert.match(shown.stderr, new RegExp(job.id))
  })

  test('is shown by cox with its steps, what they wait for and what they came to', async () => {
    const job = await cluster.client.submit(approved, 1, { id: 'shown' })
    const shown = await cluster.cox(['job', job.id])
    assert.match(shown.stdout, /▸ 0 go \(signal\) {2}open since .*\n.*· 1 add {2}waiting {2}← 0/)
    assert.match((await cluster.cox(['why', job.id])).stdout, /waits for the signal go: cox signal shown go/)
    for (const what of [['go'], ['add'], ['add', '--input']])
      assert.equal(errorOf(await cluster.cox(['result', job.id, ...what, '--json'])).code, 'STEP_NOT_READY')
    assert.equal((await cluster.cox(['signal', job.id, 'go', '41'])).code, 0)
    assert.equal((await cluster.cox(['result', job.id])).stdout.trim(), '42')
    assert.equal((await cluster.cox(['result', job.id, 'add'])).stdout.trim(), '42')
    assert.equal((await cluster.cox(['result', job.id, 'go'])).stdout.trim(), '41')
    assert.equal((await cluster.cox(['result', job.id, 'add', '--input'])).stdout.trim(), '{"a":1,"b":41}')
    assert.equal(errorOf(await cluster.cox(['result', job.id, '--input', '--json'])).code, 'USAGE')
    assert.match((await cluster.cox(['job', job.id, '--mermaid'])).stdout, /flowchart TD[\s\S]*s0 --> s1/)
    assert.equal(errorOf(await cluster.cox(['result', job.id, 'nothing', '--json'])).code, 'NOT_FOUND')
    assert.equal(errorOf(await cluster.cox(['signal', 'nobody', 'go', '--json'])).code, 'NOT_FOUND')
  })
})

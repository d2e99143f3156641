// Owns the tests of who goes silent or away: a client that is killed, a worker that is stopped and comes back.
// Must not time anything: it waits for what must happen.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { alive, FaultCluster, linesOf, until } from './harness.ts'
import { echo, gated } from './tasks.ts'

describe('silence', { timeout: 90_000 }, () => {
  let cluster: FaultCluster
  before(async () => {
    cluster = await FaultCluster.start('silence', ['--workers', '2', '--executors', '4', '--cpus', '4'])
  })
  after(() => cluster[Symbol.asyncDispose]())

  test('a client that is killed leaves its detached job running; an attached one ends with it', async () => {
    const { client } = cluster
    const trace = cluster.path('client-trace')
    const open = cluster.path('client-gate')
    const script = fileURLToPath(new URL('./client.ts', import.meta.url))
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', script, trace, open], {
      env: { ...process.env, COX_HOME: cluster.home },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await once(child.stdout, 'data')
    await until('both run', () => linesOf(trace).length === 2)
    child.kill('SIGKILL')
    await once(child, 'exit')
    await silentWorker()
    const attached = await until('the attached job ends', async () => {
      const view = await client.job('attached').status()
      return view.state !== 'running' && view
    })
    assert.equal(attached.state, 'cancelled')
    assert.match(attached.reason ?? '', /client/)
    assert.equal((await client.job('detached').status()).state, 'running')
    writeFileSync(open, '')
    assert.equal((await client.job<{ name: string }>('detached').result()).name, 'detached')
  })

  /** While the client's grace runs: a worker is stopped for longer than silence is borne. */
  async function silentWorker(): Promise<void> {
    const { client } = cluster
    const trace = cluster.path('stopped-trace')
    const open = cluster.path('stopped-gate')
    const names = ['a', 'b', 'c', 'd']
    const job = await Promise.all(names.map(name => client.submit(gated, { trace, name, open }, { id: `stopped-${name}` })))
    await until('all run', () => linesOf(trace).length === names.length)
    const story = await client.story('worker-1')
    const before = (await client.workers()).find(worker => worker.id === 'worker-1')!
    const others = (await client.workers()).find(worker => worker.id === 'worker-2')!
    // The executors are stopped too: nothing of this machine moves.
    const frozen = [before.pid, ...cluster.executors(before.pid)]
    for (const pid of frozen) process.kill(pid, 'SIGSTOP')
    await until('it is declared lost', async () => !(await client.workers()).some(worker => worker.id === 'worker-1'))
    assert.ok(alive(before.pid))
    writeFileSync(open, '')
    const results = await Promise.all(job.map(one => one.result()))
    assert.deepEqual(
      results.map(({ name }) => name),
      names,
    )
    const again = results.filter(({ attempt }) => attempt === 2).map(({ name }) => name)
    assert.ok(again.length > 0)
    for (const pid of frozen) process.kill(pid, 'SIGCONT')
    const after = await until('it is back', async () =>
      (await client.workers()).find(worker => worker.id === 'worker-1' && worker.state === 'ready'),
    )
    assert.equal(after.pid, before.pid)
    assert.ok(after.incarnation > before.incarnation)
    assert.equal((await client.workers()).find(worker => worker.id === 'worker-2')!.incarnation, others.incarnation)
    assert.match(cluster.log('worker-1'), /"dismissed"|"leader-lost"/)
    // What it had run to its end meanwhile changed nothing.
    for (const [at, one] of job.entries()) assert.deepEqual(await one.result(), results[at])
    for (const name of again) {
      const ran = linesOf(trace).filter(line => line.startsWith(`${name} `))
      assert.deepEqual(ran, [`${name} 1 worker-1`, `${name} 2 worker-2`])
    }
    assert.equal(linesOf(trace).length, names.length + again.length)
    const told = (await client.story('worker-1')).lines.slice(story.lines.length).map(line => line.kind)
    assert.deepEqual(
      told.filter(kind => kind === 'WorkerLost' || kind === 'WorkerJoined'),
      ['WorkerLost', 'WorkerJoined'],
    )
    // Both workers take work again.
    const calls = Array.from({ length: 40 }, (_, at) => client.run(echo, at))
    assert.deepEqual(
      await Promise.all(calls),
      calls.map((_, at) => at),
    )
  }
})

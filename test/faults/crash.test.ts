// Owns the tests of what kill -9 costs: of the leader, a worker, and everything at once. Real processes, real SQLite.
// Must not tolerate more than was promised: every attempt leaves a line, and lines are counted. A running attempt is never repeated.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { alive, FaultCluster, linesOf, rejection, tally, until } from './harness.ts'
import { echo, gated, square } from './tasks.ts'

/**
 * Each task of a map, whose inputs were durable, ran once; so did the submitted ones, whose value is below zero, but for the one that was
 * being submitted at a kill: it may have run before it was durable. All ran at their first attempt.
 */
function assertRan(trace: string, mapped: number, submitted: number, kills: number): void {
  const counts = tally(linesOf(trace))
  const times = (value: number): number => counts.get(`${value} 1`) ?? 0
  for (let value = 0; value < mapped; value++) assert.equal(times(value), 1, `how often task ${value} ran`)
  let again = 0
  for (let value = -submitted; value < 0; value++) {
    assert.ok(times(value) === 1 || times(value) === 2, `submitted task ${value} ran ${times(value)} times`)
    again += times(value) - 1
  }
  assert.ok(again <= kills, `${again} submitted tasks ran again`)
  assert.deepEqual(
    linesOf(trace).filter(line => line.split(' ')[1] !== '1'),
    [],
  )
}

describe('kill -9', { timeout: 90_000 }, () => {
  let cluster: FaultCluster
  before(async () => {
    cluster = await FaultCluster.start('crash', ['--workers', '2', '--executors', '2', '--cpus', '2'])
  })
  after(() => cluster[Symbol.asyncDispose]())

  test('of the leader, again and again under load, costs nothing', async () => {
    const { client } = cluster
    const trace = cluster.path('leader-trace')
    const open = cluster.path('leader-gate')
    // Two attempts that run over all the kills, one on each worker.
    const long = [0, 1].map(at => client.run(gated, { trace, name: `long-${at}`, open }))
    await until('both run', () => linesOf(trace).length === 2)
    const workers = [cluster.pid('worker-1'), cluster.pid('worker-2')]

    const tasks = 3000
    const inputs = Array.from({ length: tasks }, (_, value) => ({ trace, value, ms: 1 }))
    const results: number[] = []
    const mapping = (async () => {
      for await (const result of client.map(square, inputs, { id: 'mapped' })) results.push(result)
    })()
    let stop = false
    const acknowledged: string[] = []
    const calls: Promise<number>[] = []
    const submitting = (async () => {
      for (let i = 0; !stop; i++) {
        const job = await client.submit(square, { trace, value: -1 - i }, { id: `submitted-${i}` })
        acknowledged.push(job.id)
        calls.push(client.run(square, { trace: cluster.path('calls-trace'), value: i }))
      }
    })()
    await until('all inputs are durable', async () => (await client.job('mapped').status()).stages[0]!.sealed)
    const executors = cluster.executors()
    const kills = 3
    for (let kill = 1; kill <= kills; kill++) {
      const due = Math.floor((tasks * kill) / (kills + 2))
      await until(`${due} results`, () => results.length >= due)
      const status = await cluster.killLeader()
      assert.equal(status.leader.epoch, kill + 1)
    }
    await mapping
    stop = true
    await submitting
    writeFileSync(open, '')
    const kept = await Promise.all(long)

    assert.deepEqual(
      results,
      inputs.map(({ value }) => value * value),
    )
    assert.deepEqual(
      kept.map(({ attempt }) => attempt),
      [1, 1],
    )
    for (const { pid } of kept) assert.ok(executors.includes(pid))
    assert.deepEqual([cluster.pid('worker-1'), cluster.pid('worker-2')], workers)
    assert.deepEqual(
      executors.filter(pid => !alive(pid)),
      [],
    )
    assert.deepEqual(
      await Promise.all(calls),
      calls.map((_, i) => i * i),
    )
    assert.ok(acknowledged.length >= kills)
    for (const [i, id] of acknowledged.entries()) assert.equal(await client.job<number>(id).result(), (i + 1) ** 2)
    assertRan(trace, tasks, acknowledged.length, kills)
    await rejection(client.submit(square, { trace, value: 0 }, { id: 'submitted-0' }), 'JOB_ID_REUSED')
  })

  test('of a worker runs again exactly what it ran, and commits one result', async () => {
    const { client } = cluster
    const trace = cluster.path('worker-trace')
    const open = cluster.path('worker-gate')
    const names = Array.from({ length: 12 }, (_, at) => `task-${at}`)
    const calls = names.map(name => client.run(gated, { trace, name, open }))
    await until('four run', () => linesOf(trace).length === 4)
    const victim = 'worker-1'
    const lost = linesOf(trace)
      .filter(line => line.endsWith(` ${victim}`))
      .map(line => line.split(' ')[0]!)
    assert.equal(lost.length, 2)
    const { tasks } = await client.job((await client.jobs({ name: 'gated', state: 'running' }))[0]!.id).status()
    assert.equal(tasks.total, names.length)
    const pid = await cluster.signal(victim, 'SIGKILL')
    await cluster.workerAgain(victim, pid)
    await until('it runs others', () => linesOf(trace).length === 6)
    writeFileSync(open, '')
    const results = await Promise.all(calls)
    assert.deepEqual(
      results.map(({ name }) => name),
      names,
    )
    const counts = tally(linesOf(trace).map(line => line.split(' ')[0]!))
    for (const name of names) assert.equal(counts.get(name), lost.includes(name) ? 2 : 1, name)
    // An attempt has one number, and nothing ran twice under it.
    assert.equal(tally(linesOf(trace).map(line => line.split(' ').slice(0, 2).join(' '))).size, names.length + lost.length)
    for (const { name, attempt } of results) if (lost.includes(name)) assert.equal(attempt, 2)
  })

  test('of everything loses nothing acknowledged', async () => {
    const { client } = cluster
    const trace = cluster.path('all-trace')
    const open = cluster.path('all-gate')
    const finished = await client.submit(echo, { name: 'finished', 数: [1n, new Date(0)] }, { id: 'finished' })
    await finished.result()
    const waiting = Array.from({ length: 50 }, (_, at) => at)
    await Promise.all(waiting.map(at => client.submit(gated, { trace, name: `waiting-${at}`, open }, { id: `waiting-${at}` })))
    const cancelled = await client.submit(gated, { trace, name: 'cancelled', open }, { id: 'cancelled' })
    await cancelled.cancel('not wanted')
    await until('some run', () => linesOf(trace).length >= 4)
    const pids = ['supervisor', 'candidate-1', 'worker-1', 'worker-2'].map(name => cluster.pid(name))
    for (const pid of pids) process.kill(pid, 'SIGKILL')
    await until('all are dead', () => !pids.some(alive))
    await until('their executors follow', () => cluster.executors().length === 0)
    await cluster.up()
    assert.deepEqual(await client.job('finished').result(), { name: 'finished', 数: [1n, new Date(0)] })
    assert.equal((await client.job('cancelled').status()).state, 'cancelled')
    writeFileSync(open, '')
    const results = await Promise.all(waiting.map(at => client.job<{ name: string }>(`waiting-${at}`).result()))
    assert.deepEqual(
      results.map(({ name }) => name),
      waiting.map(at => `waiting-${at}`),
    )
    assert.equal(await client.job<number>('submitted-0').result(), 1)
    const verified = await cluster.cox(['journal', 'verify', '--json'])
    assert.deepEqual([verified.code, (JSON.parse(verified.stdout) as { ok: boolean }).ok], [0, true])
  })
})

// Owns the tests of schedules on a real cluster: each tick runs once while leaders are killed, and what people do with them from the shell.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type ScheduleHandle, type ScheduleView, schedule } from '../../src/index.ts'
import { errorOf, FaultCluster, rejection, until } from './harness.ts'
import { echo } from './tasks.ts'

const eachSecond = schedule({ name: 'each-second', every: '1s', task: echo, input: 'tick', catchUp: 'all', overlap: 'queue' })

describe('a schedule', { timeout: 60_000 }, () => {
  let cluster: FaultCluster
  before(async () => {
    cluster = await FaultCluster.start('schedules', ['--candidates', '3', '--workers', '1', '--cpus', '1', '--executors', '1'])
  })
  after(() => cluster[Symbol.asyncDispose]())

  function ranTimes(handle: ScheduleHandle, times: number): Promise<ScheduleView> {
    return until(`it ran ${times} times`, async () => {
      const view = await handle.status()
      return view.ran >= times && view
    })
  }

  test('runs each tick once, whoever leads', async () => {
    const handle = await cluster.client.schedule(eachSecond)
    for (const times of [1, 3]) {
      await ranTimes(handle, times)
      await cluster.killLeader()
    }
    await ranTimes(handle, 5)
    await handle.pause()
    const { ran } = await handle.status()
    const jobs = await cluster.client.jobs({ label: 'schedule:each-second' })
    assert.equal(jobs.length, ran)
    const ticks = jobs.map(job => Date.parse(job.id.split('@')[1]!)).sort((a, b) => a - b)
    assert.deepEqual(
      ticks,
      ticks.map((_, i) => ticks[0]! + i * 1000),
      'no tick is missing, none came twice',
    )
    await until('all have ended', async () => (await handle.status()).running.length === 0)
    for (const job of jobs) assert.equal(await cluster.client.job(job.id).result(), 'tick')
  })

  test('is made once, refused as another one, and replaced on purpose', async () => {
    const { client } = cluster
    const nightly = { name: 'nightly', cron: '0 2 * * *', timezone: 'Europe/Berlin', task: echo, input: 1 }
    await client.schedule(schedule(nightly))
    await client.schedule(schedule(nightly))
    await rejection(client.schedule(schedule({ ...nightly, cron: '0 3 * * *' })), 'SCHEDULE_CHANGED')
    const handle = await client.schedule(schedule({ ...nightly, cron: '0 3 * * *' }), { replace: true })
    const { cron, nextAtMs } = await handle.status()
    assert.equal(cron, '0 3 * * *')
    assert.ok(nextAtMs! > Date.now())
    await rejection(client.scheduled('none').pause(), 'NOT_FOUND')
    await rejection(client.scheduled('none').status(), 'NOT_FOUND')
    await rejection(client.schedule({} as never), 'INVALID_ARGUMENT')
  })

  test('is listed, triggered, paused and deleted from the shell', async () => {
    const listed = await cluster.cox(['schedules'])
    assert.match(listed.stdout, /each-second.*every 1\.0 s.*paused/)
    assert.match(listed.stdout, /nightly.*0 3 \* \* \*.*Europe\/Berlin/)
    const { job } = JSON.parse((await cluster.cox(['schedule', 'trigger', 'nightly', '--json'])).stdout) as { job: string }
    assert.equal(await cluster.client.job(job).result(), 1)
    assert.match((await cluster.cox(['schedule', 'pause', 'nightly'])).stdout, /paused/)
    assert.match((await cluster.cox(['story', 'nightly'])).stdout, /paused/)
    assert.equal((await cluster.cox(['schedule', 'delete', 'nightly'])).code, 0)
    assert.equal(errorOf(await cluster.cox(['schedule', 'resume', 'nightly', '--json'])).code, 'NOT_FOUND')
    const left = JSON.parse((await cluster.cox(['schedules', '--json'])).stdout) as ScheduleView[]
    assert.deepEqual(
      left.map(one => one.name),
      ['each-second'],
    )
  })
})

// Owns the test of limits with real processes: runs in the queue of a key, and tasks that share one, over the death of a leader.
// Must not look at how it is kept: test/core does.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { FaultCluster, linesOf, tally, until } from './harness.ts'
import { nightly } from './policy-tasks.ts'

const width = 12
const runs = ['one', 'two', 'three', 'four']

describe('runs and tasks that are limited', { timeout: 120_000 }, () => {
  let cluster: FaultCluster
  before(async () => {
    cluster = await FaultCluster.start('policies', ['--candidates', '2', '--workers', '1', '--cpus', '2', '--executors', '8'])
  })
  after(() => cluster[Symbol.asyncDispose]())

  test('all end when their leader is killed, in their order, and no limit is passed', async () => {
    const log = cluster.path('limited.log')
    const gate = cluster.path('gate')
    const jobs = []
    // Of the first key two runs go at once, so that the limit of tasks is between runs too.
    for (const run of runs)
      jobs.push(await cluster.client.submit(nightly, { log, gate, run, width }, { concurrencyKey: 'nightly', concurrency: 2 }))
    await until('as many run as may', () => linesOf(log).length >= 2)
    assert.match((await cluster.cox(['why', jobs[3]!.id])).stdout, /nightly.*2 runs at once.*1 are before it/)
    await cluster.killLeader()
    writeFileSync(gate, '')
    for (const [i, job] of jobs.entries())
      assert.deepEqual(
        await job.result(),
        Array.from({ length: width }, (_, task) => `${runs[i]}/${task}`),
      )
    const lines = linesOf(log)
    let now = 0
    let most = 0
    for (const line of lines) {
      now += line.startsWith('+') ? 1 : -1
      most = Math.max(most, now)
    }
    assert.equal(most, 2, 'what the worker ran at once')
    assert.equal(now, 0)
    // One worker that stays knows what it ran: nothing of it runs twice.
    for (const [line, count] of tally(lines)) assert.equal(count, 1, line)
    const beginning = (run: string): number => lines.findIndex(line => line.startsWith(`+ ${run}/`))
    const ending = (run: string): number => lines.findLastIndex(line => line.startsWith(`- ${run}/`))
    assert(beginning('three') > Math.min(ending('one'), ending('two')), 'a third run began while two were there')
    assert(beginning('four') > beginning('three'), 'runs of a key begin in their order')
  })
})

// Owns the tests of the control of runs with real processes: paused and re-run jobs over the death of a leader, and by the command line.
// Must not look at how it is kept: test/core does.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { chain, gate, saga, stubborn } from './control-tasks.ts'
import { errorOf, FaultCluster, linesOf, rejection, tally, until } from './harness.ts'

const beside = (file: string): string => fileURLToPath(new URL(file, import.meta.url))

describe('a run that is controlled', { timeout: 120_000 }, () => {
  let cluster: FaultCluster
  before(async () => {
    cluster = await FaultCluster.start('control', ['--candidates', '2', '--workers', '1', '--cpus', '1', '--executors', '1'])
  })
  after(() => cluster[Symbol.asyncDispose]())

  test('stays paused when its leader is killed, and comes to its result when it is resumed', async () => {
    const length = 120
    const log = cluster.path('chain.log')
    const job = await cluster.client.submit(chain, { log, length })
    await until('it has begun', async () => (await job.status()).tasks.succeeded > 3)
    // Here first: by the time a command line is up, the chain may have come to its end.
    await job.pause()
    assert.equal((await cluster.cox(['pause', job.id])).code, 0)
    await until('what runs has ended', async () => (await job.status()).tasks.running === 0)
    const { tasks } = await job.status()
    assert(tasks.succeeded < length, 'it had ended before it was paused')
    await cluster.killLeader()
    const view = await job.status()
    assert.equal(view.paused, true)
    assert.deepEqual(view.tasks, tasks)
    assert.match((await cluster.cox(['job', job.id])).stdout, /running.*, paused/)
    assert.match((await cluster.cox(['why', job.id])).stdout, /paused.*cox resume/)
    assert.equal((await cluster.cox(['resume', job.id])).code, 0)
    assert.equal(await job.result(), length)
    assert.equal(errorOf(await cluster.cox(['pause', job.id, '--json'])).code, 'JOB_ENDED')
    assert.equal(errorOf(await cluster.cox(['resume', 'nobody', '--json'])).code, 'NOT_FOUND')
  })

  test('goes on from the step that failed, though the leader is killed right then, and runs nothing twice that succeeded', async () => {
    const log = cluster.path('gate.log')
    const open = cluster.path('open')
    const job = await cluster.client.submit(gate, { log, gate: open, value: 1 })
    const failed = await rejection(job.result(), 'TASK_FAILED')
    assert.match(failed.message, /the gate is shut/)
    assert.match((await job.status()).reason ?? '', /step gated .* the gate is shut/)
    writeFileSync(open, '')
    await job.rerun()
    await cluster.killLeader()
    assert.equal(await job.result(), 20)
    const runs = tally(linesOf(log))
    assert.equal(runs.get('first 1'), 1)
    assert(runs.get('gated 2')! >= 2)
    assert.match((await cluster.cox(['story', job.id])).stdout, /goes on: steps 1 wait again/)
    const refused = await rejection(job.rerun(), 'CANNOT_RERUN')
    assert.match(refused.message, /succeeded/)
  })

  test('takes back what it did when it is cancelled so, though the leader is killed meanwhile, and ends cancelled', async () => {
    const log = cluster.path('saga.log')
    const open = cluster.path('saga-gate')
    const job = await cluster.client.submit(saga, { log, gate: open })
    const refused = rejection(job.result(), 'TASK_CANCELLED')
    await until('it has come to its last step', () => linesOf(log).includes('hold 3'))
    const cancelled = await cluster.cox(['cancel', job.id, '--compensate', '--reason', 'wrong day'])
    assert.equal(cancelled.code, 0, cancelled.stderr)
    assert.match(cancelled.stdout, /Being cancelled/)
    await until('the first compensation runs', () => linesOf(log).includes('undo two'))
    await cluster.killLeader()
    const view = await job.status()
    assert.deepEqual([view.state, view.cancelling, view.reason], ['running', true, 'wrong day'])
    assert.match((await cluster.cox(['job', job.id])).stdout, /running.*, being cancelled/)
    assert.match((await cluster.cox(['why', job.id])).stdout, /is being cancelled \(wrong day\).* 2 compensations/)
    assert.match((await cluster.cox(['story', job.id])).stdout, /being cancelled, its compensations run first: wrong day/)
    writeFileSync(open, '')
    assert.match((await refused).message, /wrong day/)
    assert.equal((await job.status()).state, 'cancelled')
    assert.deepEqual(linesOf(log), ['first 1', 'first 2', 'hold 3', 'told to stop', 'undo two', 'undone two', 'undo one', 'undone one'])
  })

  test('takes back also what ran, and came to its end although it was told to stop, and not what gave up', async () => {
    const open = cluster.path('stubborn-gate')
    writeFileSync(open, '')
    for (const succeeds of [true, false]) {
      const log = cluster.path(`stubborn-${succeeds}.log`)
      const job = await cluster.client.submit(stubborn, { log, gate: open, succeeds })
      const refused = rejection(job.result(), 'TASK_CANCELLED')
      await until('it runs', () => linesOf(log).includes('hold 1'))
      await job.cancel('wrong day', { compensate: true })
      await refused
      assert.deepEqual(linesOf(log), succeeds ? ['hold 1', 'told to stop', 'undo it', 'undone it'] : ['hold 1'])
    }
  })

  test('ends at once when it is cancelled again while it takes back', async () => {
    const log = cluster.path('enough.log')
    const job = await cluster.client.submit(saga, { log, gate: cluster.path('never-opened') })
    await until('it has come to its last step', () => linesOf(log).includes('hold 3'))
    await job.cancel('wrong day', { compensate: true })
    await until('the first compensation runs', () => linesOf(log).includes('undo two'))
    await job.cancel('enough')
    const { state, reason } = await job.status()
    assert.deepEqual([state, reason], ['cancelled', 'enough'])
    await until('it has stopped', async () => (await job.status()).finishedAtMs !== undefined)
    assert(!linesOf(log).includes('undo one'))
  })

  test('goes on by a corrected program, and not by one that lacks a definition', async () => {
    const log = cluster.path('corrected.log')
    const job = await cluster.client.submit(gate, { log, gate: cluster.path('never'), value: 1 })
    await rejection(job.result(), 'TASK_FAILED')
    const vanished = errorOf(await cluster.cox(['rerun', job.id, `${beside('control-vanished.ts')}#gate`, '--json']))
    assert.equal(vanished.code, 'STEP_VANISHED')
    assert.match(vanished.message, /step 1 \(gated\)/)
    assert.equal((await job.status()).state, 'failed')
    const done = await cluster.cox(['rerun', job.id, `${beside('control-corrected.ts')}#gate`])
    assert.equal(done.code, 0, done.stderr)
    assert.equal(await job.result(), 200)
    assert.deepEqual(
      [...tally(linesOf(log))],
      [
        ['first 1', 1],
        ['gated 2', 1],
        ['corrected 2', 1],
      ],
    )
  })
})

// Shows that many tasks and many workers are no more than many. Without coverage, under which they take three times as long.
// Must not be all that reaches a line of core.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { observeWorker } from '../../src/core/observed/observed.ts'
import { amount, inputs, plan, stage } from '../fakes/plans.ts'
import { failed } from '../fakes/worker.ts'
import { type Harness, scenario } from './harness.ts'

describe('a million tasks', () => {
  it(
    'that all failed stand in line and are cancelled without a stall',
    scenario(
      cluster => {
        const count = 100_000
        const worker = cluster.join('w1')
        cluster.submit('first', 1)
        cluster.finishAll()
        cluster.submit('job', count, { stages: [stage({ retries: 1, backoffMs: 1000 })] })
        while (worker.busy.length > 0)
          cluster.end(
            worker,
            worker.busy[0]!.open.map(() => failed()),
          )
        assert.equal(cluster.stage('job').delayedCount, count)
        cluster.advance(2000)
        assert(cluster.stage('job').ready.length > count / 2)
        cluster.cancel('job')
        cluster.lose(worker)
        assert.equal(cluster.jobState('job'), 'cancelled')
      },
      { checking: false },
    ),
  )

  it(
    'take no more room in the state than a few',
    scenario(
      cluster => {
        cluster.ask({ kind: 'submitJob', plan: plan('job'), inputs: [inputs(1_000_000, { itemBytes: 1 })] })
        assert.equal(cluster.stage('job').ready.length, 1)
        assert.equal(cluster.stage('job').inputs.length, 1)
      },
      { checking: false },
    ),
  )
})

describe('ten thousand workers', () => {
  const joinAll = (cluster: Harness): void => {
    for (let i = 0; i < 10_000; i++) {
      cluster.ask({
        kind: 'registerWorker',
        worker: `w${i}`,
        boot: 'boot',
        capacity: amount(2),
        host: '',
        pid: 1,
        blocks: '',
        labels: [],
        lanes: [],
      })
      observeWorker(cluster.observed, `w${i}`, 0)
    }
    cluster.settle()
  }

  it(
    'are all given work, and none is looked at again while nothing changes there',
    scenario(
      cluster => {
        joinAll(cluster)
        cluster.submit('job', 100_000)
        assert.equal(cluster.state.tasks.lanes.size, 20_000)
        const [schedulingClass] = cluster.state.tasks.waiting
        // All are known to be full: the next turns look at nobody but those that have new room.
        assert(cluster.observed.short.has(schedulingClass!))
        for (let turn = 0; turn < 1000; turn++) cluster.settle()
        assert.equal(cluster.stage('job').readyCount, 80_000)
        cluster.ask({ kind: 'loseWorker', worker: 'w5000', incarnation: 5001, reason: 'gone' })
        cluster.settle()
        assert.equal(cluster.stage('job').runningCount, 19_998)
      },
      { checking: false },
    ),
  )
})

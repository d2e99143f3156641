// Shows limits of tasks: how many of a key run at once, how many begin in a time, over all jobs; who waits, who is next, and what a takeover keeps.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { why } from '../../src/core/views/why.ts'
import { inputs, plan, stage } from '../fakes/plans.ts'
import { failed } from '../fakes/worker.ts'
import { type Harness, scenario } from './harness.ts'
import { policy } from './limited.ts'

function running(cluster: Harness, ...jobs: string[]): number[] {
  return jobs.map(job => cluster.stage(job).runningCount)
}

describe('a key with a number', () => {
  it(
    'is shared by all jobs, and no more of them run than it says, however much room there is',
    scenario(cluster => {
      cluster.join('w1', 8)
      cluster.submit('one', 4, { policies: [policy({ key: 'db', concurrency: 3 })] })
      cluster.submit('two', 4, { policies: [policy({ key: 'db', concurrency: 3 })] })
      cluster.submit('free', 4)
      assert.deepEqual(running(cluster, 'one', 'two', 'free'), [3, 0, 4])
      cluster.finishAll()
      assert.deepEqual([cluster.jobState('one'), cluster.jobState('two')], ['succeeded', 'succeeded'])
      assert.equal(cluster.state.keys.byName.size, 0, 'a key nobody uses is forgotten')
    }),
  )

  it(
    'lets jobs take turns, and higher priority go first',
    scenario(cluster => {
      const worker = cluster.join('w1', 8)
      const limited = { policies: [policy({ key: 'db', concurrency: 1 })] }
      cluster.submit('one', 3, limited)
      cluster.submit('two', 2, limited)
      cluster.submit('urgent', 1, { ...limited, priority: 5 })
      const order: string[] = []
      while (worker.busy[0]) {
        order.push(cluster.state.tasks.lanes.get(worker.busy[0].id)!.runs[0]!.stage.job.plan.job)
        cluster.finish(worker)
      }
      assert.deepEqual(order, ['one', 'urgent', 'one', 'two', 'one', 'two'])
    }),
  )

  it(
    'is given back by a failure, by a lost worker and by a cancel',
    scenario(cluster => {
      const first = cluster.join('w1')
      cluster.submit('one', 1, { stages: [stage({ retries: 1, backoffMs: 100 })], policies: [policy({ key: 'db', concurrency: 1 })] })
      cluster.submit('two', 1, { policies: [policy({ key: 'db', concurrency: 1 })] })
      cluster.end(first, [failed('TASK_FAILED')])
      assert.deepEqual(running(cluster, 'one', 'two'), [0, 1], 'who waits for its next attempt holds nothing')
      const second = cluster.join('w2')
      cluster.advance(200)
      assert.deepEqual(running(cluster, 'one', 'two'), [0, 1])
      cluster.lose(first)
      assert.equal(running(cluster, 'one', 'two')[0]! + running(cluster, 'one', 'two')[1]!, 1)
      cluster.cancel('one')
      cluster.cancel('two')
      cluster.end(second, [{ kind: 'skipped', count: 1 }])
      assert.equal(cluster.state.keys.byName.size, 0)
    }),
  )

  it(
    'holds back what does not fit beside what does: work of the same key that fits is not kept waiting',
    scenario(cluster => {
      cluster.join('w1', 2)
      cluster.submit('large', 1, { priority: 9, stages: [stage({ cpus: 4 })], policies: [policy({ key: 'db', concurrency: 1 })] })
      cluster.submit('small', 1, { policies: [policy({ key: 'db', concurrency: 1 })] })
      assert.deepEqual(running(cluster, 'large', 'small'), [0, 1])
    }),
  )

  it(
    'without a name is the limit of one stage alone',
    scenario(cluster => {
      cluster.join('w1', 8)
      cluster.submit('one', 5, { policies: [policy({ concurrency: 2 })] })
      cluster.submit('two', 5, { policies: [policy({ concurrency: 3 })] })
      assert.deepEqual(running(cluster, 'one', 'two'), [2, 3])
      cluster.takeOver()
      assert.deepEqual(running(cluster, 'one', 'two'), [2, 3])
    }),
  )

  it(
    'never stands in line in a lane, however short the tasks are: each of them is on its own',
    scenario(cluster => {
      const worker = cluster.join('w1', 4)
      cluster.submit('one', 40, { policies: [policy({ key: 'db', concurrency: 3 })] })
      for (let i = 0; i < 20; i++) {
        assert.equal(cluster.state.tasks.lanes.size, 3)
        for (const lane of cluster.state.tasks.lanes.values()) assert.equal(lane.runs.length, 1)
        cluster.finish(worker)
      }
    }),
  )

  it(
    'costs nobody a look while it is full: stages that wait for it are in no line',
    scenario(cluster => {
      cluster.join('w1', 4)
      for (let i = 0; i < 30; i++) cluster.submit(`job-${i}`, 1, { policies: [policy({ key: 'db', concurrency: 1 })] })
      assert.equal(cluster.state.tasks.waiting.size, 0)
    }),
  )
})

describe('a rate', () => {
  it(
    'lets no more begin in any span than it says, retries included',
    scenario(cluster => {
      cluster.join('w1', 8)
      const limited = { policies: [policy({ key: 'api', rateLimit: 3, ratePerMs: 1000 })] }
      cluster.submit('one', 7, limited)
      assert.equal(cluster.stage('one').runningCount, 3)
      cluster.finishAll()
      assert.equal(cluster.stage('one').succeeded, 3)
      cluster.advance(999)
      assert.equal(cluster.stage('one').runningCount, 0)
      cluster.advance(1)
      assert.equal(cluster.stage('one').runningCount, 3)
    }),
  )

  it(
    'remembers what began when its jobs are over, and is forgotten when that is long ago',
    scenario(cluster => {
      cluster.join('w1', 8)
      const limited = { policies: [policy({ key: 'api', rateLimit: 1, ratePerMs: 1000 })] }
      cluster.submit('one', 1, limited)
      cluster.finishAll()
      assert.equal(cluster.jobState('one'), 'succeeded')
      cluster.submit('two', 1, limited)
      assert.equal(cluster.stage('two').runningCount, 0)
      cluster.takeOver()
      for (const worker of cluster.workers.values()) cluster.register(worker, 8)
      cluster.settle()
      assert.equal(cluster.stage('two').runningCount, 0, 'a takeover forgets nothing of it')
      cluster.advance(1000)
      cluster.finishAll()
      assert.equal(cluster.jobState('two'), 'succeeded')
      cluster.advance(1000)
      assert.equal(cluster.state.keys.byName.size, 0)
      assert.equal(cluster.state.delayed.size, 0)
    }),
  )

  it(
    'holds together with a number',
    scenario(cluster => {
      const worker = cluster.join('w1', 8)
      cluster.submit('one', 9, { policies: [policy({ key: 'api', concurrency: 2, rateLimit: 3, ratePerMs: 100 })] })
      assert.equal(cluster.stage('one').runningCount, 2)
      cluster.finish(worker)
      assert.equal(cluster.stage('one').runningCount, 2)
      cluster.finish(worker)
      assert.equal(cluster.stage('one').runningCount, 1, 'three have begun')
      cluster.advance(100)
      assert.equal(cluster.stage('one').runningCount, 2)
    }),
  )
})

describe('limits that cannot be', () => {
  it(
    'of one key with two numbers are a conflict, and nothing of the job is taken; when nobody uses it, the next one says what it is',
    scenario(cluster => {
      const worker = cluster.join('w1', 8)
      cluster.submit('one', 1, { policies: [policy({ key: 'db', concurrency: 2 })] })
      const other = { kind: 'submitJob' as const, plan: plan('two'), inputs: [inputs(1)] }
      assert.equal(cluster.refused({ ...other, policies: [policy({ key: 'db', concurrency: 3 })] }), 'LIMIT_CONFLICT')
      assert.equal(
        cluster.refused({ ...other, policies: [policy({ key: 'db', concurrency: 2, rateLimit: 1, ratePerMs: 9 })] }),
        'LIMIT_CONFLICT',
      )
      const both = plan('two', { stages: [stage(), stage()] })
      const policies = [policy({ key: 'new', concurrency: 1 }), policy({ stage: 1, key: 'new', concurrency: 2 })]
      assert.equal(cluster.refused({ ...other, plan: both, inputs: [inputs(1), inputs(1, { stage: 1 })], policies }), 'LIMIT_CONFLICT')
      cluster.finish(worker)
      assert.equal(cluster.ask({ ...other, policies: [policy({ key: 'db', concurrency: 3 })] }).kind, 'submitted')
    }),
  )

  it(
    'of stages that are not there, twice, or of nothing are refused',
    scenario(cluster => {
      const job = { kind: 'submitJob' as const, plan: plan('two'), inputs: [inputs(1)] }
      assert.equal(cluster.refused({ ...job, policies: [policy({ stage: 1, concurrency: 1 })] }), 'INVALID_ARGUMENT')
      assert.equal(cluster.refused({ ...job, policies: [policy({ concurrency: 1 }), policy({ concurrency: 1 })] }), 'INVALID_ARGUMENT')
      assert.equal(cluster.refused({ ...job, policies: [policy({ key: 'db' })] }), 'INVALID_ARGUMENT')
      assert.equal(cluster.refused({ ...job, policies: [policy({ rateLimit: 1 })] }), 'INVALID_ARGUMENT')
    }),
  )
})

describe('why a task waits for its key', () => {
  it(
    'names the key, its number and who holds it, or when its rate has room',
    scenario(cluster => {
      cluster.join('w1', 8)
      cluster.submit('one', 1, { policies: [policy({ key: 'db', concurrency: 1 })] })
      cluster.submit('two', 1, { policies: [policy({ key: 'db', concurrency: 1 })] })
      const [held] = why(cluster.state, cluster.observed, 'two')
      assert.equal(held!.rule, 'key')
      assert.match(held!.text, /the key db \(1 at once\) is held by one\/0\/0 on w1/)
      cluster.submit('three', 2, { policies: [policy({ key: 'api', rateLimit: 1, ratePerMs: 500 })] })
      const [late] = why(cluster.state, cluster.observed, 'three/1')
      assert.equal(late!.rule, 'rate')
      assert.match(late!.text, /the key api \(1 in 500 ms\) has room again in 500 ms/)
    }),
  )
})

describe('a takeover', () => {
  it(
    'does not adopt work whose key was given to others meanwhile',
    scenario(cluster => {
      const first = cluster.join('w1')
      const limited = { policies: [policy({ key: 'db', concurrency: 1 })] }
      cluster.submit('one', 1, { ...limited, stages: [stage({ cpus: 2 })] })
      cluster.submit('two', 1, limited)
      assert.deepEqual(running(cluster, 'one', 'two'), [0, 1])
      // The leader that handed `three` out dies before that is durable, and its successor gives the key to another one first.
      cluster.finish(first)
      cluster.cancel('one')
      cluster.submit('four', 1, { ...limited, stages: [stage({ cpus: 2 })] })
      cluster.dieIn(() => cluster.submit('three', 1, limited))
      assert.equal(cluster.state.tasks.lanes.size, 0)
      cluster.join('w2', 2)
      assert.equal(cluster.stage('four').runningCount, 1)
      cluster.register(first)
      assert.equal(cluster.of('TasksAssigned').filter(record => record.adopted).length, 0)
    }),
  )
})

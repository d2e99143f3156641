// Shows who is given what: room, data, policy, priority, fairness, and how much at once.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { check } from '../../src/core/check.ts'
import { observeWorker } from '../../src/core/observed/observed.ts'
import { amount, block, inputs, plan, stage } from '../fakes/plans.ts'
import { failed, finished } from '../fakes/worker.ts'
import { type Harness, scenario } from './harness.ts'

/** Who has tasks of a job, and how many. */
function shares(cluster: Harness, job: string): Record<string, number> {
  const shares: Record<string, number> = {}
  for (const worker of cluster.workers.values()) {
    const count = worker.tasks.filter(task => task.job === job).length
    if (count > 0) shares[worker.id] = count
  }
  return shares
}

describe('a worker is chosen', () => {
  it(
    'among the emptiest when work is spread',
    scenario(cluster => {
      for (const id of ['w1', 'w2', 'w3']) cluster.join(id, 4)
      cluster.submit('job', 6)
      assert.deepEqual(shares(cluster, 'job'), { w1: 2, w2: 2, w3: 2 })
    }),
  )

  it(
    'among the fullest when work is packed',
    scenario(
      cluster => {
        for (const id of ['w1', 'w2', 'w3']) cluster.join(id, 4)
        cluster.submit('one', 1)
        cluster.submit('job', 5)
        assert.deepEqual(Object.values(shares(cluster, 'job')).sort(), [2, 3])
      },
      { policy: 'pack' },
    ),
  )

  it(
    'by the load that it tells, where the reservations are alike',
    scenario(cluster => {
      const workers = ['w1', 'w2', 'w3'].map(id => cluster.join(id, 4))
      cluster.observed.workers.get('w1')!.cpuShare = 0.9
      cluster.observed.workers.get('w2')!.cpuShare = 0.5
      cluster.submit('job', 1)
      assert.equal(workers[2]!.tasks.length, 1)
    }),
  )

  it(
    'for its cpus, memory, gpus and named resources',
    scenario(cluster => {
      cluster.join('cpus', amount(8))
      cluster.join('memory', amount(2, { memoryBytes: 2 ** 30 }))
      cluster.join('gpus', amount(2, { gpuMillis: 1000 }))
      cluster.join('disks', amount(2, { named: [{ name: 'disk', millis: 2000 }] }))
      cluster.submit('a', 1, { stages: [stage({ resources: amount(1, { memoryBytes: 2 ** 29 }) })] })
      cluster.submit('b', 1, { stages: [stage({ resources: amount(1, { gpuMillis: 500 }) })] })
      cluster.submit('c', 2, { stages: [stage({ resources: amount(0, { named: [{ name: 'disk', millis: 1000 }] }) })] })
      cluster.submit('d', 1, { stages: [stage({ resources: amount(8) })] })
      cluster.submit('e', 1, { stages: [stage({ resources: amount(0, { named: [{ name: 'tape', millis: 1 }] }) })] })
      assert.deepEqual(
        ['a', 'b', 'c', 'd', 'e'].map(job => shares(cluster, job)),
        [{ memory: 1 }, { gpus: 1 }, { disks: 2 }, { cpus: 1 }, {}],
      )
    }),
  )

  it(
    'for the data that it holds, if there is room',
    scenario(cluster => {
      for (const id of ['w1', 'w2', 'w3']) cluster.join(id, 1)
      const submit = (id: string): void => {
        cluster.ask({ kind: 'submitJob', plan: plan(id), inputs: [inputs(1, { blocks: [block(0, id, 'w3')] })] })
        cluster.settle()
      }
      submit('one')
      assert.deepEqual(shares(cluster, 'one'), { w3: 1 })
      submit('two')
      assert.notEqual(Object.keys(shares(cluster, 'two'))[0], 'w3')
    }),
  )

  it(
    'among many that do not fit, wherever it stands',
    scenario(cluster => {
      for (let i = 0; i < 100; i++) cluster.join(`small-${i}`, 1)
      cluster.join('large', 8)
      for (let i = 0; i < 100; i++) cluster.join(`more-${i}`, 1)
      cluster.submit('job', 1, { stages: [stage({ cpus: 8 })] })
      assert.deepEqual(shares(cluster, 'job'), { large: 1 })
    }),
  )

  it(
    'only while it is connected',
    scenario(cluster => {
      const worker = cluster.join('w1')
      cluster.takeOver()
      cluster.submit('job', 1)
      assert.equal(worker.tasks.length, 0)
      cluster.register(worker)
      cluster.settle()
      assert.equal(worker.tasks.length, 1)
      observeWorker(cluster.observed, 'w1', 7)
      assert.equal(cluster.observed.workers.get('w1')!.seenMs, 7)
    }),
  )

  it(
    'in the same way whether anyone checks or not',
    scenario(cluster => {
      for (const id of ['w1', 'w2', 'w3']) cluster.join(id, 2)
      const { moved, byFree } = cluster.state.membership
      const order = (): string[][] => [moved, ...byFree].map(workers => [...workers].map(worker => worker.id))
      cluster.submit('job', 4)
      const before = order()
      assert.ok(before[0]!.length > 0)
      check(cluster.state)
      assert.deepEqual(order(), before)
    }),
  )
})

describe('a task that died', () => {
  const dying = { stages: [stage({ retries: 9, backoffMs: 0 })] }

  it(
    'goes to another worker, even if it must wait for one',
    scenario(cluster => {
      const [one, two] = [cluster.join('w1'), cluster.join('w2')]
      cluster.submit('job', 2, dying)
      cluster.end(one, [failed('TASK_CRASHED')])
      assert.deepEqual(shares(cluster, 'job'), { w2: 1 })
      cluster.finish(two)
      assert.equal(two.tasks[0]!.attempt, 2)
      assert.equal(one.tasks.length, 0)
    }),
  )

  it(
    'lets others go first where it may not',
    scenario(cluster => {
      const [one] = [cluster.join('w1'), cluster.join('w2')]
      cluster.submit('job', 2, dying)
      cluster.submit('other', 1, dying)
      cluster.end(one, [failed('TASK_CRASHED')])
      assert.deepEqual(shares(cluster, 'other'), { w1: 1 })
    }),
  )

  it(
    'goes back when no other worker is large enough',
    scenario(cluster => {
      const one = cluster.join('w1', 2)
      cluster.join('w2', 1)
      cluster.submit('job', 1, { stages: [stage({ cpus: 2, retries: 9, backoffMs: 0 })] })
      cluster.end(one, [failed('TASK_CRASHED')])
      assert.deepEqual(shares(cluster, 'job'), { w1: 1 })
    }),
  )

  it(
    'goes back rather than search a large cluster for another place',
    scenario(
      cluster => {
        const one = cluster.join('w0', 2)
        for (let i = 1; i < 100; i++) cluster.join(`w${i}`, 1)
        cluster.join('far', 2)
        cluster.submit('job', 2, { stages: [stage({ cpus: 2, retries: 9, backoffMs: 0 })] })
        cluster.end(one, [failed('TASK_CRASHED')])
        assert.deepEqual(shares(cluster, 'job'), { w0: 1, far: 1 })
      },
      { checking: false },
    ),
  )
})

describe('jobs share', () => {
  it(
    'a class in turn',
    scenario(cluster => {
      const worker = cluster.join('w1')
      for (const id of ['a', 'b', 'c']) cluster.submit(id, 3)
      const order: string[] = []
      while (worker.busy.length > 0) {
        order.push(worker.tasks[0]!.job)
        cluster.end(worker, [{ ...finished(worker.busy[0]!), elapsedMicros: 1e6 } as ReturnType<typeof finished>])
      }
      // The first was alone when it was given its first slot.
      assert.deepEqual(order, ['a', 'a', 'b', 'c', 'a', 'b', 'c', 'b', 'c'])
    }),
  )

  it(
    'room among classes, the one with fewer lanes first',
    scenario(cluster => {
      for (let i = 0; i < 4; i++) cluster.join(`w${i}`, 1)
      cluster.submit('a', 40, { stages: [stage({ task: 'a' })] })
      assert.deepEqual(Object.keys(shares(cluster, 'a')).length, 4)
      cluster.submit('b', 40, { stages: [stage({ task: 'b' })] })
      const seen = { a: 0, b: 0 }
      for (let round = 0; round < 40; round++) {
        const worker = [...cluster.workers.values()][round % 4]!
        const [lane] = worker.busy
        seen[lane!.open[0]!.job as 'a' | 'b']++
        cluster.end(worker, [finished(lane!, 1, [], 1e6)], lane)
      }
      assert(seen.b >= 15, `${seen.b} of 40 went to the job that came second`)
    }),
  )

  it(
    'nothing while one of higher priority has tasks to run',
    scenario(cluster => {
      const worker = cluster.join('w1')
      cluster.submit('low', 3)
      cluster.submit('high', 3, { priority: 5 })
      cluster.submit('higher', 2, { priority: 50, stages: [stage({ task: 'other' })] })
      const order: string[] = []
      while (worker.busy.length > 0) {
        order.push(worker.tasks[0]!.job)
        cluster.end(worker, [finished(worker.busy[0]!, 1, [], 1e6)])
      }
      assert.deepEqual(order, ['low', 'higher', 'higher', 'high', 'high', 'high', 'low', 'low'])
    }),
  )

  it(
    "nothing with what can never run: it stands in nobody's way",
    scenario(cluster => {
      const worker = cluster.join('w1')
      cluster.submit('giant', 1, { stages: [stage({ task: 'giant', cpus: 64 })] })
      cluster.submit('first', 1)
      cluster.finishAll()
      cluster.submit('job', 200)
      const [lane] = worker.busy
      cluster.finish(worker, 30)
      // The lane was filled up again instead of running out for the giant's sake.
      assert.equal(worker.busy[0], lane)
      assert(lane!.open.length > 30)
    }),
  )
})

describe('a task that needs a whole worker', () => {
  it(
    'gets it although small ones wait for every bit of room',
    scenario(cluster => {
      const [one, two] = [cluster.join('w1', 2), cluster.join('w2', 2)]
      cluster.submit('small', 1000)
      cluster.submit('large', 1, { stages: [stage({ task: 'large', cpus: 2 })] })
      for (let round = 0; round < 20 && Object.keys(shares(cluster, 'large')).length === 0; round++) {
        for (const worker of [one, two]) {
          for (const lane of worker.busy) cluster.end(worker, [finished(lane, 1, [], 1e6)], lane)
        }
      }
      assert.equal(Object.keys(shares(cluster, 'large')).length, 1)
      cluster.finishAll()
      assert.equal(cluster.jobState('small'), 'succeeded')
    }),
  )

  it(
    'does not keep the worker when it is cancelled, and half of the workers are kept for nobody',
    scenario(cluster => {
      const workers = ['w1', 'w2', 'w3'].map(id => cluster.join(id, 2))
      cluster.submit('small', 100)
      for (const id of ['x', 'y', 'z']) cluster.submit(id, 1, { stages: [stage({ task: id, cpus: 2 })] })
      assert.equal(cluster.observed.reserved.size, 1)
      const [kept] = cluster.observed.reserved.keys()
      const worker = workers.find(one => one.id === kept)!
      for (const id of ['x', 'y', 'z']) cluster.cancel(id)
      assert.equal(cluster.observed.reserved.size, 0)
      cluster.end(worker, [finished(worker.busy[0]!, 1, [], 1e6)])
      assert.equal(worker.tasks.length, 2)
    }),
  )

  it(
    'loses it to those of higher priority, and to the end of the worker',
    scenario(cluster => {
      const [one, two] = [cluster.join('w1', 2), cluster.join('w2', 1)]
      cluster.submit('small', 3)
      cluster.submit('large', 1, { stages: [stage({ task: 'large', cpus: 2 })] })
      assert.deepEqual([...cluster.observed.reserved.keys()], ['w1'])
      cluster.submit('urgent', 4, { priority: 9 })
      cluster.end(one, [finished(one.busy[0]!, 1, [], 1e6)])
      assert.deepEqual(shares(cluster, 'urgent'), { w1: 1 })
      cluster.submit('huge', 1, { priority: 20, stages: [stage({ task: 'huge', cpus: 2 })] })
      assert.equal(cluster.observed.reserved.get('w1')!.priority, 0)
      cluster.ask({ kind: 'drainWorker', worker: 'w1' })
      cluster.settle()
      assert.equal(cluster.observed.reserved.size, 0)
      assert.equal(two.tasks.length, 1)
    }),
  )
})

describe('a lane is given', () => {
  it(
    'one task while nothing is known, then as many as it can do in a while',
    scenario(
      cluster => {
        const worker = cluster.join('w1')
        cluster.submit('job', 10_000)
        assert.equal(worker.tasks.length, 1)
        cluster.finish(worker)
        // 1 ms each: 40 ms of work.
        assert.equal(worker.tasks.length, 40)
        for (let round = 0; round < 30; round++) {
          const [lane] = worker.busy
          const count = cluster.headRun(lane!)
          cluster.end(worker, [finished(lane!, count, [], count * 100)])
        }
        // Near 0.1 ms each by now.
        assert(worker.tasks.length > 200)
      },
      { checking: false },
    ),
  )

  it(
    'no more than one message may hold, in tasks and in bytes',
    scenario(
      cluster => {
        const worker = cluster.join('w1')
        cluster.submit('first', 2)
        cluster.end(worker, [finished(worker.busy[0]!, 1, [], 1)])
        cluster.end(worker, [finished(worker.busy[0]!, 1, [], 1)])
        cluster.submit('job', 20_000)
        const most = Math.max(...cluster.of('TasksAssigned').map(record => record.runs.reduce((sum, run) => sum + run.count, 0)))
        assert.equal(most, 50)
        cluster.cancel('job')
        cluster.lose(worker)
        cluster.register(worker)
        cluster.ask({ kind: 'submitJob', plan: plan('heavy'), inputs: [inputs(100, { itemBytes: 1000 })] })
        cluster.settle()
        for (const { runs } of cluster.of('TasksAssigned').filter(record => record.runs[0]!.job === 'heavy'))
          assert.equal(runs[0]!.count, 4)
      },
      { checking: false, limits: { assignTasksMax: 50, assignBytesMax: 5000 } },
    ),
  )

  it(
    'at least one task, however large its input',
    scenario(
      cluster => {
        const worker = cluster.join('w1')
        cluster.ask({ kind: 'submitJob', plan: plan('heavy'), inputs: [inputs(2, { itemBytes: 1000 })] })
        cluster.settle()
        assert.equal(worker.tasks.length, 1)
      },
      { limits: { assignBytesMax: 10 } },
    ),
  )

  it(
    'its part only, where what waits is less than a full load for everyone',
    scenario(cluster => {
      const workers = ['w1', 'w2', 'w3', 'w4'].map(id => cluster.join(id))
      cluster.submit('first', 1)
      cluster.finishAll()
      cluster.submit('job', 16)
      for (const worker of workers) assert(worker.tasks.length >= 1 && worker.tasks.length <= 4, `${worker.id} has ${worker.tasks.length}`)
    }),
  )
})

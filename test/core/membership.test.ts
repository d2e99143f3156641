// Shows how workers come, come back with what they run, drain and are lost.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { LaneReport } from '../../src/protocol/index.ts'
import { amount, inputs, plan, program, stage } from '../fakes/plans.ts'
import { failed, finished } from '../fakes/worker.ts'
import { type Harness, scenario } from './harness.ts'

const register = (worker: string, boot: string, lanes: LaneReport[] = []) => ({
  kind: 'registerWorker' as const,
  worker,
  boot,
  capacity: amount(1),
  host: 'host',
  pid: 1,
  blocks: '',
  labels: [],
  lanes,
})

/** The lanes that a registration may keep, with their tasks. */
function kept(cluster: Harness, worker: string, boot: string, lanes: LaneReport[]): [lane: number, tasks: number][] {
  const reply = cluster.ask(register(worker, boot, lanes))
  assert.equal(reply.kind, 'registered')
  return reply.kind === 'registered' ? reply.keep.map(one => [one.lane, one.tasks]) : []
}

/** A worker with five tasks of `job` in one lane, of which two are done. */
function busy(cluster: Harness) {
  const worker = cluster.join('w1')
  cluster.submit('first', 1)
  cluster.finishAll()
  cluster.submit('job', 5)
  const lane = worker.busy[0]!
  cluster.finish(worker, 2)
  assert.equal(lane.open.length, 3)
  return { worker, lane }
}

describe('a worker that registers', () => {
  it(
    'joins as a new incarnation, and again after it was lost',
    scenario(cluster => {
      const worker = cluster.join('w1')
      assert.equal(worker.incarnation, 1)
      cluster.lose(worker)
      assert.equal(cluster.state.membership.workers.size, 0)
      cluster.register(worker)
      assert.equal(worker.incarnation, 2)
    }),
  )

  it(
    'with a new boot is a new incarnation, and the old one is lost in the same breath',
    scenario(cluster => {
      const { worker } = busy(cluster)
      worker.lanes.clear()
      worker.boot = 'another'
      cluster.register(worker)
      cluster.settle()
      assert.match(cluster.of('WorkerLost')[0]!.reason, /registered anew/)
      assert.equal(worker.incarnation, 2)
      cluster.finishAll()
      assert.equal(cluster.jobState('job'), 'succeeded')
    }),
  )

  it(
    'is refused when there are as many as there may be',
    scenario(
      cluster => {
        cluster.join('w1')
        assert.equal(cluster.refused(register('w2', 'boot')), 'OVERLOADED')
        assert.equal(cluster.ask(register('w1', 'other boot')).kind, 'registered')
      },
      { limits: { workersMax: 1 } },
    ),
  )

  it(
    'may be lost twice, or too late',
    scenario(cluster => {
      const worker = cluster.join('w1')
      cluster.lose(worker)
      assert.deepEqual(cluster.lose(worker), { kind: 'done' })
      cluster.register(worker)
      cluster.ask({ kind: 'loseWorker', worker: 'w1', incarnation: 1, reason: 'of long ago' })
      assert.equal(cluster.state.membership.workers.size, 1)
      assert.equal(cluster.of('WorkerLost').length, 1)
    }),
  )

  it(
    'leaves a reason of bounded length when it is lost',
    scenario(cluster => {
      const worker = cluster.join('w1')
      cluster.lose(worker, '理'.repeat(5000))
      assert.equal(cluster.of('WorkerLost')[0]!.reason.length, 500)
    }),
  )
})

describe('a worker that comes back', () => {
  it(
    'goes on with its lanes, and nothing runs twice',
    scenario(cluster => {
      const { worker, lane } = busy(cluster)
      const assigned = cluster.of('TasksAssigned').length
      cluster.takeOver()
      cluster.register(worker)
      cluster.settle()
      assert.equal(lane.open.length, 3)
      assert.equal(cluster.of('TasksAssigned').length, assigned)
      cluster.finishAll()
      assert.equal(cluster.jobState('job'), 'succeeded')
      assert.equal(cluster.of('TaskFailed').length, 0)
    }),
  )

  it(
    'gets again what never reached it, and what it finished and could not tell counts once',
    scenario(cluster => {
      const { worker, lane } = busy(cluster)
      worker.settle(lane, [finished(lane, 1)])
      lane.truncate(4)
      cluster.register(worker)
      cluster.settle()
      assert.equal(cluster.of('TasksReturned').length, 1)
      assert.equal(cluster.stage('job').succeeded, 3)
      assert.deepEqual(
        worker.tasks.map(task => task.index),
        [3],
      )
      cluster.finishAll()
      assert.equal(cluster.jobState('job'), 'succeeded')
      assert.equal(cluster.stage('job').succeeded, 5)
    }),
  )

  it(
    'gets all of a lane again that it does not know',
    scenario(cluster => {
      const { worker, lane } = busy(cluster)
      worker.lanes.delete(lane.id)
      cluster.register(worker)
      cluster.settle()
      assert.notEqual(worker.busy[0]!.id, lane.id)
      assert.deepEqual(
        worker.tasks.map(task => [task.index, task.attempt]),
        [2, 3, 4].map(index => [index, 1]),
      )
      cluster.finishAll()
    }),
  )

  it(
    'with lanes of a life that was declared lost has to drop them',
    scenario(cluster => {
      const { worker, lane } = busy(cluster)
      cluster.lose(worker)
      assert.deepEqual(kept(cluster, 'w1', worker.boot, [lane.report()]), [])
    }),
  )

  it(
    'keeps nothing of a lane whose numbers do not fit together',
    scenario(cluster => {
      const { worker, lane } = busy(cluster)
      const report = lane.report()
      assert.deepEqual(kept(cluster, 'w1', worker.boot, [{ ...report, received: 7 }]), [])
      assert.deepEqual(kept(cluster, 'w1', worker.boot, [{ ...report, runs: [...report.runs, { ...report.runs[0]!, count: 0 }] }]), [])
      worker.lanes.clear()
    }),
  )

  it(
    'does not keep the lane of another',
    scenario(cluster => {
      const { lane } = busy(cluster)
      const other = cluster.join('w2')
      assert.deepEqual(kept(cluster, 'w2', other.boot, [lane.report()]), [])
      cluster.finishAll()
    }),
  )
})

describe('work that a leader handed out before it died', () => {
  it(
    'is adopted with its lane when the worker has it and nobody else was given it',
    scenario(cluster => {
      const worker = cluster.join('w1', 2)
      cluster.submit('job', 1, { open: true })
      cluster.dieIn(() => {
        cluster.finish(worker)
        cluster.submit('other', 1)
      })
      // The submit of `other` was never acknowledged: its client sends it again.
      const [first, second] = [...worker.lanes.values()]
      assert(first && second)
      cluster.ask({ kind: 'submitJob', plan: plan('other'), inputs: [inputs(1)] })
      cluster.register(worker, 2)
      cluster.settle()
      assert.equal(cluster.of('TasksAssigned').at(-1)!.adopted, true)
      assert.equal(cluster.of('TasksAssigned').at(-1)!.lane, second.id)
      assert.equal(worker.busy.length, 1)
      cluster.finishAll()
      assert.equal(cluster.jobState('other'), 'succeeded')
      assert.equal(cluster.stage('job').succeeded, 1)
    }),
  )

  it(
    'is adopted as the end of a lane that the journal knows',
    scenario(cluster => {
      const { worker, lane } = busy(cluster)
      cluster.submit('more', 40, { open: true })
      cluster.dieIn(() => {
        cluster.finish(worker, 2)
      })
      assert(lane.open.length > 1)
      const before = lane.tasks.length
      cluster.register(worker)
      cluster.settle()
      assert.equal(lane.tasks.length, before)
      assert.equal(cluster.of('TasksAssigned').at(-1)!.adopted, true)
      assert.equal(cluster.stage('job').succeeded, 4)
      cluster.finishAll()
      assert.equal(cluster.stage('more').succeeded, 40)
    }),
  )

  it(
    'is adopted where it waits for a time that only the dead leader had reached',
    scenario(cluster => {
      const worker = cluster.join('w1')
      cluster.submit('job', 1, { stages: [stage({ retries: 1, backoffMs: 5000, backoffMsMax: 5000 })] })
      cluster.end(worker, [failed()])
      assert.equal(cluster.stage('job').delayedCount, 1)
      const again = (attempt: number): LaneReport => {
        const runs = [{ job: 'job', stage: 0, first: 0, count: 1, attempt }]
        return { lane: 901, received: 1, reported: 0, acknowledged: 0, runs }
      }
      assert.deepEqual(kept(cluster, 'w1', worker.boot, [again(1)]), [])
      assert.deepEqual(kept(cluster, 'w1', worker.boot, [again(2)]), [[901, 1]])
      assert.equal(cluster.stage('job').delayedCount, 0)
      assert.equal(cluster.state.delayed.size, 0)
      cluster.advance(10_000)
      assert.equal(cluster.stage('job').readyCount, 0)
    }),
  )

  it(
    'is dropped when its tasks were given to somebody else meanwhile',
    scenario(cluster => {
      const one = cluster.join('w1')
      cluster.dieIn(() => {
        cluster.submit('job', 1)
      })
      assert.equal(one.tasks.length, 1)
      cluster.submit('job', 1)
      const two = cluster.join('w2')
      assert.equal(two.tasks.length, 1)
      cluster.register(one)
      assert.equal(one.lanes.size, 0)
      cluster.finishAll()
      assert.equal(cluster.jobState('job'), 'succeeded')
    }),
  )

  it(
    'is dropped when its job is not there, is over, waits for another stage, or runs something else',
    scenario(cluster => {
      const worker = cluster.join('w1')
      cluster.submit('over', 1)
      cluster.cancel('over')
      cluster.ask({
        kind: 'submitJob',
        plan: plan('job', { stages: [stage(), stage({ after: [0] })] }),
        inputs: [inputs(2), inputs(1, { stage: 1 })],
      })
      const report = (lane: number, job: string, number: number, count = 1): LaneReport => {
        const runs = [{ job, stage: number, first: 0, count, attempt: 1 }]
        return { lane, received: count, reported: 0, acknowledged: 0, runs }
      }
      const none = [
        report(901, 'nobody', 0),
        report(902, 'over', 0),
        report(903, 'job', 1),
        report(904, 'job', 0, 3),
        report(905, 'job', 7),
      ]
      const late = { ...report(906, 'job', 0), acknowledged: 1, received: 2 }
      assert.deepEqual(kept(cluster, 'w1', worker.boot, [...none, late, { ...report(907, 'job', 0), runs: [], received: 0 }]), [])
      // A lane holds one kind of work: only its beginning is kept.
      const mixed = report(908, 'job', 0)
      mixed.runs.push({ job: 'job', stage: 1, first: 0, count: 1, attempt: 1 })
      assert.deepEqual(kept(cluster, 'w1', worker.boot, [{ ...mixed, received: 2 }]), [[908, 1]])
    }),
  )

  it(
    'is adopted once, however often it is told, and only as far as there is room',
    scenario(cluster => {
      const worker = cluster.join('w1')
      cluster.ask({ kind: 'submitJob', plan: plan('job'), inputs: [inputs(4)] })
      const report = (lane: number, first: number): LaneReport => {
        const runs = [{ job: 'job', stage: 0, first, count: 2, attempt: 1 }]
        return { lane, received: 2, reported: 0, acknowledged: 0, runs }
      }
      assert.deepEqual(kept(cluster, 'w1', worker.boot, [report(901, 0), report(902, 1), report(903, 2)]), [[901, 2]])
      assert.equal(cluster.stage('job').readyCount, 2)
    }),
  )

  it(
    'is adopted lane after lane where one took the place of another whose outcomes are all there',
    scenario(cluster => {
      const worker = cluster.join('w1')
      cluster.ask({ kind: 'submitJob', plan: plan('job'), inputs: [inputs(4)] })
      const report = (lane: number, first: number, reported: number): LaneReport => {
        const runs = [{ job: 'job', stage: 0, first, count: 1, attempt: 1 }]
        return { lane, received: 1, reported, acknowledged: 0, runs }
      }
      const reports = [report(903, 2, 0), report(901, 0, 1), report(902, 1, 1), report(904, 3, 0)]
      assert.deepEqual(kept(cluster, 'w1', worker.boot, reports), [
        [901, 1],
        [902, 1],
        [903, 1],
      ])
      assert.deepEqual(
        cluster.of('LaneVacated').map(one => one.lane),
        [901, 902],
      )
    }),
  )

  it(
    'finds room where a lane ends with the same registration',
    scenario(cluster => {
      const { worker } = busy(cluster)
      cluster.ask({ kind: 'submitJob', plan: plan('more'), inputs: [inputs(1)] })
      const unknown = {
        lane: 901,
        received: 1,
        reported: 0,
        acknowledged: 0,
        runs: [{ job: 'more', stage: 0, first: 0, count: 1, attempt: 1 }],
      }
      assert.deepEqual(kept(cluster, 'w1', worker.boot, [unknown]), [[901, 1]])
    }),
  )

  it(
    'finds the room of a lane whose outcomes are all there and could not be told',
    scenario(cluster => {
      const { worker, lane } = busy(cluster)
      cluster.dieIn(() => {
        cluster.submit('more', 2)
        cluster.finish(worker, 3)
      })
      assert.equal(lane.open.length, 0)
      const started = worker.tasks
      assert.equal(started[0]!.job, 'more')
      cluster.submit('more', 2)
      cluster.register(worker)
      cluster.settle()
      assert.deepEqual(worker.tasks, started)
      assert.equal(cluster.of('LaneVacated').length, 1)
      assert.equal(cluster.jobState('job'), 'succeeded')
      cluster.finishAll()
      assert.equal(cluster.jobState('more'), 'succeeded')
      assert.equal(cluster.of('TaskFailed').length, 0)
    }),
  )

  it(
    'may lose its worker, or its leader, between that and its outcomes',
    scenario(cluster => {
      const { worker, lane } = busy(cluster)
      cluster.dieIn(() => {
        cluster.submit('more', 1)
        cluster.finish(worker, 3)
      })
      cluster.submit('more', 1)
      const reports = [...worker.lanes.values()].map(one => one.report())
      assert.deepEqual(kept(cluster, 'w1', worker.boot, reports).length, 2)
      assert.equal(cluster.state.tasks.lanes.get(lane.id)!.vacated, true)
      assert.equal(cluster.state.membership.workers.get('w1')!.free.cpuMillis, 0)
      cluster.takeOver()
      assert.deepEqual(kept(cluster, 'w1', worker.boot, reports).length, 2)
      assert.equal(cluster.of('LaneVacated').length, 1)
      cluster.lose(worker)
      worker.lanes.clear()
      cluster.register(worker)
      cluster.settle()
      cluster.finishAll()
      assert.equal(cluster.jobState('job'), 'succeeded')
    }),
  )

  it(
    'does not grow on a worker that drains',
    scenario(cluster => {
      const worker = cluster.join('w1')
      cluster.submit('first', 1)
      cluster.finishAll()
      cluster.ask({ kind: 'drainWorker', worker: 'w1' })
      cluster.ask({ kind: 'submitJob', plan: plan('job'), inputs: [inputs(9)] })
      const unknown = {
        lane: 901,
        received: 1,
        reported: 0,
        acknowledged: 0,
        runs: [{ job: 'job', stage: 0, first: 0, count: 1, attempt: 1 }],
      }
      assert.deepEqual(kept(cluster, 'w1', worker.boot, [unknown]), [[901, 1]])
      assert.equal(cluster.state.tasks.lanes.get(901)!.closing, true)
    }),
  )
})

describe('a worker that drains', () => {
  it(
    'finishes what it has and gets nothing new',
    scenario(cluster => {
      const { worker, lane } = busy(cluster)
      cluster.ask({ kind: 'drainWorker', worker: 'w1' })
      assert.deepEqual(cluster.ask({ kind: 'drainWorker', worker: 'w1' }), { kind: 'done' })
      assert.equal(cluster.of('WorkerDraining').length, 1)
      cluster.submit('more', 3)
      cluster.giveBack(worker, lane, 3)
      cluster.finishAll()
      assert.equal(worker.lanes.size, 0)
      assert.equal(cluster.stage('more').readyCount, 3)
      assert.equal(cluster.stage('job').readyCount, 2)
      cluster.join('w2')
      cluster.finishAll()
      assert.equal(cluster.jobState('more'), 'succeeded')
      cluster.lose(worker, 'it is done')
    }),
  )

  it(
    'must be there',
    scenario(cluster => {
      assert.equal(cluster.refused({ kind: 'drainWorker', worker: 'w1' }), 'NOT_FOUND')
    }),
  )
})

describe('a program', () => {
  it(
    'is stored once, and forgotten when nobody used it for long',
    scenario(
      cluster => {
        const put = { kind: 'putProgram' as const, program: 'b'.repeat(64), bytes: Buffer.from('another') }
        cluster.ask(put)
        assert.deepEqual(cluster.ask(put), { kind: 'done' })
        assert.equal(cluster.of('ProgramAdded').length, 2)
        cluster.join('w1')
        cluster.submit('job', 1)
        cluster.advance(2000)
        assert.deepEqual(
          cluster.of('ProgramForgotten').map(record => record.program),
          [put.program],
        )
        cluster.finishAll()
        cluster.advance(900)
        assert.equal(cluster.state.programs.byId.size, 1)
        cluster.advance(200)
        assert.equal(cluster.state.programs.byId.has(program), false)
      },
      { limits: { programIdleMs: 1000 } },
    ),
  )

  it(
    'goes before its time when too many are idle, the one that is idle longest first',
    scenario(
      cluster => {
        for (let i = 0; i < 1001; i++) cluster.ask({ kind: 'putProgram', program: `${i}`.padStart(64, '0'), bytes: Buffer.from('x') })
        cluster.settle()
        cluster.settle()
        assert.deepEqual(
          cluster.of('ProgramForgotten').map(record => record.program),
          [program, '0'.repeat(64)].slice(0, 2),
        )
      },
      { checking: false },
    ),
  )
})

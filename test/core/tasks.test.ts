// Shows what becomes of tasks: finished, failed and tried again, quarantined, given back, and reported late, twice or wrongly.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { chunkOf, stage } from '../fakes/plans.ts'
import { failed, finished } from '../fakes/worker.ts'
import { type Harness, scenario } from './harness.ts'

const retrying = { stages: [stage({ retries: 2, backoffMs: 100, backoffMsMax: 150 })] }

describe('a task that fails', () => {
  it(
    'has failed for good when it is not to be tried again, and the others of its job go on',
    scenario(cluster => {
      const worker = cluster.join('w1')
      cluster.submit('job', 3)
      cluster.end(worker, [failed()])
      cluster.finishAll()
      assert.equal(cluster.jobState('job'), 'failed')
      assert.deepEqual([...cluster.results('job').keys()], [1, 2])
      assert.deepEqual(cluster.stage('job').troubles.get(0)!.final, {
        code: 'TASK_FAILED',
        message: 'it said TASK_FAILED',
        stack: 'at TASK_FAILED',
      })
    }),
  )

  it(
    'because its worker’s disk refuses runs elsewhere, and that counts neither against its retries nor as a death',
    scenario(cluster => {
      const bad = cluster.join('w1')
      cluster.submit('job', 1)
      cluster.end(bad, [failed('WORKER_DISK_FAILED')])
      for (let again = 0; again < 5; again++) {
        assert.equal(bad.tasks.length, 1)
        cluster.end(bad, [failed('WORKER_DISK_FAILED')])
      }
      assert.equal(bad.tasks.length, 1)
      const good = cluster.join('w2')
      cluster.end(bad, [failed('WORKER_DISK_FAILED')])
      assert.deepEqual([bad.tasks.length, good.tasks.length], [0, 1])
      cluster.finishAll()
      assert.equal(cluster.jobState('job'), 'succeeded')
    }),
  )

  it(
    'is tried again after a pause that doubles up to its limit, half of it by chance',
    scenario(cluster => {
      const worker = cluster.join('w1')
      cluster.submit('job', 1, retrying)
      const pauses: number[] = []
      for (let attempt = 1; attempt <= 2; attempt++) {
        assert.equal(worker.tasks[0]!.attempt, attempt)
        cluster.end(worker, [failed()])
        assert.equal(worker.tasks.length, 0)
        pauses.push(cluster.of('TaskFailed').at(-1)!.retryAtMs! - cluster.nowMs)
        cluster.advance(pauses.at(-1)! - 1)
        assert.equal(worker.tasks.length, 0)
        cluster.advance(1)
      }
      // Jitter is 0.5: three quarters of 100 and of 150.
      assert.deepEqual(pauses, [75, 113])
      assert.equal(worker.tasks[0]!.attempt, 3)
      cluster.end(worker, [failed()])
      assert.equal(cluster.jobState('job'), 'failed')
      assert.deepEqual(
        cluster
          .stage('job')
          .troubles.get(0)!
          .attempts.map(one => one.attempt),
        [1, 2, 3],
      )
    }),
  )

  it(
    'goes on at once when its pause is nothing',
    scenario(cluster => {
      const worker = cluster.join('w1')
      cluster.submit('job', 1, { stages: [stage({ retries: 1, backoffMs: 0 })] })
      cluster.end(worker, [failed()])
      assert.equal(worker.tasks[0]!.attempt, 2)
      cluster.finish(worker)
      assert.equal(cluster.jobState('job'), 'succeeded')
      assert.equal(cluster.stage('job').troubles.size, 0)
    }),
  )

  it(
    'is not tried again where that cannot help',
    scenario(cluster => {
      const worker = cluster.join('w1')
      cluster.submit('job', 1, retrying)
      cluster.end(worker, [failed('SCHEMA_VIOLATION', false)])
      assert.equal(cluster.jobState('job'), 'failed')
    }),
  )

  it(
    'keeps its place before those that never ran',
    scenario(cluster => {
      const worker = cluster.join('w1')
      cluster.submit('job', 3, retrying)
      cluster.end(worker, [failed()])
      cluster.advance(1000)
      cluster.finish(worker)
      assert.equal(worker.tasks[0]!.index, 0)
    }),
  )

  it(
    'remembers a bounded number of attempts',
    scenario(cluster => {
      const worker = cluster.join('w1')
      cluster.submit('job', 1, { stages: [stage({ retries: 30, backoffMs: 1 })] })
      for (let attempt = 0; attempt < 31; attempt++) {
        cluster.end(worker, [failed()])
        cluster.advance(20_000)
      }
      assert.equal(cluster.jobState('job'), 'failed')
      assert.equal(cluster.stage('job').troubles.get(0)!.attempts.length, 20)
    }),
  )
})

describe('a task under which things die', () => {
  it(
    'is quarantined after three deaths, however many retries it has',
    scenario(cluster => {
      const worker = cluster.join('w1')
      cluster.submit('job', 1, { stages: [stage({ retries: 100, backoffMs: 0 })] })
      for (const code of ['TASK_CRASHED', 'TASK_OUT_OF_MEMORY', 'TASK_CRASHED']) cluster.end(worker, [failed(code)])
      const { final, deaths } = cluster.stage('job').troubles.get(0)!
      assert.equal(final!.code, 'TASK_POISONED')
      assert.match(final!.message, /after 3 deaths/)
      assert.equal(deaths, 3)
    }),
  )

  it(
    'loses no attempt of its own with a worker, goes elsewhere at once, and is quarantined in the end',
    scenario(cluster => {
      cluster.submit('job', 1)
      for (const number of [1, 2, 3]) {
        const worker = cluster.join(`w${number}`)
        assert.deepEqual(worker.tasks, [{ job: 'job', stage: 0, index: 0, attempt: number }])
        cluster.lose(worker)
      }
      assert.equal(cluster.jobState('job'), 'failed')
      assert.deepEqual(
        cluster
          .stage('job')
          .troubles.get(0)!
          .attempts.map(one => one.code),
        ['WORKER_LOST', 'WORKER_LOST', 'TASK_POISONED'],
      )
    }),
  )

  it(
    'fails with its own code when it has no retries left before that',
    scenario(cluster => {
      const worker = cluster.join('w1')
      cluster.submit('job', 1)
      cluster.end(worker, [failed('TASK_CRASHED')])
      assert.equal(cluster.stage('job').troubles.get(0)!.final!.code, 'TASK_CRASHED')
    }),
  )
})

/** One worker that has eight tasks of `job` in one lane. */
function oneLane(cluster: Harness) {
  const worker = cluster.join('w1')
  cluster.submit('first', 1)
  cluster.finishAll()
  cluster.submit('job', 8, { stages: [stage({ retries: 1 })] })
  const lane = worker.busy[0]!
  assert.equal(lane.open.length, 8)
  return { worker, lane }
}

describe('a report', () => {
  it(
    'holds many outcomes in a row',
    scenario(cluster => {
      const { worker, lane } = oneLane(cluster)
      const rest = chunkOf([4, 5].map(index => `result of job/0/${index}`))
      const told = [
        finished(lane, 3),
        failed(),
        { kind: 'finished' as const, count: 2, items: rest, blocks: [], elapsedMicros: 5 },
        { kind: 'skipped' as const, count: 2 },
      ]
      assert.deepEqual(cluster.end(worker, told), { kind: 'done' })
      assert.deepEqual([...cluster.results('job').keys()], [0, 1, 2, 4, 5])
      // The last two were skipped by the worker although nobody had cancelled them: they run again.
      cluster.advance(1000)
      cluster.finishAll()
      assert.equal(cluster.jobState('job'), 'succeeded')
    }),
  )

  it(
    'that comes twice changes nothing, whether its lane is open or over',
    scenario(cluster => {
      const { worker, lane } = oneLane(cluster)
      const told = [finished(lane, 3)]
      cluster.end(worker, told)
      const again = (from: number, outcomes = told): unknown =>
        cluster.ask({ kind: 'report', worker: 'w1', incarnation: worker.incarnation, lane: lane.id, from, outcomes, jitter: 0 })
      const records = cluster.records.length
      assert.deepEqual(again(0), { kind: 'done' })
      cluster.finish(worker, 5)
      const after = cluster.records.length
      assert.deepEqual(again(0), { kind: 'done' })
      assert.equal(cluster.records.length, after)
      assert(after > records)
    }),
  )

  it(
    'that repeats some and tells more is taken from where it is new',
    scenario(cluster => {
      const { worker, lane } = oneLane(cluster)
      const first = finished(lane, 3)
      cluster.end(worker, [first])
      const second = finished(lane, 2)
      worker.settle(lane, [second])
      cluster.report(worker, lane, 0, [first, second])
      assert.equal(cluster.stage('job').succeeded, 5)
    }),
  )

  it(
    'with a gap, with a part that was told, with too much, or with results that are none is refused',
    scenario(cluster => {
      const { worker, lane } = oneLane(cluster)
      cluster.finish(worker, 3)
      const tell = (from: number, outcome: ReturnType<typeof finished>): string =>
        cluster.refused({
          kind: 'report',
          worker: 'w1',
          incarnation: worker.incarnation,
          lane: lane.id,
          from,
          outcomes: [outcome],
          jitter: 0,
        })
      assert.equal(tell(4, finished(lane, 1)), 'FRAME_MALFORMED')
      assert.equal(tell(2, finished(lane, 2)), 'FRAME_MALFORMED')
      assert.equal(tell(3, { kind: 'skipped', count: 6 }), 'FRAME_MALFORMED')
      assert.equal(tell(3, { kind: 'finished', count: 2, items: chunkOf(['one']), blocks: [], elapsedMicros: 0 }), 'FRAME_MALFORMED')
      assert.equal(tell(3, { kind: 'finished', count: 1, items: Buffer.from([1, 9]), blocks: [], elapsedMicros: 0 }), 'FRAME_MALFORMED')
      cluster.finishAll()
    }),
  )

  it(
    'of tasks of several runs completes their stage once, and each has its own result',
    scenario(cluster => {
      const worker = cluster.join('w1')
      cluster.submit('job', 8, { stages: [stage({ retries: 1, backoffMs: 100 }), stage({ after: [0] })] })
      cluster.end(worker, [failed()])
      cluster.advance(150)
      cluster.finish(worker, 1)
      const [lane] = worker.busy
      assert.deepEqual(
        cluster.state.tasks.lanes.get(lane!.id)!.runs.map(run => [run.first, run.count, run.attempt]),
        [
          [0, 1, 2],
          [2, 6, 1],
        ],
      )
      cluster.end(worker, [finished(lane!, 7)])
      assert.equal(cluster.of('TasksFinished').length, 2)
      assert.deepEqual(
        [...cluster.results('job')].sort(),
        [0, 1, 2, 3, 4, 5, 6, 7].map(index => [index, `result of job/0/${index}`]),
      )
      assert.equal(cluster.stage('job', 1).blockedBy, 0)
      cluster.finishAll()
      assert.equal(cluster.jobState('job'), 'succeeded')
    }),
  )

  it(
    'of an incarnation that was lost is not heard, and the result of the next attempt counts',
    scenario(cluster => {
      const old = cluster.join('w1')
      cluster.submit('job', 1)
      const lane = old.busy[0]!
      const late = finished(lane, 1)
      cluster.lose(old)
      const successor = cluster.join('w2')
      assert.deepEqual(cluster.report(old, lane, 0, [late]), { kind: 'dismissed', reason: 'this incarnation was declared lost' })
      cluster.finish(successor)
      assert.equal(cluster.of('TasksFinished').length, 1)
    }),
  )

  it(
    'about the lane of another worker changes nothing',
    scenario(cluster => {
      const one = cluster.join('w1')
      const two = cluster.join('w2')
      cluster.submit('job', 2)
      const [lane] = two.busy
      const records = cluster.records.length
      cluster.ask({
        kind: 'report',
        worker: 'w1',
        incarnation: one.incarnation,
        lane: lane!.id,
        from: 0,
        outcomes: [finished(lane!)],
        jitter: 0,
      })
      assert.equal(cluster.records.length, records)
    }),
  )
})

describe('tasks that are given back', () => {
  it(
    'go elsewhere at the same attempt, and their lane gets no more',
    scenario(cluster => {
      const { worker, lane } = oneLane(cluster)
      const other = cluster.join('w2')
      cluster.finish(worker, 2)
      cluster.giveBack(worker, lane, 4)
      assert.equal(lane.open.length, 2)
      assert.deepEqual(
        other.tasks.map(({ index, attempt }) => [index, attempt]),
        [
          [4, 1],
          [5, 1],
        ],
      )
      cluster.submit('more', 5)
      assert.equal(lane.open.length, 2)
      cluster.finishAll()
      assert.equal(cluster.jobState('job'), 'succeeded')
    }),
  )

  it(
    'may be all of a lane, or none, and only once',
    scenario(cluster => {
      const { worker, lane } = oneLane(cluster)
      cluster.giveBack(worker, lane, 8)
      assert.equal(cluster.of('TasksReturned').length, 1)
      cluster.ask({ kind: 'returnTasks', worker: 'w1', incarnation: worker.incarnation, lane: lane.id, from: 8 })
      assert.equal(cluster.of('TasksReturned').length, 1)
      cluster.giveBack(worker, lane, 0)
      assert.equal(cluster.state.tasks.lanes.has(lane.id), false)
      assert.deepEqual(cluster.ask({ kind: 'returnTasks', worker: 'w1', incarnation: worker.incarnation, lane: lane.id, from: 0 }), {
        kind: 'done',
      })
      cluster.finishAll()
    }),
  )

  it(
    'are not taken back once they have an outcome, nor from another incarnation',
    scenario(cluster => {
      const { worker, lane } = oneLane(cluster)
      cluster.finish(worker, 2)
      const back = { kind: 'returnTasks' as const, worker: 'w1', incarnation: worker.incarnation, lane: lane.id, from: 1 }
      assert.equal(cluster.refused(back), 'FRAME_MALFORMED')
      assert.equal(cluster.ask({ ...back, incarnation: 99 }).kind, 'dismissed')
    }),
  )
})

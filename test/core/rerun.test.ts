// Shows how a workflow that failed or was cancelled goes on in place, and what cannot.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { inputsOf } from '../../src/core/flows/inputs.ts'
import { Steps } from '../fakes/flows.ts'
import { chunkOf, plan, program } from '../fakes/plans.ts'
import { failed } from '../fakes/worker.ts'
import { type Harness, scenario } from './harness.ts'

function submitFlow(cluster: Harness, steps: Steps): void {
  const reply = cluster.ask({ kind: 'submitJob', plan: plan('job', { stages: steps.stages }), inputs: steps.inputs, flow: steps.plan })
  assert.equal(reply.kind, 'submitted', reply.kind === 'refused' ? reply.error.message : '')
  cluster.settle()
}

function rerun(cluster: Harness, rerun = 'r1'): void {
  const reply = cluster.ask({ kind: 'rerunJob', job: 'job', rerun, program: undefined })
  assert.equal(reply.kind, 'done', reply.kind === 'refused' ? reply.error.message : '')
  cluster.settle()
}

function refusedRerun(cluster: Harness): string {
  return cluster.refused({ kind: 'rerunJob', job: 'job', rerun: 'r9', program: undefined })
}

function statuses(cluster: Harness): string[] {
  const flow = cluster.state.jobs.byId.get('job')!.flow!
  return Array.from({ length: flow.count }, (_, step) => flow.status(step))
}

function fail(cluster: Harness): void {
  cluster.end(cluster.workers.get('w1')!, [failed('TASK_FAILED', false)])
}

describe('a workflow that failed', () => {
  it(
    'goes on from the failed step, and what succeeded does not run again',
    scenario(cluster => {
      const worker = cluster.join('w1')
      const flow = new Steps()
      const a = flow.add([], { retries: 1 })
      const b = flow.add([['value', a]], { retries: 1, backoffMs: 0 })
      flow.add([['after', b]])
      submitFlow(cluster, flow)
      cluster.finish(worker)
      cluster.end(worker, [failed('TASK_FAILED')])
      cluster.end(worker, [failed('TASK_FAILED')])
      assert.equal(cluster.jobState('job'), 'failed')
      const kept = cluster.state.jobs.resultBytes
      rerun(cluster)
      assert.equal(cluster.jobState('job'), 'running')
      assert.deepEqual(statuses(cluster), ['succeeded', 'open', 'waiting'])
      assert(cluster.state.jobs.inputBytes > 0 && cluster.state.jobs.resultBytes < kept, 'inputs count among those of jobs that run again')
      // Attempts are counted on, and it has its retries again.
      assert.equal(cluster.of('TasksAssigned').at(-1)!.runs[0]!.attempt, 3)
      cluster.end(worker, [failed('TASK_FAILED')])
      assert.equal(cluster.jobState('job'), 'running')
      const records = cluster.records.length
      rerun(cluster)
      assert.equal(cluster.records.length, records, 'asked again by the same name it counts once')
      assert.equal(refusedRerun(cluster), 'CANNOT_RERUN')
      cluster.finishAll()
      assert.equal(cluster.jobState('job'), 'succeeded')
      assert.equal(cluster.of('TasksFinished').length, 3)
      assert.equal(refusedRerun(cluster), 'CANNOT_RERUN')
    }),
  )

  it(
    'runs only those tasks of a map again that have no result, and folds all',
    scenario(cluster => {
      const worker = cluster.join('w1')
      const flow = new Steps()
      const split = flow.add()
      const mapped = flow.add([['spread', split]], { count: 0, task: 'map' })
      const again = flow.add([['each', mapped]], { count: 0, task: 'again' })
      const fold = flow.add([['fold', again]], { count: 0, task: 'fold', amount: 2 })
      flow.add([['value', fold]], { task: 'last' })
      submitFlow(cluster, flow)
      cluster.end(worker, [{ kind: 'spread', items: chunkOf(['a', 'b', 'c', 'd']), blocks: [], elapsedMicros: 10 }])
      for (let step = 0; cluster.jobState('job') === 'running'; step++) {
        assert(worker.busy[0], 'it does not come to its end')
        if (step === 2) fail(cluster)
        else cluster.finish(worker)
      }
      const before = cluster.stage('job', 1).succeeded
      assert.equal(cluster.stage('job', 1).failed, 1)
      rerun(cluster)
      const assigned = cluster.of('TasksAssigned').length
      cluster.finishAll()
      assert.equal(cluster.jobState('job'), 'succeeded')
      assert.equal(cluster.stage('job', 1).succeeded, 4)
      const runs = cluster
        .of('TasksAssigned')
        .slice(assigned - 1)
        .flatMap(record => record.runs)
      const mapRuns = runs.filter(run => run.stage === 1).reduce((sum, run) => sum + run.count, 0)
      assert.equal(mapRuns, 4 - before, 'what had a result ran again')
    }),
  )

  it(
    'leaves alone what was caught, and what a branch passed over',
    scenario(cluster => {
      const worker = cluster.join('w1')
      const flow = new Steps()
      const risky = flow.add([], { task: 'risky' })
      const handler = flow.add([['failure', risky]], { task: 'handler' })
      const choice = flow.add(
        [
          ['option', risky],
          ['option', handler],
        ],
        { kind: 'choice' },
      )
      const last = flow.add([['value', choice]], { task: 'last' })
      flow.output = last
      submitFlow(cluster, flow)
      fail(cluster)
      cluster.finish(worker)
      fail(cluster)
      assert.deepEqual(statuses(cluster), ['failed', 'succeeded', 'succeeded', 'failed'])
      rerun(cluster)
      assert.deepEqual(statuses(cluster), ['failed', 'succeeded', 'succeeded', 'open'])
      cluster.finishAll()
      assert.equal(cluster.jobState('job'), 'succeeded')
    }),
  )

  it(
    'goes on inside of a step that became steps',
    scenario(cluster => {
      const worker = cluster.join('w1')
      const inner = new Steps()
      const one = inner.add([], { task: 'one' })
      inner.add([['value', one]], { task: 'two' })
      const flow = new Steps()
      const outer = flow.add()
      flow.add([['value', outer]])
      submitFlow(cluster, flow)
      cluster.end(worker, [
        { kind: 'expanded', stages: inner.stages, inputs: inner.inputs, flow: inner.plan, policies: [], elapsedMicros: 10 },
      ])
      cluster.finish(worker)
      fail(cluster)
      assert.deepEqual(statuses(cluster), ['failed', 'cancelled', 'succeeded', 'failed'])
      rerun(cluster)
      assert.deepEqual(statuses(cluster), ['open', 'waiting', 'succeeded', 'open'])
      cluster.finishAll()
      assert.equal(cluster.jobState('job'), 'succeeded')
    }),
  )

  it(
    'waits again for a signal that did not come in time, also behind a takeover',
    scenario(cluster => {
      const worker = cluster.join('w1')
      const flow = new Steps()
      const wait = flow.add([], { kind: 'signal', name: 'go', amount: 100 })
      flow.add([['value', wait]])
      submitFlow(cluster, flow)
      cluster.advance(200)
      assert.equal(cluster.jobState('job'), 'failed')
      rerun(cluster)
      cluster.takeOver()
      cluster.register(worker)
      assert.deepEqual(statuses(cluster), ['open', 'waiting'])
      cluster.ask({ kind: 'signal', job: 'job', name: 'go', signal: 's1', items: chunkOf(['sent']) })
      cluster.settle()
      cluster.finishAll()
      assert.equal(cluster.jobState('job'), 'succeeded')
    }),
  )

  it(
    'goes on by another program where one is named, which must be there',
    scenario(cluster => {
      cluster.join('w1')
      const flow = new Steps()
      flow.add()
      submitFlow(cluster, flow)
      fail(cluster)
      const other = 'f'.repeat(64)
      assert.equal(cluster.refused({ kind: 'rerunJob', job: 'job', rerun: 'r1', program: other }), 'PROGRAM_MISSING')
      cluster.ask({ kind: 'putProgram', program: other, bytes: Buffer.from('corrected') })
      assert.equal(cluster.ask({ kind: 'rerunJob', job: 'job', rerun: 'r1', program: other }).kind, 'done')
      cluster.settle()
      assert.equal(cluster.stage('job').plan.program, other)
      assert.equal(cluster.state.jobs.byId.get('job')!.plan.stages[0]!.program, other)
      assert.equal(cluster.state.programs.byId.get(program)!.users, 0)
      cluster.finishAll()
      assert.equal(cluster.jobState('job'), 'succeeded')
    }),
  )
})

describe('a workflow that was cancelled', () => {
  it(
    'goes on where it stood, with inputs that were kept, and without its client',
    scenario(cluster => {
      const worker = cluster.join('w1')
      const flow = new Steps()
      const a = flow.add()
      const b = flow.add([['value', a]])
      flow.add([['after', b]], { kind: 'sleep', amount: 10 })
      submitFlow(cluster, flow)
      cluster.finish(worker)
      cluster.ask({ kind: 'cancelJob', job: 'job', reason: 'wrong day' })
      cluster.settle()
      assert.equal(refusedRerun(cluster), 'CANNOT_RERUN', 'it has not ended yet')
      cluster.end(worker, [{ kind: 'skipped', count: 1 }])
      assert.equal(cluster.jobState('job'), 'cancelled')
      rerun(cluster)
      assert.deepEqual(statuses(cluster), ['succeeded', 'open', 'waiting'])
      const { from } = inputsOf(cluster.stage('job'), 1, 1)
      assert('tasks' in from && from.tasks[0]!.own !== undefined && from.tasks[0]!.arguments.length === 1)
      assert.equal(cluster.of('TasksAssigned').at(-1)!.runs[0]!.attempt, 2, 'whoever ran it may not know that it is over')
      cluster.ask({ kind: 'endSession', session: 'session-1' })
      cluster.finishAll()
      cluster.advance(10)
      assert.equal(cluster.jobState('job'), 'succeeded')
    }),
  )
})

describe('a job that cannot go on', () => {
  it(
    'is an array, one whose results were let go, one that was compensated, or not there',
    scenario(cluster => {
      const worker = cluster.join('w1')
      assert.equal(refusedRerun(cluster), 'NOT_FOUND')
      cluster.submit('job', 1)
      fail(cluster)
      assert.equal(refusedRerun(cluster), 'CANNOT_RERUN')

      const released = new Steps()
      released.add([['value', released.add()]])
      cluster.ask({ kind: 'submitJob', plan: plan('released', { stages: released.stages }), inputs: released.inputs, flow: released.plan })
      cluster.settle()
      cluster.finish(worker)
      fail(cluster)
      cluster.ask({ kind: 'releaseResults', job: 'released', stage: 0, ranges: [{ first: 0, count: 1 }] })
      assert.equal(cluster.refused({ kind: 'rerunJob', job: 'released', rerun: 'r1', program: undefined }), 'RESULT_GONE')

      const saga = new Steps()
      const done = saga.add()
      saga.add([['value', done]])
      saga.add([['undo', done]], { task: 'undo' })
      saga.output = 1
      cluster.ask({ kind: 'submitJob', plan: plan('saga', { stages: saga.stages }), inputs: saga.inputs, flow: saga.plan })
      cluster.settle()
      cluster.finish(worker)
      fail(cluster)
      cluster.finishAll()
      assert.equal(cluster.jobState('saga'), 'failed')
      assert.equal(cluster.refused({ kind: 'rerunJob', job: 'saga', rerun: 'r1', program: undefined }), 'CANNOT_RERUN')
    }),
  )

  it(
    'is refused while the cluster is full, and forgotten with all that was kept of it',
    scenario(
      cluster => {
        const worker = cluster.join('w1')
        const flow = new Steps()
        flow.add([['after', flow.add()]])
        submitFlow(cluster, flow)
        fail(cluster)
        cluster.submit('other', 1)
        assert.equal(refusedRerun(cluster), 'OVERLOADED')
        cluster.finish(worker)
        assert.equal(cluster.state.jobs.inputBytes, 0)
        cluster.advance(1001)
        assert.equal(cluster.jobState('job'), undefined)
        assert.equal(cluster.state.jobs.resultBytes, 0)
      },
      { limits: { openTasksMax: 2, finishedJobAgeMs: 1000 } },
    ),
  )
})

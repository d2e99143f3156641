// Shows what limits a workflow that goes on after its end: its keys, the queue of its runs, and its times, as if it were new.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { RunPolicy, StagePolicy } from '../../src/protocol/index.ts'
import { Steps } from '../fakes/flows.ts'
import { plan } from '../fakes/plans.ts'
import { failed } from '../fakes/worker.ts'
import { type Harness, scenario } from './harness.ts'
import { policy, runPolicy } from './limited.ts'

interface Limits {
  policies?: StagePolicy[]
  run?: RunPolicy
}

function submitFlow(cluster: Harness, id: string, steps: Steps, { policies = [], run }: Limits): void {
  const job = plan(id, { stages: steps.stages })
  const reply = cluster.ask({ kind: 'submitJob', plan: job, inputs: steps.inputs, flow: steps.plan, policies, run })
  assert.equal(reply.kind, 'submitted', reply.kind === 'refused' ? reply.error.message : '')
  cluster.settle()
}

function rerun(cluster: Harness, rerun = 'r1'): void {
  const reply = cluster.ask({ kind: 'rerunJob', job: 'job', rerun, program: undefined })
  assert.equal(reply.kind, 'done', reply.kind === 'refused' ? reply.error.message : '')
  cluster.settle()
}

/** It is refused with this code, and nothing is different from before. */
function cannotRerun(cluster: Harness, code: string, text: RegExp): void {
  const before = cluster.records.length
  const reply = cluster.ask({ kind: 'rerunJob', job: 'job', rerun: 'r9', program: undefined })
  assert(reply.kind === 'refused')
  assert.equal(reply.error.code, code)
  assert.match(reply.error.message, text)
  assert.equal(cluster.records.length, before)
}

function statuses(cluster: Harness): string[] {
  const flow = cluster.state.jobs.byId.get('job')!.flow!
  return Array.from({ length: flow.count }, (_, step) => flow.status(step))
}

/** Of so many tasks that need nothing, of one stage. */
function several(count: number): Steps {
  const steps = new Steps()
  for (let i = 0; i < count; i++) steps.add()
  return steps
}

function fail(cluster: Harness): void {
  cluster.end(cluster.workers.get('w1')!, [failed('TASK_FAILED', false)])
}

const one = { policies: [policy({ key: 'db', concurrency: 1 })] }
const nightly = { run: runPolicy({ key: 'nightly' }) }

describe('the keys of a workflow that goes on', () => {
  it(
    'limit it again, and it waits for them as others do',
    scenario(cluster => {
      const worker = cluster.join('w1', 8)
      submitFlow(cluster, 'job', several(3), one)
      for (let i = 0; i < 3; i++) fail(cluster)
      assert.equal(cluster.jobState('job'), 'failed')
      cluster.submit('other', 2, one)
      rerun(cluster)
      assert.equal(cluster.state.keys.byName.get('db')!.stages, 2)
      assert.deepEqual([cluster.stage('other').runningCount, cluster.stage('job').runningCount], [1, 0])
      cluster.takeOver()
      cluster.register(worker, 8)
      while (worker.busy[0]) {
        assert.equal(cluster.stage('other').runningCount + cluster.stage('job').runningCount, 1)
        cluster.finish(worker)
      }
      assert.deepEqual([cluster.jobState('other'), cluster.jobState('job')], ['succeeded', 'succeeded'])
      assert.equal(cluster.state.keys.byName.size, 0)
    }),
  )

  it(
    'are in use with other numbers: it is refused, and goes on when they are not any more',
    scenario(cluster => {
      cluster.join('w1', 8)
      submitFlow(cluster, 'job', several(1), one)
      fail(cluster)
      cluster.submit('other', 1, { policies: [policy({ key: 'db', concurrency: 2 })] })
      cannotRerun(cluster, 'LIMIT_CONFLICT', /wants the key db \(1 at once\), and it is in use as the key db \(2 at once\)/)
      cluster.finishAll()
      rerun(cluster)
      cluster.finishAll()
      assert.equal(cluster.jobState('job'), 'succeeded')
    }),
  )

  it(
    'remember their rate',
    scenario(cluster => {
      cluster.join('w1', 8)
      submitFlow(cluster, 'job', several(2), { policies: [policy({ key: 'api', rateLimit: 2, ratePerMs: 1000 })] })
      fail(cluster)
      fail(cluster)
      rerun(cluster)
      assert.equal(cluster.stage('job').runningCount, 0)
      cluster.advance(1000)
      assert.equal(cluster.stage('job').runningCount, 2)
    }),
  )

  it(
    'must have room for all that became steps: more of them than it ever has cannot go on, whoever holds it now',
    scenario(cluster => {
      const worker = cluster.join('w1', 8)
      const inner = several(1)
      const became = { kind: 'expanded' as const, stages: inner.stages, inputs: inner.inputs, flow: inner.plan, policies: [] }
      for (const [at, limits] of [one, { policies: [policy({ concurrency: 1 })] }].entries()) {
        const id = at === 0 ? 'job' : 'alone'
        submitFlow(cluster, id, several(2), limits)
        for (let step = 0; step < 2; step++) {
          cluster.end(worker, [{ ...became, elapsedMicros: 5 }])
          fail(cluster)
        }
        assert.equal(cluster.jobState(id), 'failed')
        const reply = cluster.ask({ kind: 'rerunJob', job: id, rerun: 'r1', program: undefined })
        assert(reply.kind === 'refused')
        assert.equal(reply.error.code, 'CANNOT_RERUN')
        assert.match(
          reply.error.message,
          /2 of its steps \(0, 1\) became steps, and would have to hold .* at the same time. Submit it anew/,
        )
      }
      cluster.submit('other', 1, one)
      cannotRerun(cluster, 'CANNOT_RERUN', /2 of its steps/)
      cluster.finish(worker)
    }),
  )

  it(
    'are held by a step that became steps, or it does not go on',
    scenario(cluster => {
      const worker = cluster.join('w1', 8)
      const inner = several(1)
      submitFlow(cluster, 'job', several(1), one)
      const became = { kind: 'expanded' as const, stages: inner.stages, inputs: inner.inputs, flow: inner.plan, policies: [] }
      cluster.end(worker, [{ ...became, elapsedMicros: 5 }])
      fail(cluster)
      assert.equal(cluster.jobState('job'), 'failed')
      cluster.submit('other', 1, one)
      cannotRerun(cluster, 'KEY_BUSY', /its step 0 became steps, and the key db \(1 at once\), which it must hold for them, has no room/)
      cluster.finish(worker)
      rerun(cluster)
      assert.equal(cluster.state.keys.byName.get('db')!.holding, 1)
      cluster.submit('next', 1, one)
      cluster.takeOver()
      cluster.register(worker, 8)
      cluster.settle()
      assert.equal(cluster.stage('next').runningCount, 0)
      cluster.finish(worker)
      assert.equal(cluster.jobState('job'), 'succeeded')
      assert.equal(cluster.stage('next').runningCount, 1)
    }),
  )
})

describe('the key of a run that goes on', () => {
  it(
    'is held again, also by the next leader, and is refused while others have it',
    scenario(cluster => {
      const worker = cluster.join('w1', 8)
      submitFlow(cluster, 'job', several(1), nightly)
      cluster.submit('two', 1, nightly)
      fail(cluster)
      cluster.takeOver()
      cluster.register(worker, 8)
      cluster.settle()
      cannotRerun(cluster, 'KEY_BUSY', /there is two of the key nightly, which has room for 1/)
      cluster.finish(worker)
      rerun(cluster)
      cluster.submit('three', 1, nightly)
      cluster.takeOver()
      cluster.register(worker, 8)
      cluster.settle()
      assert.equal(cluster.stage('three').runningCount, 0)
      cluster.finishAll()
      assert.deepEqual([cluster.jobState('job'), cluster.jobState('three')], ['succeeded', 'succeeded'])
      assert.equal(cluster.state.queues.byKey.size, 0)
    }),
  )

  it(
    'is in use with another number',
    scenario(cluster => {
      cluster.join('w1', 8)
      submitFlow(cluster, 'job', several(1), nightly)
      fail(cluster)
      cluster.submit('two', 1, { run: runPolicy({ key: 'nightly', concurrency: 2 }) })
      cannotRerun(cluster, 'LIMIT_CONFLICT', /wants 1 runs of the key nightly at once, and it is in use with 2/)
    }),
  )

  it(
    'is held for the first time by one that was cancelled before its turn',
    scenario(cluster => {
      const worker = cluster.join('w1', 8)
      cluster.submit('first', 1, nightly)
      submitFlow(cluster, 'job', several(2), nightly)
      cluster.cancel('job')
      assert.equal(cluster.jobState('job'), 'cancelled')
      cluster.takeOver()
      cluster.register(worker, 8)
      cluster.settle()
      cannotRerun(cluster, 'KEY_BUSY', /first/)
      cluster.finish(worker)
      rerun(cluster)
      assert.equal(cluster.stage('job').runningCount, 2)
      cluster.finishAll()
      assert.equal(cluster.jobState('job'), 'succeeded')
    }),
  )
})

describe('the times of a workflow that goes on', () => {
  it(
    'begin anew: that of the run does not count from its first start',
    scenario(cluster => {
      const worker = cluster.join('w1', 8)
      submitFlow(cluster, 'job', several(1), { run: runPolicy({ timeoutMs: 1000 }) })
      cluster.advance(900)
      fail(cluster)
      rerun(cluster)
      cluster.advance(999)
      assert.equal(cluster.jobState('job'), 'running')
      cluster.takeOver()
      cluster.register(worker, 8)
      cluster.settle()
      cluster.advance(1)
      cluster.end(worker, [{ kind: 'skipped', count: 1 }])
      assert.equal(cluster.jobState('job'), 'failed')
      rerun(cluster, 'r2')
      cluster.finishAll()
      assert.equal(cluster.jobState('job'), 'succeeded', 'what was late once is not for ever')
    }),
  )

  it(
    'begin anew: that of a step which was late, or was not yet',
    scenario(cluster => {
      const worker = cluster.join('w1', 8)
      const steps = several(1)
      steps.add([], { task: 'other' })
      submitFlow(cluster, 'job', steps, { policies: [policy({ stepTimeoutMs: 500 }), policy({ stage: 1, stepTimeoutMs: 800 })] })
      cluster.advance(500)
      cluster.end(worker, [{ kind: 'skipped', count: 1 }])
      fail(cluster)
      assert.deepEqual(statuses(cluster), ['failed', 'failed'])
      rerun(cluster)
      cluster.advance(499)
      assert.deepEqual(statuses(cluster), ['open', 'open'])
      cluster.finish(worker)
      cluster.finish(worker)
      assert.equal(cluster.jobState('job'), 'succeeded')
    }),
  )

  it(
    'begin anew: that of a step which became steps',
    scenario(cluster => {
      const worker = cluster.join('w1', 8)
      const inner = several(1)
      submitFlow(cluster, 'job', several(1), { policies: [policy({ stepTimeoutMs: 500 })] })
      const became = { kind: 'expanded' as const, stages: inner.stages, inputs: inner.inputs, flow: inner.plan, policies: [] }
      cluster.end(worker, [{ ...became, elapsedMicros: 5 }])
      cluster.advance(400)
      fail(cluster)
      rerun(cluster)
      cluster.advance(499)
      assert.deepEqual(statuses(cluster), ['open', 'open'])
      cluster.advance(1)
      cluster.end(worker, [{ kind: 'skipped', count: 1 }])
      assert.deepEqual(statuses(cluster), ['failed', 'cancelled'])
      rerun(cluster, 'r2')
      cluster.finishAll()
      assert.equal(cluster.jobState('job'), 'succeeded')
    }),
  )
})

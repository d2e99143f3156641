// Shows limits of whole runs: of a key so many at once, the others in line, and times by which steps and runs are to have ended.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { reasonOf, viewJob } from '../../src/core/views/jobs.ts'
import { stepResult } from '../../src/core/views/step-data.ts'
import { why } from '../../src/core/views/why.ts'
import { Steps } from '../fakes/flows.ts'
import { inputs, plan, stage } from '../fakes/plans.ts'
import { failed } from '../fakes/worker.ts'
import { type Harness, scenario } from './harness.ts'
import { policy, runPolicy } from './limited.ts'

const nightly = { run: runPolicy({ key: 'nightly' }) }

function states(cluster: Harness, ...jobs: string[]): (string | undefined)[] {
  return jobs.map(id => {
    const job = cluster.state.jobs.byId.get(id)
    return job && (viewJob(job).queuedFor === undefined ? job.state : 'queued')
  })
}

function submitFlow(
  cluster: Harness,
  id: string,
  steps: Steps,
  more: Pick<Parameters<Harness['submit']>[2] & object, 'policies' | 'run'> = {},
): void {
  const job = plan(id, { stages: steps.stages })
  const reply = cluster.ask({
    kind: 'submitJob',
    plan: job,
    inputs: steps.inputs,
    flow: steps.plan,
    policies: more.policies ?? [],
    run: more.run,
  })
  assert.equal(reply.kind, 'submitted')
  cluster.settle()
}

function statuses(cluster: Harness, id = 'job'): string[] {
  const flow = cluster.state.jobs.byId.get(id)!.flow!
  return Array.from({ length: flow.count }, (_, step) => flow.status(step))
}

describe('runs of one key', () => {
  it(
    'wait for their turn, one after the other, those of higher priority first; and that survives a takeover',
    scenario(cluster => {
      const worker = cluster.join('w1', 8)
      cluster.submit('one', 1, nightly)
      cluster.submit('two', 1, nightly)
      cluster.submit('three', 1, nightly)
      cluster.submit('urgent', 1, { ...nightly, priority: 7 })
      assert.deepEqual(states(cluster, 'one', 'two', 'three', 'urgent'), ['running', 'queued', 'queued', 'queued'])
      cluster.takeOver()
      cluster.register(worker, 8)
      const order: string[] = []
      while (worker.busy[0]) {
        assert.equal(cluster.state.tasks.lanes.size, 1)
        order.push(cluster.state.tasks.lanes.get(worker.busy[0].id)!.runs[0]!.stage.job.plan.job)
        cluster.finish(worker)
      }
      assert.deepEqual(order, ['one', 'urgent', 'two', 'three'])
      assert.equal(cluster.state.queues.byKey.size, 0)
    }),
  )

  it(
    'of which one has nothing to do pass their turn on',
    scenario(cluster => {
      const worker = cluster.join('w1', 8)
      cluster.submit('one', 1, nightly)
      cluster.submit('empty', 0, nightly)
      cluster.submit('two', 1, nightly)
      cluster.finish(worker)
      assert.deepEqual(states(cluster, 'one', 'empty', 'two'), ['succeeded', 'succeeded', 'running'])
    }),
  )

  it(
    'that are workflows begin nothing before their turn, not even a pause',
    scenario(cluster => {
      const worker = cluster.join('w1', 8)
      cluster.submit('one', 1, nightly)
      const steps = new Steps()
      steps.add([['after', steps.add([], { kind: 'sleep', amount: 100 })]])
      submitFlow(cluster, 'job', steps, nightly)
      cluster.advance(1000)
      assert.deepEqual(statuses(cluster), ['waiting', 'waiting'])
      const [held] = why(cluster.state, cluster.observed, 'job')
      assert.equal(held!.rule, 'queued')
      assert.match(held!.text, /the key nightly \(1 runs at once\): held by one; 0 are before it/)
      cluster.finish(worker)
      assert.deepEqual(statuses(cluster), ['open', 'waiting'])
      cluster.advance(100)
      cluster.finishAll()
      assert.equal(cluster.jobState('job'), 'succeeded')
    }),
  )

  it(
    'that are cancelled while they wait leave the line at once',
    scenario(cluster => {
      const worker = cluster.join('w1', 8)
      cluster.submit('one', 1, nightly)
      cluster.submit('two', 1, nightly)
      const steps = new Steps()
      steps.add()
      submitFlow(cluster, 'job', steps, nightly)
      cluster.submit('three', 1, nightly)
      cluster.cancel('two')
      cluster.cancel('job')
      assert.deepEqual(states(cluster, 'one', 'two', 'job', 'three'), ['running', 'cancelled', 'cancelled', 'queued'])
      cluster.finish(worker)
      assert.deepEqual(states(cluster, 'three'), ['running'])
    }),
  )

  it(
    'are refused with `reject`, and nothing of them is taken',
    scenario(cluster => {
      cluster.join('w1', 8)
      cluster.submit('one', 1, nightly)
      const two = {
        kind: 'submitJob' as const,
        plan: plan('two'),
        inputs: [inputs(1)],
        run: runPolicy({ key: 'nightly', whenBusy: 'reject' }),
      }
      assert.equal(cluster.refused(two), 'KEY_BUSY')
      cluster.finishAll()
      assert.equal(cluster.ask(two).kind, 'submitted')
    }),
  )

  it(
    'make room for the newest with `cancel`: it begins when the one before it has really ended',
    scenario(cluster => {
      const worker = cluster.join('w1', 8)
      const latest = { run: runPolicy({ key: 'nightly', whenBusy: 'cancel' }) }
      cluster.submit('one', 1, latest)
      cluster.submit('two', 1, latest)
      assert.deepEqual(states(cluster, 'one', 'two'), ['cancelled', 'queued'])
      cluster.submit('three', 1, latest)
      assert.deepEqual(states(cluster, 'two', 'three'), ['cancelled', 'queued'])
      cluster.end(worker, [{ kind: 'skipped', count: 1 }])
      assert.deepEqual(states(cluster, 'three'), ['running'])
    }),
  )

  it(
    'say the same number, or are refused as a conflict',
    scenario(cluster => {
      cluster.join('w1', 8)
      cluster.submit('one', 1, nightly)
      const two = { kind: 'submitJob' as const, plan: plan('two'), inputs: [inputs(1)], run: runPolicy({ key: 'nightly', concurrency: 2 }) }
      assert.equal(cluster.refused(two), 'LIMIT_CONFLICT')
      assert.equal(cluster.refused({ ...two, run: runPolicy({ key: 'other', concurrency: 0 }) }), 'INVALID_ARGUMENT')
    }),
  )
})

describe('a run that does not end in its time', () => {
  it(
    'has failed, and what runs of it is stopped; its time begins with its turn',
    scenario(cluster => {
      const worker = cluster.join('w1', 2)
      cluster.submit('one', 1, nightly)
      cluster.submit('two', 3, { run: runPolicy({ key: 'nightly', timeoutMs: 1000 }) })
      cluster.advance(5000)
      assert.deepEqual(states(cluster, 'two'), ['queued'])
      cluster.finish(worker)
      cluster.advance(999)
      assert.deepEqual(states(cluster, 'two'), ['running'])
      cluster.advance(1)
      assert.deepEqual(states(cluster, 'two'), ['failed'])
      assert.equal(cluster.of('JobFinished').length, 1, 'it ends when what runs has stopped')
      cluster.end(worker, [{ kind: 'skipped', count: 1 }])
      cluster.end(worker, [{ kind: 'skipped', count: 1 }])
      const job = cluster.state.jobs.byId.get('two')!
      assert.deepEqual([job.state, reasonOf(job)], ['failed', 'RUN_TIMEOUT: it did not end within 1000 ms'])
    }),
  )

  it(
    'is undone, if it is a workflow with compensations, and they have the time that they need',
    scenario(cluster => {
      const worker = cluster.join('w1', 4)
      const steps = new Steps()
      const paid = steps.add()
      steps.add([['value', paid]], { task: 'ship' })
      steps.add([['undo', paid]], { task: 'refund' })
      steps.add([['after', steps.add([], { kind: 'signal', name: 'go' })]])
      submitFlow(cluster, 'job', steps, { run: runPolicy({ timeoutMs: 1000 }) })
      cluster.finish(worker)
      cluster.advance(1000)
      assert.deepEqual(statuses(cluster), ['succeeded', 'open', 'waiting', 'cancelled', 'cancelled'])
      cluster.end(worker, [{ kind: 'skipped', count: 1 }])
      assert.deepEqual(statuses(cluster), ['succeeded', 'cancelled', 'open', 'cancelled', 'cancelled'])
      cluster.advance(10_000)
      cluster.finish(worker)
      assert.deepEqual([cluster.jobState('job'), statuses(cluster)[2]], ['failed', 'succeeded'])
    }),
  )

  it(
    'but does in the same turn has ended in time',
    scenario(cluster => {
      const worker = cluster.join('w1')
      cluster.submit('one', 1, { run: runPolicy({ timeoutMs: 1000 }) })
      cluster.nowMs += 1000
      cluster.finish(worker)
      assert.equal(cluster.jobState('one'), 'succeeded')
      assert.equal(cluster.of('JobTimedOut').length, 0)
    }),
  )
})

describe('a step that does not end in its time', () => {
  it(
    'has failed, with all its attempts, and that can be caught',
    scenario(cluster => {
      const worker = cluster.join('w1', 4)
      const steps = new Steps()
      const slow = steps.add([], { retries: 9 })
      const handler = steps.add([['failure', slow]], { task: 'instead' })
      steps.add(
        [
          ['option', slow],
          ['option', handler],
        ],
        { kind: 'choice' },
      )
      submitFlow(cluster, 'job', steps, { policies: [policy({ stepTimeoutMs: 500 })] })
      cluster.end(worker, [failed('TASK_FAILED')])
      cluster.advance(200)
      assert.equal(cluster.stage('job').runningCount, 1)
      cluster.advance(300)
      assert.deepEqual(statuses(cluster), ['open', 'waiting', 'waiting'], 'it ends when what runs of it has stopped')
      cluster.end(worker, [{ kind: 'skipped', count: 1 }])
      assert.deepEqual(statuses(cluster), ['failed', 'open', 'waiting'])
      cluster.finish(worker)
      assert.equal(cluster.jobState('job'), 'succeeded')
    }),
  )

  it(
    'because there was no worker for it has failed as well; one that only waits for others has all its time before it',
    scenario(cluster => {
      const steps = new Steps()
      const first = steps.add()
      steps.add([['value', first]], { task: 'second' })
      submitFlow(cluster, 'job', steps, { policies: [policy({ stage: 1, stepTimeoutMs: 500 })] })
      cluster.advance(10_000)
      const worker = cluster.join('w1')
      cluster.finish(worker)
      cluster.lose(worker)
      cluster.advance(499)
      assert.deepEqual(statuses(cluster), ['succeeded', 'open'])
      cluster.takeOver()
      cluster.advance(1)
      assert.deepEqual(statuses(cluster), ['succeeded', 'failed'])
      const job = cluster.state.jobs.byId.get('job')!
      assert.equal(viewJob(job).flow!.cause!.code, 'STEP_TIMEOUT')
      // Whoever asks for its result is told so as well.
      assert.throws(() => stepResult(job, 1), { code: 'STEP_TIMEOUT' })
    }),
  )

  it(
    'though it became steps ends with those, which hold its key until then',
    scenario(cluster => {
      const worker = cluster.join('w1', 4)
      const steps = new Steps()
      steps.add([], { task: 'outer' })
      submitFlow(cluster, 'job', steps, { policies: [policy({ key: 'db', concurrency: 1, stepTimeoutMs: 500 })] })
      const inner = new Steps()
      const done = inner.add([], { task: 'inner' })
      inner.add([['value', done]], { task: 'more' })
      inner.add([['undo', done]], { task: 'undo' })
      inner.output = 1
      const expanded = { kind: 'expanded' as const, stages: inner.stages, inputs: inner.inputs, flow: inner.plan, elapsedMicros: 5 }
      cluster.end(worker, [{ ...expanded, policies: [] }])
      assert.equal(cluster.state.keys.byName.get('db')!.holding, 1)
      assert.match(why(cluster.state, cluster.observed, 'job')[0]!.rule, /dependency|running|compensation/)
      cluster.finish(worker)
      cluster.advance(500)
      cluster.end(worker, [{ kind: 'skipped', count: 1 }])
      assert.deepEqual(statuses(cluster), ['open', 'succeeded', 'cancelled', 'open'])
      cluster.finish(worker)
      assert.deepEqual([statuses(cluster)[0], cluster.jobState('job')], ['failed', 'failed'])
    }),
  )
})

describe('a workflow as a step', () => {
  it(
    'cannot wait for the key that it holds itself, nor for one with other limits',
    scenario(cluster => {
      const worker = cluster.join('w1', 4)
      for (const [job, key, concurrency, code] of [
        ['job-1', 'db', 1, 'INVALID_WORKFLOW'],
        ['job-2', 'api', 2, 'LIMIT_CONFLICT'],
      ] as const) {
        if (job === 'job-2')
          cluster.submit('other', 1, { policies: [policy({ key: 'api', concurrency: 1 })], stages: [stage({ cpus: 9 })] })
        const steps = new Steps()
        steps.add([], { task: 'outer' })
        submitFlow(cluster, job, steps, { policies: [policy({ key: 'db', concurrency: 1 })] })
        const inner = new Steps()
        inner.add([], { task: 'inner' })
        const expanded = { kind: 'expanded' as const, stages: inner.stages, inputs: inner.inputs, flow: inner.plan, elapsedMicros: 5 }
        cluster.end(worker, [{ ...expanded, policies: [policy({ key, concurrency })] }])
        assert.equal(cluster.of('TaskFailed').at(-1)!.code, code)
        assert.equal(cluster.jobState(job), 'failed')
      }
    }),
  )

  it(
    'with a key keeps others out until its own steps have ended, and lets them in when its job is cancelled',
    scenario(cluster => {
      const worker = cluster.join('w1', 4)
      const limited = { policies: [policy({ key: 'db', concurrency: 1 })] }
      const steps = new Steps()
      steps.add([], { task: 'outer' })
      submitFlow(cluster, 'job', steps, limited)
      cluster.submit('other', 1, limited)
      const inner = new Steps()
      inner.add([], { kind: 'signal', name: 'go' })
      inner.add([['after', 0]], { task: 'inner' })
      inner.output = 1
      const expanded = { kind: 'expanded' as const, stages: inner.stages, inputs: inner.inputs, flow: inner.plan, elapsedMicros: 5 }
      cluster.end(worker, [{ ...expanded, policies: [] }])
      assert.equal(cluster.stage('other').runningCount, 0)
      assert.match(why(cluster.state, cluster.observed, 'other')[0]!.text, /held by step 0 of job/)
      cluster.takeOver()
      cluster.register(worker, 4)
      cluster.settle()
      assert.equal(cluster.stage('other').runningCount, 0)
      cluster.cancel('job')
      assert.equal(cluster.stage('other').runningCount, 1)
    }),
  )
})

// Shows where the results and inputs of steps are said to stand, what is said of a step that has none, and the story of a workflow.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { jobOf } from '../../src/core/views/jobs.ts'
import { inputOfStep, stepResult } from '../../src/core/views/step-data.ts'
import { Story } from '../../src/core/views/story.ts'
import type { Outcome, RunPolicy, StagePolicy } from '../../src/protocol/index.ts'
import { Steps } from '../fakes/flows.ts'
import { chunkOf, plan } from '../fakes/plans.ts'
import { failed } from '../fakes/worker.ts'
import { falseMark, type Harness, scenario } from './harness.ts'
import { policy } from './limited.ts'

function submit(cluster: Harness, steps: Steps, policies: StagePolicy[] = [], run?: RunPolicy): void {
  cluster.join('w1')
  const submission = { plan: plan('job', { stages: steps.stages }), inputs: steps.inputs, flow: steps.plan, policies }
  const reply = cluster.ask({ kind: 'submitJob', ...submission, ...(run && { run }) })
  assert.equal(reply.kind, 'submitted')
  cluster.settle()
}

function end(cluster: Harness, outcome?: Outcome): void {
  const worker = cluster.workers.get('w1')!
  if (outcome) cluster.end(worker, [outcome])
  else cluster.finish(worker)
}

const job = (cluster: Harness) => jobOf(cluster.state, 'job')

/** Fails unless the answer is this error, in these words. */
function says(ask: () => unknown, code: string, words: RegExp): void {
  assert.throws(ask, error => (error as { code: string }).code === code && words.test((error as Error).message))
}

describe('the result of a step', () => {
  it(
    'stands where its task left it, or as items in order',
    scenario(cluster => {
      const flow = new Steps()
      const one = flow.add()
      const mapped = flow.add([['after', one]], { count: 3, task: 'each' })
      flow.add([['after', mapped]], { kind: 'sleep', amount: 10 })
      submit(cluster, flow)
      says(() => stepResult(job(cluster), one), 'STEP_NOT_READY', /Step 0 of job job has not ended yet/)
      cluster.finishAll()
      cluster.advance(20)
      const [first] = cluster.stage('job', 0).results
      assert.deepEqual(stepResult(job(cluster), one), {
        kind: 'items',
        list: false,
        pieces: [{ payload: first!.payload, from: 0, count: 1 }],
      })
      const items = stepResult(job(cluster), mapped)
      assert('list' in items && items.list)
      assert.equal(
        items.pieces.reduce((sum, piece) => sum + piece.count, 0),
        3,
      )
      assert.deepEqual(stepResult(job(cluster), 2), { list: false, pieces: [] }, 'a pause gives nothing')
    }),
  )

  it(
    'is how its task failed; what waited for it says what it was cancelled for',
    scenario(cluster => {
      const flow = new Steps()
      const bad = flow.add()
      flow.add([['value', bad]])
      flow.add([], { kind: 'signal', name: 'go', amount: 500 })
      submit(cluster, flow)
      end(cluster, failed('TASK_FAILED', false))
      const result = stepResult(job(cluster), bad)
      assert('failure' in result)
      assert.deepEqual([result.stage, result.failure.code], [0, 'TASK_FAILED'])
      says(() => stepResult(job(cluster), 1), 'TASK_CANCELLED', /what it needed failed with TASK_FAILED in task 0\/0/)
      cluster.advance(1000)
      says(() => stepResult(job(cluster), 2), 'SIGNAL_TIMEOUT', /./)
    }),
  )

  it(
    'is not there of one that was passed over, of one that a cancelled job never came to, nor of what is no step',
    scenario(cluster => {
      const flow = new Steps()
      const test = flow.add()
      flow.add([['taken', test]])
      flow.add([['untaken', test]])
      submit(cluster, flow)
      end(cluster, { kind: 'finished', count: 1, items: chunkOf([`${falseMark}result of job/0/0`]), blocks: [], elapsedMicros: 10 })
      says(() => stepResult(job(cluster), 1), 'NOT_FOUND', /was skipped/)
      says(() => stepResult(job(cluster), 3), 'NOT_FOUND', /no step 3/)
      cluster.cancel('job')
      says(() => stepResult(job(cluster), 2), 'TASK_CANCELLED', /./)
      cluster.submit('plain')
      says(() => stepResult(jobOf(cluster.state, 'plain'), 0), 'NOT_FOUND', /is no workflow/)
    }),
  )
})

describe('the input of a step', () => {
  it(
    'stands where it was sent or given, task by task',
    scenario(cluster => {
      const flow = new Steps()
      const one = flow.add()
      const then = flow.add([['value', one]], { task: 'then' })
      const mapped = flow.add([], { count: 3, task: 'each' })
      submit(cluster, flow)
      assert.equal(inputOfStep(job(cluster), one, 0).tasks.length, 1)
      says(() => inputOfStep(job(cluster), then, 0), 'STEP_NOT_READY', /still waits for others/)
      const { list, tasks, next } = inputOfStep(job(cluster), mapped, 1)
      assert.deepEqual([list, tasks.length, next], [true, 2, undefined])
      cluster.finishAll()
      assert.equal(inputOfStep(job(cluster), then, 0).tasks.length, 1)
    }),
  )

  it(
    'is none where the step is no task, or never began',
    scenario(cluster => {
      const flow = new Steps()
      const test = flow.add()
      flow.add([['taken', test]])
      flow.add([], { kind: 'sleep', amount: 10 })
      submit(cluster, flow)
      end(cluster, { kind: 'finished', count: 1, items: chunkOf([`${falseMark}result of job/0/0`]), blocks: [], elapsedMicros: 10 })
      says(() => inputOfStep(job(cluster), 1, 0), 'NOT_FOUND', /never began/)
      says(() => inputOfStep(job(cluster), 2, 0), 'NOT_FOUND', /is a sleep: it takes no input/)
    }),
  )
})

describe('the story of a workflow', () => {
  const told = (cluster: Harness): string => {
    const story = new Story('job', 100)
    for (const [position, record] of cluster.records.entries()) story.next(position + 1, 1, record)
    return story.lines.map(line => line.text).join('\n')
  }

  it(
    'tells branches, signals, lists, steps within steps, pauses and limits',
    scenario(cluster => {
      const flow = new Steps()
      const test = flow.add()
      flow.add([['taken', test]])
      const go = flow.add([['after', test]], { kind: 'signal', name: 'go' })
      const split = flow.add([['after', go]], { task: 'split' })
      const mapped = flow.add([['spread', split]], { count: 0, task: 'each' })
      flow.add([['after', mapped]], { task: 'outer' })
      submit(cluster, flow, [policy({ key: 'db', concurrency: 3 })], { key: 'k', concurrency: 2, whenBusy: 'queue', timeoutMs: 90_000 })
      end(cluster, { kind: 'finished', count: 1, items: chunkOf([`${falseMark}result of job/0/0`]), blocks: [], elapsedMicros: 10 })
      for (const paused of [true, false]) cluster.ask({ kind: 'pauseJob', job: 'job', paused })
      cluster.ask({ kind: 'signal', job: 'job', name: 'go', signal: 's1', items: chunkOf(['x']) })
      cluster.settle()
      end(cluster, { kind: 'spread', items: chunkOf(['x', 'y']), blocks: [], elapsedMicros: 10 })
      for (let item = 0; item < 2; item++) end(cluster)
      const inner = new Steps()
      inner.add([], { task: 'inner' })
      end(cluster, { kind: 'expanded', stages: inner.stages, inputs: inner.inputs, flow: inner.plan, policies: [], elapsedMicros: 5 })
      cluster.finishAll()
      assert.equal(cluster.jobState('job'), 'succeeded')
      const text = told(cluster)
      for (const line of [
        /^limited: the key k, 2 at once, else queue, 90000 ms from its start$/m,
        /^stage 0 limited: .*db.*3/m,
        /^step 0 decided a branch: not taken$/m,
        /^paused: nothing more of it begins\nresumed$/m,
        /^the signal go came, \d+ bytes$/m,
        /finished on w1 with a list of 2$/m,
        /was built on w1: it is steps now$/m,
        /^1 steps added: what step 5 became$/m,
        /^ended: succeeded$/m,
      ])
        assert.match(text, line)
    }),
  )

  it(
    'tells of times that ran out',
    scenario(cluster => {
      const flow = new Steps()
      flow.add()
      submit(cluster, flow, [policy({ stepTimeoutMs: 500 })])
      cluster.advance(1000)
      assert.match(told(cluster), /^stage 0 limited: 500 ms for a step$/m)
      assert.match(told(cluster), /^step 0 did not end in its time: it has failed$/m)
    }),
  )

  it(
    'tells that it was given up, and that it took back what it had done',
    scenario(cluster => {
      const flow = new Steps()
      const done = flow.add()
      flow.add([['undo', done]], { task: 'undo' })
      flow.add([['after', done]], { kind: 'signal', name: 'go' })
      submit(cluster, flow)
      end(cluster)
      assert.equal(cluster.ask({ kind: 'cancelJob', job: 'job', reason: 'wrong day', compensate: true }).kind, 'done')
      cluster.settle()
      cluster.finishAll()
      assert.match(told(cluster), /^being cancelled, its compensations run first: wrong day$/m)
      assert.match(told(cluster), /^ended: cancelled$/m)
    }),
  )
})

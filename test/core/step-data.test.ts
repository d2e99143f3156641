// Shows where the results and inputs of steps are said to stand, and what is said of a step that has none.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { jobOf } from '../../src/core/views/jobs.ts'
import { inputOfStep, stepResult } from '../../src/core/views/step-data.ts'
import type { Outcome } from '../../src/protocol/index.ts'
import { Steps } from '../fakes/flows.ts'
import { chunkOf, plan } from '../fakes/plans.ts'
import { failed } from '../fakes/worker.ts'
import { falseMark, type Harness, scenario } from './harness.ts'

function submit(cluster: Harness, steps: Steps): void {
  cluster.join('w1')
  const reply = cluster.ask({ kind: 'submitJob', plan: plan('job', { stages: steps.stages }), inputs: steps.inputs, flow: steps.plan })
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

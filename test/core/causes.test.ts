// Shows which failure a workflow that failed is told to have failed for: the first one that nobody caught, wherever it was.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { viewJob } from '../../src/core/views/jobs.ts'
import type { Outcome } from '../../src/protocol/index.ts'
import { Steps } from '../fakes/flows.ts'
import { plan } from '../fakes/plans.ts'
import { failed } from '../fakes/worker.ts'
import { type Harness, scenario } from './harness.ts'

function submitFlow(cluster: Harness, steps: Steps): void {
  const reply = cluster.ask({ kind: 'submitJob', plan: plan('job', { stages: steps.stages }), inputs: steps.inputs, flow: steps.plan })
  assert.equal(reply.kind, 'submitted')
  cluster.settle()
}

function end(cluster: Harness, outcome: Outcome): void {
  cluster.end(cluster.workers.get('w1')!, [outcome])
}

function fail(cluster: Harness): void {
  end(cluster, failed('TASK_FAILED', false))
}

function expand(cluster: Harness, inner: Steps): void {
  end(cluster, { kind: 'expanded', stages: inner.stages, inputs: inner.inputs, flow: inner.plan, policies: [], elapsedMicros: 5 })
}

/** The step that the failed workflow names, and the code; the reason says the same. */
function cause(cluster: Harness): [number, string] {
  assert.equal(cluster.jobState('job'), 'failed')
  const { flow, reason } = viewJob(cluster.state.jobs.byId.get('job')!)
  const { step, name, code } = flow!.cause!
  assert(reason?.startsWith(`step ${name}`) && reason.includes(code), reason)
  return [step, code]
}

/** A step whose failure is caught, and one that takes its place. Gives the step that has the value of either. */
function caught(flow: Steps): number {
  const risky = flow.add([], { task: 'risky' })
  const handler = flow.add([['failure', risky]], { task: 'handler' })
  return flow.add(
    [
      ['option', risky],
      ['option', handler],
    ],
    { kind: 'choice' },
  )
}

describe('the cause of a failed workflow', () => {
  it(
    'is what failed first in time, be it a task or a wait for a signal, and after a rerun what failed then',
    scenario(cluster => {
      const worker = cluster.join('w1')
      const flow = new Steps()
      const go = flow.add([], { kind: 'signal', name: 'go', amount: 1000 })
      const task = flow.add()
      flow.add([
        ['value', go],
        ['value', task],
      ])
      submitFlow(cluster, flow)
      cluster.advance(500)
      fail(cluster)
      cluster.advance(500)
      assert.deepEqual(cause(cluster), [task, 'TASK_FAILED'])
      const reply = cluster.ask({ kind: 'rerunJob', job: 'job', rerun: 'r1', program: undefined })
      assert.equal(reply.kind, 'done')
      cluster.settle()
      cluster.finish(worker)
      cluster.advance(1000)
      assert.deepEqual(cause(cluster), [go, 'SIGNAL_TIMEOUT'])
    }),
  )

  it(
    'of several tasks of one step is the one that failed first, whatever its place',
    scenario(cluster => {
      const worker = cluster.join('w1', 3)
      const flow = new Steps()
      flow.add([], { count: 3, task: 'many' })
      submitFlow(cluster, flow)
      const laneOf = (index: number) => worker.busy.find(lane => lane.open[0]!.index === index)!
      for (const [index, code] of [
        [2, 'TASK_FAILED'],
        [0, 'TASK_CRASHED'],
        [1, 'TASK_TIMEOUT'],
      ] as const) {
        cluster.advance(10)
        cluster.end(worker, [failed(code, false)], laneOf(index))
      }
      assert.deepEqual(cause(cluster), [0, 'TASK_FAILED'])
      assert.deepEqual(viewJob(cluster.state.jobs.byId.get('job')!).flow!.cause!.task, { stage: 0, index: 2 })
    }),
  )

  it(
    'is in the workflow that was a step, and not what that caught, nor its compensation that failed as well',
    scenario(cluster => {
      const worker = cluster.join('w1')
      const outer = new Steps()
      const step = outer.add([], { task: 'outer' })
      outer.add([['value', step]])
      submitFlow(cluster, outer)
      const middle = new Steps()
      middle.add([], { task: 'middle' })
      expand(cluster, middle)
      const inner = new Steps()
      const undo = inner.add([['undo', inner.add([], { task: 'done' })]], { task: 'undo' })
      const either = caught(inner)
      const late = inner.add(
        [
          ['value', either],
          ['after', undo - 1],
        ],
        { task: 'late' },
      )
      inner.output = inner.add([['value', late]], { task: 'last' })
      expand(cluster, inner)
      const base = 3
      for (let turn = 0; cluster.jobState('job') === 'running'; turn++) {
        const [lane] = worker.busy
        assert(lane && turn < 20, 'it does not come to its end')
        cluster.advance(10)
        const { flow, stages } = cluster.state.jobs.byId.get('job')!
        const running = [...Array(flow!.count).keys()].find(
          one => flow!.status(one) === 'open' && flow!.kind(one) === 'tasks' && !flow!.expanded.has(one),
        )!
        const task = stages[flow!.stage(running)]!.plan.task
        if (['risky', 'late', 'undo'].includes(task)) fail(cluster)
        else cluster.finish(worker)
      }
      assert.deepEqual(cause(cluster), [base + late, 'TASK_FAILED'])
    }),
  )
})

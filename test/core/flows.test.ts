// Shows how workflows move on, step by step, and what failures, branches, pauses and signals lead to.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { inputsOf } from '../../src/core/index.ts'
import { type Outcome, outcomeTasks } from '../../src/protocol/index.ts'
import { Steps } from '../fakes/flows.ts'
import { chunkOf, plan } from '../fakes/plans.ts'
import { failed } from '../fakes/worker.ts'
import { falseMark, type Harness, scenario } from './harness.ts'

function submitFlow(cluster: Harness, id: string, steps: Steps): void {
  const reply = cluster.ask({ kind: 'submitJob', plan: plan(id, { stages: steps.stages }), inputs: steps.inputs, flow: steps.plan })
  assert.equal(reply.kind, 'submitted', reply.kind === 'refused' ? reply.error.message : '')
  cluster.settle()
}

function statuses(cluster: Harness, id = 'job'): string[] {
  const flow = cluster.state.jobs.byId.get(id)!.flow!
  return Array.from({ length: flow.count }, (_, step) => flow.status(step))
}

function list(items: readonly string[]): Outcome {
  return { kind: 'spread', items: chunkOf(items), blocks: [], elapsedMicros: 10 }
}

/** A result that is false in the sense of `if`. */
function no(text: string): Outcome {
  return { kind: 'finished', count: 1, items: chunkOf([falseMark + text]), blocks: [], elapsedMicros: 10 }
}

function next(cluster: Harness, outcome?: Outcome): void {
  const worker = cluster.workers.get('w1')!
  if (outcome) cluster.end(worker, [outcome])
  else cluster.finish(worker)
  assert(!outcome || outcomeTasks(outcome) === 1)
}

describe('steps', () => {
  it(
    'wait for one another, and those of a failure are never run',
    scenario(cluster => {
      cluster.join('w1')
      const flow = new Steps()
      const a = flow.add()
      const b = flow.add([['value', a]])
      flow.add([['after', b]])
      flow.add([['value', a]])
      submitFlow(cluster, 'job', flow)
      assert.deepEqual(statuses(cluster), ['open', 'waiting', 'waiting', 'waiting'])
      next(cluster)
      assert.deepEqual(statuses(cluster), ['succeeded', 'open', 'waiting', 'open'])
      next(cluster, failed('TASK_FAILED', false))
      assert.deepEqual(statuses(cluster), ['succeeded', 'failed', 'cancelled', 'open'])
      assert.equal(cluster.jobState('job'), 'running')
      next(cluster)
      assert.equal(cluster.jobState('job'), 'failed')
    }),
  )

  it(
    'of a list are as many as it has items, and pass their results on one by one',
    scenario(cluster => {
      cluster.join('w1')
      const flow = new Steps()
      const split = flow.add()
      const mapped = flow.add([['spread', split]], { count: 0 })
      const again = flow.add([['each', mapped]], { count: 0, task: 'again' })
      flow.add([['all', again]])
      submitFlow(cluster, 'job', flow)
      next(cluster, list(['x', 'y', 'z']))
      assert.equal(cluster.stage('job', 1).added, 3)
      assert.equal(cluster.stage('job', 2).heldCount, 3)
      next(cluster)
      assert.equal(cluster.stage('job', 2).heldCount, 2)
      cluster.finishAll()
      assert.equal(cluster.jobState('job'), 'succeeded')
      assert.equal(cluster.stage('job', 2).succeeded, 3)
    }),
  )

  it(
    'get what others gave as it is, and rest on no more than that where it says all',
    scenario(cluster => {
      cluster.join('w1')
      const flow = new Steps()
      const split = flow.add()
      const mapped = flow.add([['spread', split]], { count: 0 })
      const again = flow.add([['each', mapped]], { count: 0, task: 'again' })
      flow.add([['fold', again]], { count: 0, amount: 2, task: 'fold' })
      const summed = flow.add([['value', again]], { task: 'sum' })
      flow.add(
        [
          ['value', split],
          ['after', summed],
        ],
        { task: 'last' },
      )
      submitFlow(cluster, 'job', flow)
      assert.equal(inputsOf(cluster.stage('job', 0), 0, 1).restsOn, 'nothing')
      next(cluster, list(['x', 'y', 'z']))
      const { payload } = cluster.stage('job', 0).job.flow!.spreads.get(split)!
      assert.deepEqual(inputsOf(cluster.stage('job', 1), 1, 2), { from: { pieces: [{ payload, from: 1, count: 2 }] }, restsOn: 'payloads' })
      for (let i = 0; i < 3; i++) next(cluster)
      const results = [...cluster.stage('job', 1).results]
      assert.deepEqual(inputsOf(cluster.stage('job', 2), 0, 3), {
        from: { pieces: results.map(one => ({ payload: one.payload, from: 0, count: one.count })) },
        restsOn: 'payloads',
      })
      for (let i = 0; i < 3; i++) next(cluster)
      const folded = inputsOf(cluster.stage('job', 3), 1, 1)
      assert.equal(folded.restsOn, 'payloads')
      assert('tasks' in folded.from)
      assert.equal(folded.from.tasks[0]!.own, undefined)
      assert.equal(inputsOf(cluster.stage('job', 4), 0, 1).restsOn, 'payloads')
      assert.equal(inputsOf(cluster.stage('job', 5), 0, 1).restsOn, 'facts')
    }),
  )

  it(
    'of an empty list succeed at once',
    scenario(cluster => {
      cluster.join('w1')
      const flow = new Steps()
      const split = flow.add()
      const mapped = flow.add([['spread', split]], { count: 0 })
      flow.add([['fold', mapped]], { count: 0, amount: 2, task: 'fold' })
      submitFlow(cluster, 'job', flow)
      next(cluster, list([]))
      assert.equal(cluster.jobState('job'), 'succeeded')
    }),
  )

  it(
    'fold results in a tree until one is left',
    scenario(cluster => {
      cluster.join('w1')
      const flow = new Steps()
      const mapped = flow.add([], { count: 7 })
      flow.add([['fold', mapped]], { count: 0, amount: 3, task: 'fold' })
      submitFlow(cluster, 'job', flow)
      assert.equal(cluster.stage('job', 1).added, 4)
      cluster.finishAll()
      assert.equal(cluster.stage('job', 1).succeeded, 4)
      assert.equal(cluster.jobState('job'), 'succeeded')
    }),
  )

  it(
    'of the branch that was not taken are passed over',
    scenario(cluster => {
      cluster.join('w1')
      const flow = new Steps()
      const test = flow.add()
      const yes = flow.add([['taken', test]])
      const other = flow.add([['untaken', test]])
      const choice = flow.add(
        [
          ['option', yes],
          ['option', other],
        ],
        { kind: 'choice' },
      )
      flow.add([['value', choice]])
      flow.add([['after', yes]])
      submitFlow(cluster, 'job', flow)
      next(cluster, no('result of job/0/0'))
      assert.deepEqual(statuses(cluster), ['succeeded', 'skipped', 'open', 'waiting', 'waiting', 'open'])
      cluster.finishAll()
      assert.deepEqual(statuses(cluster), ['succeeded', 'skipped', 'succeeded', 'succeeded', 'succeeded', 'succeeded'])
      assert.equal(cluster.jobState('job'), 'succeeded')
    }),
  )

  it(
    'that catch a failure run only then, and the job succeeds',
    scenario(cluster => {
      cluster.join('w1')
      for (const [id, fails] of [
        ['one', true],
        ['two', false],
      ] as const) {
        const flow = new Steps()
        const first = flow.add()
        const second = flow.add([['value', first]])
        const handler = flow.add([['failure', second]])
        flow.add(
          [
            ['option', second],
            ['option', handler],
          ],
          { kind: 'choice' },
        )
        submitFlow(cluster, id, flow)
        next(cluster, fails ? failed('TASK_FAILED', false) : undefined)
        cluster.finishAll()
        assert.equal(cluster.jobState(id), 'succeeded')
        assert.deepEqual(
          statuses(cluster, id),
          fails ? ['failed', 'cancelled', 'succeeded', 'succeeded'] : ['succeeded', 'succeeded', 'skipped', 'succeeded'],
        )
      }
    }),
  )

  it(
    'are compensated in reverse order where the job fails, and only what was done',
    scenario(cluster => {
      cluster.join('w1')
      const flow = new Steps()
      const a = flow.add()
      flow.add([['undo', a]], { task: 'undo' })
      const b = flow.add([['after', a]])
      flow.add([['undo', b]], { task: 'undo' })
      const c = flow.add([['after', b]])
      flow.add([['undo', c]], { task: 'undo' })
      submitFlow(cluster, 'job', flow)
      next(cluster)
      next(cluster)
      assert.equal(cluster.stage('job', 1).readyCount + cluster.stage('job', 1).runningCount, 0)
      next(cluster, failed('TASK_FAILED', false))
      assert.deepEqual(statuses(cluster), ['succeeded', 'waiting', 'succeeded', 'open', 'failed', 'skipped'])
      next(cluster, failed('TASK_FAILED', false))
      assert.deepEqual(statuses(cluster), ['succeeded', 'open', 'succeeded', 'failed', 'failed', 'skipped'])
      next(cluster)
      assert.equal(cluster.jobState('job'), 'failed')
      assert.equal(cluster.stage('job', 1).succeeded, 1)
    }),
  )

  it(
    'sleep, and go on when the time has come, also after a takeover',
    scenario(cluster => {
      cluster.join('w1')
      const flow = new Steps()
      const pause = flow.add([], { kind: 'sleep', amount: 5000 })
      flow.add([['after', pause]])
      submitFlow(cluster, 'job', flow)
      cluster.advance(4999)
      assert.deepEqual(statuses(cluster), ['open', 'waiting'])
      cluster.takeOver()
      cluster.register(cluster.workers.get('w1')!)
      cluster.advance(1)
      assert.deepEqual(statuses(cluster), ['succeeded', 'open'])
      cluster.finishAll()
      assert.equal(cluster.jobState('job'), 'succeeded')
    }),
  )

  it(
    'get signals in order, also those that came before, each once; one that does not come in time is a failure',
    scenario(cluster => {
      cluster.join('w1')
      const flow = new Steps()
      const go = flow.add([], { kind: 'signal', name: 'go' })
      const go2 = flow.add([['after', go]], { kind: 'signal', name: 'go' })
      const late = flow.add([], { kind: 'signal', name: 'late', amount: 1000 })
      flow.add([
        ['value', go2],
        ['failure', late],
      ])
      submitFlow(cluster, 'job', flow)
      const signal = (id: string) => ({ kind: 'signal' as const, job: 'job', name: 'go', signal: id, items: chunkOf(['x']) })
      cluster.ask(signal('s1'))
      cluster.ask(signal('s1'))
      assert.deepEqual(statuses(cluster), ['succeeded', 'open', 'open', 'waiting'])
      cluster.ask(signal('s2'))
      cluster.ask(signal('s3'))
      cluster.advance(1000)
      assert.deepEqual(statuses(cluster), ['succeeded', 'succeeded', 'failed', 'open'])
      cluster.finishAll()
      assert.equal(cluster.jobState('job'), 'succeeded')
      assert.equal(cluster.refused(signal('s4')), 'JOB_ENDED')
      assert.equal(cluster.refused({ ...signal('s4'), job: 'nobody' }), 'NOT_FOUND')
    }),
  )

  it(
    'become steps themselves, whose output is their result',
    scenario(cluster => {
      cluster.join('w1')
      const flow = new Steps()
      const outer = flow.add()
      flow.add([['value', outer]])
      submitFlow(cluster, 'job', flow)
      const inner = new Steps()
      const one = inner.add([], { task: 'inner' })
      inner.add([['value', one]], { task: 'inner' })
      next(cluster, { kind: 'expanded', stages: inner.stages, inputs: inner.inputs, flow: inner.plan, policies: [], elapsedMicros: 5 })
      assert.deepEqual(statuses(cluster), ['open', 'waiting', 'open', 'waiting'])
      next(cluster)
      next(cluster)
      assert.deepEqual(statuses(cluster), ['succeeded', 'open', 'succeeded', 'succeeded'])
      cluster.finishAll()
      assert.equal(cluster.jobState('job'), 'succeeded')
    }),
  )

  it(
    'end with their job when it is cancelled, whatever they wait for',
    scenario(cluster => {
      cluster.join('w1')
      const flow = new Steps()
      const a = flow.add()
      flow.add([['value', a]])
      flow.add([], { kind: 'sleep', amount: 5000 })
      flow.add([], { kind: 'signal', name: 'go', amount: 9000 })
      flow.add([['each', flow.add([['value', a]], { count: 3 })]], { count: 0 })
      submitFlow(cluster, 'job', flow)
      cluster.cancel('job')
      assert.equal(cluster.state.delayed.size, 0)
      cluster.end(cluster.workers.get('w1')!, [{ kind: 'skipped', count: 1 }])
      assert.equal(cluster.jobState('job'), 'cancelled')
    }),
  )
})

describe('a plan that cannot be run is refused', () => {
  const refused = (what: string, make: (flow: Steps) => void): void => {
    it(
      what,
      scenario(cluster => {
        const flow = new Steps()
        make(flow)
        const command = { kind: 'submitJob' as const, plan: plan('job', { stages: flow.stages }), inputs: flow.inputs, flow: flow.plan }
        assert.equal(cluster.refused(command), 'INVALID_WORKFLOW')
      }),
    )
  }
  refused('a step that needs itself', flow => flow.add([['value', 0]]))
  refused('a step that needs a later one', flow => {
    flow.add([['value', 1]])
    flow.add()
  })
  refused('an output that is not there', flow => {
    flow.add()
    flow.output = 4
  })
  refused('tasks from two places', flow => {
    flow.add(
      [
        ['each', flow.add([], { count: 2 })],
        ['spread', flow.add()],
      ],
      { count: 0 },
    )
  })
  refused('a list of a step with many tasks', flow => {
    flow.add([['spread', flow.add([], { count: 2 })]], { count: 0 })
  })
  refused('a choice of nothing', flow => flow.add([['after', flow.add()]], { kind: 'choice' }))
  refused('a fold of one at a time', flow => flow.add([['fold', flow.add([], { count: 2 })]], { count: 0, amount: 1 }))
  refused('options of a step that chooses nothing', flow => flow.add([['option', flow.add()]]))
  refused('a step for each task of a pause', flow => {
    flow.add([['each', flow.add([], { kind: 'sleep', amount: 5 })]], { count: 0 })
  })
  refused('a pause with tasks', flow => {
    flow.add()
    flow.steps.push({ kind: 'sleep', stage: 0, count: 2, name: '', amount: 5, needs: [] })
  })
  refused('a step of a stage that is not there', flow => {
    flow.add()
    flow.steps.push({ kind: 'tasks', stage: 7, count: 1, name: '', amount: 0, needs: [] })
  })
  refused('a step of many tasks that shares its stage', flow => {
    flow.add()
    flow.steps.push({ kind: 'tasks', stage: 0, count: 2, name: '', amount: 0, needs: [] })
  })
  refused('a signal without a name', flow => flow.add([['after', flow.add()]], { kind: 'signal' }))
})

// Shows how a workflow is cancelled so that what it did is taken back first: what is given up, what runs, what it ends as, and what changes that.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { decodeSnapshot, encodeSnapshot } from '../../src/core/snapshot.ts'
import { jobOf, viewJob } from '../../src/core/views/jobs.ts'
import { Story } from '../../src/core/views/story.ts'
import { why } from '../../src/core/views/why.ts'
import type { RunPolicy } from '../../src/protocol/index.ts'
import { Steps } from '../fakes/flows.ts'
import { chunkOf, plan } from '../fakes/plans.ts'
import { failed } from '../fakes/worker.ts'
import { type Harness, scenario } from './harness.ts'
import { runPolicy } from './limited.ts'

interface Options {
  id?: string
  run?: RunPolicy
  detached?: boolean
}

function submitFlow(cluster: Harness, steps: Steps, { id = 'job', run, detached = false }: Options = {}): void {
  const reply = cluster.ask({
    kind: 'submitJob',
    plan: plan(id, { stages: steps.stages, detached }),
    inputs: steps.inputs,
    flow: steps.plan,
    run,
  })
  assert.equal(reply.kind, 'submitted', reply.kind === 'refused' ? reply.error.message : '')
  cluster.settle()
}

function compensate(cluster: Harness, job = 'job', reason = 'wrong day'): void {
  assert.equal(cluster.ask({ kind: 'cancelJob', job, reason, compensate: true }).kind, 'done')
  cluster.settle()
}

function statuses(cluster: Harness, job = 'job'): string[] {
  const flow = cluster.state.jobs.byId.get(job)!.flow!
  return Array.from({ length: flow.count }, (_, step) => flow.status(step))
}

/** The tasks that run now, by what they are called. */
function running(cluster: Harness): string[] {
  return [...cluster.state.tasks.lanes.values()].flatMap(lane => lane.runs.map(run => run.stage.plan.task))
}

/** Reserve, pay, ship: the first two can be taken back. */
function saga(): Steps {
  const flow = new Steps()
  const reserve = flow.add([], { task: 'reserve' })
  flow.add([['undo', reserve]], { task: 'release' })
  const pay = flow.add([['value', reserve]], { task: 'pay' })
  flow.add([['undo', pay]], { task: 'refund' })
  flow.output = flow.add([['value', pay]], { task: 'ship' })
  return flow
}

describe('a workflow that is cancelled with compensation', () => {
  it(
    'does not try again what waits for its next attempt, and does not wait for its time',
    scenario(cluster => {
      const worker = cluster.join('w1')
      const flow = new Steps()
      const reserve = flow.add([], { task: 'reserve' })
      flow.add([['undo', reserve]], { task: 'release' })
      flow.output = flow.add([['value', reserve]], { task: 'pay' })
      const patient = flow.stages.map(one => ({ ...one, retry: { ...one.retry, retriesMax: 3, backoffMs: 60_000 } }))
      cluster.ask({ kind: 'submitJob', plan: plan('job', { stages: patient }), inputs: flow.inputs, flow: flow.plan })
      cluster.settle()
      cluster.finish(worker, 1)
      cluster.end(worker, [failed()])
      assert.equal(cluster.stage('job', 2).delayedCount, 1)
      compensate(cluster)
      assert.deepEqual(running(cluster), ['release'])
      assert.equal(cluster.stage('job', 2).delayedCount, 0)
      cluster.finish(worker, 1)
      assert.equal(cluster.jobState('job'), 'cancelled')
    }),
  )

  it(
    'stops what runs, takes back what succeeded in reverse order, and ends cancelled for the reason that was given',
    scenario(cluster => {
      const worker = cluster.join('w1')
      submitFlow(cluster, saga())
      cluster.finish(worker, 1)
      cluster.finish(worker, 1)
      assert.deepEqual(running(cluster), ['ship'])
      compensate(cluster)
      assert.equal(cluster.jobState('job'), 'running')
      assert.equal(cluster.stage('job', 4).cancelling.has(0), true)
      assert.deepEqual(running(cluster), ['ship'], 'compensations wait until what runs has stopped')
      const view = viewJob(jobOf(cluster.state, 'job'))
      assert.deepEqual([view.state, view.cancelling, view.reason], ['running', true, 'wrong day'])
      const [first, ...others] = why(cluster.state, cluster.observed, 'job')
      assert.equal(first!.rule, 'cancelling')
      assert.match(first!.text, /wrong day.* 2 compensations have run/)
      assert.match(others.map(one => one.text).join(' '), /has its turn when all else has ended/)
      // Whatever it ends as, it counts as cancelled, and nothing of it is taken back.
      cluster.finish(worker, 1)
      assert.deepEqual(running(cluster), ['refund'])
      cluster.finish(worker, 1)
      assert.deepEqual(running(cluster), ['release'])
      assert.equal(cluster.jobState('job'), 'running')
      cluster.finish(worker, 1)
      const end = viewJob(jobOf(cluster.state, 'job'))
      assert.deepEqual([end.state, end.cancelling, end.reason], ['cancelled', undefined, 'wrong day'])
      assert.deepEqual(statuses(cluster), ['succeeded', 'succeeded', 'succeeded', 'succeeded', 'cancelled'])
      const story = new Story('job', 100)
      for (const [index, record] of cluster.records.entries()) story.next(index, 1, record)
      assert.match(story.lines.map(line => line.text).join('\n'), /being cancelled, its compensations run first: wrong day/)
      assert.equal(cluster.refused({ kind: 'rerunJob', job: 'job', rerun: 'r1', program: undefined }), 'CANNOT_RERUN')
    }),
  )

  it(
    'gives up what waits: for others, for a signal, for a time, for an event',
    scenario(cluster => {
      const worker = cluster.join('w1')
      const flow = new Steps()
      const done = flow.add([], { task: 'done' })
      flow.add([['undo', done]], { task: 'undo' })
      const wait = flow.add([], { kind: 'signal', name: 'go' })
      flow.add([], { kind: 'sleep', amount: 1000 })
      flow.add([], { kind: 'event', name: 'paid' })
      flow.add([['after', wait]], { task: 'never' })
      submitFlow(cluster, flow)
      cluster.finish(worker)
      compensate(cluster)
      assert.deepEqual(statuses(cluster), ['succeeded', 'open', 'cancelled', 'cancelled', 'cancelled', 'cancelled'])
      assert.equal(cluster.state.delayed.size, 0)
      cluster.finish(worker)
      assert.equal(cluster.jobState('job'), 'cancelled')
    }),
  )

  it(
    'takes back what a workflow did that is a step of it and has not ended, before its own',
    scenario(cluster => {
      const worker = cluster.join('w1')
      const inner = new Steps()
      const one = inner.add([], { task: 'inner' })
      inner.add([['undo', one]], { task: 'undo-inner' })
      inner.output = inner.add([['value', one]], { task: 'inner-last' })
      const flow = new Steps()
      const before = flow.add([], { task: 'before' })
      flow.add([['undo', before]], { task: 'undo-before' })
      const outer = flow.add([['value', before]], { task: 'outer' })
      flow.add([['undo', outer]], { task: 'undo-outer' })
      flow.output = outer
      submitFlow(cluster, flow)
      cluster.finish(worker)
      cluster.end(worker, [
        { kind: 'expanded', stages: inner.stages, inputs: inner.inputs, flow: inner.plan, policies: [], elapsedMicros: 10 },
      ])
      cluster.finish(worker)
      compensate(cluster)
      cluster.end(worker, [{ kind: 'skipped', count: 1 }])
      const ran: string[] = []
      for (; cluster.jobState('job') === 'running'; cluster.finish(worker)) ran.push(...running(cluster))
      assert.deepEqual(ran, ['undo-inner', 'undo-before'])
      assert.equal(cluster.jobState('job'), 'cancelled')
    }),
  )

  it(
    'goes on with that whoever leads, and knows it from a snapshot',
    scenario(cluster => {
      const worker = cluster.join('w1')
      submitFlow(cluster, saga())
      cluster.finish(worker)
      cluster.finish(worker)
      compensate(cluster)
      cluster.end(worker, [{ kind: 'skipped', count: 1 }])
      cluster.takeOver()
      cluster.register(worker)
      cluster.settle()
      assert.equal(decodeSnapshot(encodeSnapshot(cluster.state)).jobs.byId.get('job')!.cancelling, true)
      assert.deepEqual(running(cluster), ['refund'])
      cluster.finishAll()
      assert.equal(cluster.jobState('job'), 'cancelled')
      assert.equal(viewJob(jobOf(cluster.state, 'job')).reason, 'wrong day')
    }),
  )

  it(
    'is cancelled though a compensation fails, which keeps no other from running',
    scenario(cluster => {
      const worker = cluster.join('w1')
      submitFlow(cluster, saga())
      cluster.finish(worker)
      cluster.finish(worker)
      compensate(cluster)
      cluster.end(worker, [{ kind: 'skipped', count: 1 }])
      cluster.end(worker, [failed('TASK_FAILED', false)])
      assert.deepEqual(running(cluster), ['release'])
      cluster.finish(worker)
      assert.equal(cluster.jobState('job'), 'cancelled')
      assert.deepEqual(statuses(cluster), ['succeeded', 'succeeded', 'succeeded', 'failed', 'cancelled'])
    }),
  )

  it(
    'counts once, and a plain cancel ends it at once',
    scenario(cluster => {
      const worker = cluster.join('w1')
      submitFlow(cluster, saga())
      cluster.finish(worker)
      cluster.finish(worker)
      compensate(cluster)
      cluster.end(worker, [{ kind: 'skipped', count: 1 }])
      const records = cluster.records.length
      compensate(cluster, 'job', 'again')
      assert.equal(cluster.records.length, records)
      cluster.cancel('job', 'enough')
      assert.equal(cluster.jobState('job'), 'cancelled')
      cluster.end(worker, [{ kind: 'skipped', count: 1 }])
      assert.equal(viewJob(jobOf(cluster.state, 'job')).reason, 'enough')
      assert.equal(cluster.state.jobs.finished.size, 1)
      compensate(cluster)
      assert.equal(cluster.of('JobCancelling').length, 1)
    }),
  )

  it(
    'waits while it is paused',
    scenario(cluster => {
      const worker = cluster.join('w1')
      submitFlow(cluster, saga())
      cluster.finish(worker)
      cluster.ask({ kind: 'pauseJob', job: 'job', paused: true })
      compensate(cluster)
      cluster.end(worker, [{ kind: 'skipped', count: 1 }])
      assert.deepEqual(running(cluster), [])
      assert.deepEqual(
        why(cluster.state, cluster.observed, 'job')
          .map(one => one.rule)
          .slice(0, 2),
        ['paused', 'cancelling'],
      )
      cluster.ask({ kind: 'pauseJob', job: 'job', paused: false })
      cluster.settle()
      cluster.finishAll()
      assert.equal(cluster.jobState('job'), 'cancelled')
    }),
  )

  it(
    'goes on with that when its client goes, its time is over, or another run takes its place',
    scenario(cluster => {
      const worker = cluster.join('w1')
      const run = runPolicy({ key: 'k', whenBusy: 'cancel', timeoutMs: 100 })
      submitFlow(cluster, saga(), { run })
      cluster.finish(worker)
      compensate(cluster)
      cluster.ask({ kind: 'endSession', session: 'session-1' })
      const next = new Steps()
      next.add([], { task: 'next' })
      submitFlow(cluster, next, { id: 'next', run, detached: true })
      cluster.advance(200)
      assert.equal(cluster.of('JobCancelled').length + cluster.of('JobTimedOut').length, 0)
      cluster.end(worker, [{ kind: 'skipped', count: 1 }])
      assert.deepEqual(running(cluster), ['release'])
      assert.equal(viewJob(jobOf(cluster.state, 'next')).queuedFor, 'k')
      cluster.finish(worker)
      assert.equal(cluster.jobState('job'), 'cancelled')
      assert.deepEqual(running(cluster), ['next'])
      cluster.finish(worker)
    }),
  )
})

describe('a step that runs when its workflow is cancelled with compensation', () => {
  it(
    'is taken back if it succeeds though it was told to stop, its result as the input',
    scenario(cluster => {
      const worker = cluster.join('w1')
      const flow = new Steps()
      const reserve = flow.add([], { task: 'reserve' })
      flow.add([['undo', reserve]], { task: 'release' })
      const pay = flow.add([['value', reserve]], { task: 'pay' })
      const refund = flow.add([['undo', pay]], { task: 'refund' })
      flow.steps[refund]!.needs.push({ kind: 'value', step: pay })
      flow.output = flow.add([['value', pay]], { task: 'ship' })
      submitFlow(cluster, flow)
      cluster.finish(worker)
      assert.deepEqual(running(cluster), ['pay'])
      compensate(cluster)
      assert.equal(cluster.stage('job', 2).cancelling.has(0), true, 'it is told to stop')
      assert.match(why(cluster.state, cluster.observed, 'job')[0]!.text, /2 compensations have run/)
      assert.equal(decodeSnapshot(encodeSnapshot(cluster.state)).jobs.byId.get('job')!.flow!.undoable.has(pay), true)
      cluster.takeOver()
      cluster.register(worker)
      cluster.settle()
      cluster.finish(worker)
      assert.deepEqual(running(cluster), ['refund'])
      cluster.finish(worker)
      assert.deepEqual(running(cluster), ['release'])
      cluster.finish(worker)
      assert.equal(cluster.jobState('job'), 'cancelled')
      assert.deepEqual(statuses(cluster), ['succeeded', 'succeeded', 'succeeded', 'succeeded', 'cancelled'])
    }),
  )

  it(
    'is not if it fails or stops, is not tried again, nor if its worker is lost',
    scenario(cluster => {
      const retried = (id: string): void => {
        const flow = saga()
        const stages = flow.stages.map(one => ({ ...one, retry: { ...one.retry, retriesMax: 3, backoffMs: 0 } }))
        cluster.ask({ kind: 'submitJob', plan: plan(id, { stages }), inputs: flow.inputs, flow: flow.plan })
        cluster.settle()
        cluster.finish(cluster.workers.get('w1')!)
        compensate(cluster, id)
      }
      const taken = (id: string): void => {
        assert.deepEqual(running(cluster), ['release'])
        cluster.finishAll()
        assert.deepEqual(statuses(cluster, id), ['succeeded', 'succeeded', 'cancelled', 'skipped', 'cancelled'])
        assert.equal(cluster.jobState(id), 'cancelled')
      }
      const worker = cluster.join('w1')
      retried('fails')
      cluster.end(worker, [failed()])
      taken('fails')
      retried('stops')
      cluster.end(worker, [{ kind: 'skipped', count: 1 }])
      taken('stops')
      retried('lost')
      cluster.lose(worker)
      cluster.join('w2')
      taken('lost')
    }),
  )

  it(
    'counts with all of its tasks: what of them has not begun never does, and then it is none that succeeded',
    scenario(cluster => {
      const worker = cluster.join('w1', 2)
      const wide = (): Steps => {
        const flow = new Steps()
        const before = flow.add([], { task: 'before' })
        flow.add([['undo', before]], { task: 'undo-before' })
        const many = flow.add([['after', before]], { task: 'many', count: 2 })
        flow.add([['undo', many]], { task: 'undo-many' })
        flow.output = many
        return flow
      }
      submitFlow(cluster, wide())
      cluster.finish(worker)
      assert.deepEqual(running(cluster), ['many', 'many'])
      compensate(cluster)
      cluster.finish(worker, 1)
      cluster.finish(worker, 1)
      assert.deepEqual(running(cluster), ['undo-many'])
      cluster.finishAll()
      assert.equal(cluster.jobState('job'), 'cancelled')
      submitFlow(cluster, wide(), { id: 'half' })
      cluster.finish(worker)
      compensate(cluster, 'half')
      cluster.finish(worker, 1)
      cluster.end(worker, [{ kind: 'skipped', count: 1 }])
      cluster.finishAll()
      assert.deepEqual(statuses(cluster, 'half'), ['succeeded', 'succeeded', 'cancelled', 'skipped'])
    }),
  )

  it(
    'counts also where it is what a choice has open, is a list, writes with its result, or its run is out of time',
    scenario(cluster => {
      const worker = cluster.join('w1')
      const flow = new Steps()
      const risky = flow.add([], { task: 'risky' })
      const handler = flow.add([['failure', risky]], { task: 'handler' })
      const chosen = flow.add(
        [
          ['option', risky],
          ['option', handler],
        ],
        { kind: 'choice' },
      )
      flow.add([['undo', chosen]], { task: 'undo-chosen' })
      flow.output = flow.add([['value', chosen]], { task: 'last' })
      submitFlow(cluster, flow)
      compensate(cluster)
      assert.equal(cluster.jobState('job'), 'running')
      cluster.finish(worker)
      assert.deepEqual(running(cluster), ['undo-chosen'])
      cluster.finishAll()
      assert.deepEqual(statuses(cluster), ['succeeded', 'cancelled', 'succeeded', 'succeeded', 'cancelled'])

      const list = new Steps()
      const split = list.add([], { task: 'split' })
      list.add([['undo', split]], { task: 'undo-split' })
      list.output = list.add([['spread', split]], { task: 'part', count: 0 })
      submitFlow(cluster, list, { id: 'list', run: runPolicy({ timeoutMs: 100 }) })
      cluster.advance(200)
      assert.equal(cluster.of('JobTimedOut').length, 1)
      const exchange = { checks: [], writes: [{ space: 'one', key: 'k', item: chunkOf(['v']) }], grants: [], signals: [] }
      const outcome = { kind: 'spread' as const, items: chunkOf(['a', 'b']), blocks: [], elapsedMicros: 1 }
      cluster.end(worker, [{ kind: 'committed', outcome, exchange, jobs: [] }])
      assert.equal(cluster.of('EntriesWritten').length, 1)
      assert.deepEqual(running(cluster), ['undo-split'])
      cluster.finishAll()
      assert.equal(cluster.jobState('list'), 'failed')
      assert.deepEqual(statuses(cluster, 'list'), ['succeeded', 'succeeded', 'cancelled'])
    }),
  )
})

describe('a cancel with compensation', () => {
  it(
    'is a plain one where nothing is to be taken back',
    scenario(cluster => {
      const worker = cluster.join('w1')
      cluster.submit('array', 2)
      compensate(cluster, 'array')
      assert.equal(cluster.jobState('array'), 'cancelled')
      cluster.end(worker, [{ kind: 'skipped', count: 1 }])
      const flow = new Steps()
      flow.add([['undo', flow.add([['value', flow.add([])]])]], { task: 'never' })
      submitFlow(cluster, flow)
      compensate(cluster)
      assert.equal(cluster.jobState('job'), 'cancelled', 'nothing of it that can be taken back has begun')
      cluster.end(worker, [{ kind: 'skipped', count: 1 }])
      const run = runPolicy({ key: 'k' })
      submitFlow(cluster, saga(), { id: 'first', run })
      submitFlow(cluster, saga(), { id: 'second', run })
      compensate(cluster, 'second')
      assert.equal(cluster.jobState('second'), 'cancelled', 'it waited for its turn')
      cluster.finishAll()
      assert.equal(cluster.of('JobCancelling').length, 0)
    }),
  )

  it(
    'leaves alone what has ended, and what has failed and takes back already',
    scenario(cluster => {
      const worker = cluster.join('w1')
      assert.equal(cluster.refused({ kind: 'cancelJob', job: 'nowhere', reason: '', compensate: true }), 'NOT_FOUND')
      submitFlow(cluster, saga())
      cluster.finish(worker)
      cluster.end(worker, [failed('TASK_FAILED', false)])
      assert.deepEqual(running(cluster), ['release'])
      compensate(cluster)
      cluster.finish(worker)
      assert.equal(cluster.jobState('job'), 'failed')
      compensate(cluster)
      submitFlow(cluster, saga(), { id: 'late', run: runPolicy({ timeoutMs: 100 }) })
      cluster.finish(worker)
      cluster.advance(200)
      compensate(cluster, 'late')
      cluster.end(worker, [{ kind: 'skipped', count: 1 }])
      cluster.finish(worker)
      assert.equal(cluster.jobState('late'), 'failed')
      assert.equal(cluster.of('JobCancelling').length, 0)
    }),
  )

  it(
    'is no obstacle to going on later where no compensation ran',
    scenario(cluster => {
      const worker = cluster.join('w1')
      submitFlow(cluster, saga())
      cluster.finish(worker)
      compensate(cluster)
      cluster.cancel('job')
      cluster.end(worker, [{ kind: 'skipped', count: 1 }])
      assert.equal(cluster.ask({ kind: 'rerunJob', job: 'job', rerun: 'r1', program: undefined }).kind, 'done')
      cluster.settle()
      assert.equal(cluster.state.jobs.byId.get('job')!.cancelling, false)
      cluster.finishAll()
      assert.equal(cluster.jobState('job'), 'succeeded')
    }),
  )
})

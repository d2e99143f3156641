// Shows how runs are controlled: paused and resumed, and when steps began and ended.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { decodeSnapshot, encodeSnapshot } from '../../src/core/snapshot.ts'
import { viewSteps } from '../../src/core/views/flow.ts'
import { jobOf, viewJob } from '../../src/core/views/jobs.ts'
import { why } from '../../src/core/views/why.ts'
import { Steps } from '../fakes/flows.ts'
import { chunkOf, plan } from '../fakes/plans.ts'
import { failed, finished } from '../fakes/worker.ts'
import { type Harness, scenario } from './harness.ts'

function submitFlow(cluster: Harness, id: string, steps: Steps): void {
  const reply = cluster.ask({ kind: 'submitJob', plan: plan(id, { stages: steps.stages }), inputs: steps.inputs, flow: steps.plan })
  assert.equal(reply.kind, 'submitted', reply.kind === 'refused' ? reply.error.message : '')
  cluster.settle()
}

function pause(cluster: Harness, job: string, paused = true): void {
  assert.equal(cluster.ask({ kind: 'pauseJob', job, paused }).kind, 'done')
  cluster.settle()
}

describe('a paused job', () => {
  it(
    'begins nothing more, while what runs runs on, until it is resumed',
    scenario(cluster => {
      const worker = cluster.join('w1', 1)
      cluster.submit('job', 3)
      assert.equal(cluster.stage('job').runningCount, 1)
      pause(cluster, 'job')
      cluster.end(worker, [finished(worker.busy[0]!, 1, [], 1_000_000)])
      assert.equal(cluster.stage('job').succeeded, 1)
      assert.equal(cluster.stage('job').runningCount, 0)
      assert.equal(viewJob(jobOf(cluster.state, 'job')).paused, true)
      assert.deepEqual(
        why(cluster.state, cluster.observed, 'job').map(one => one.rule),
        ['paused'],
      )
      assert.equal(why(cluster.state, cluster.observed, 'job/2')[0]!.rule, 'paused')
      const records = cluster.records.length
      pause(cluster, 'job')
      assert.equal(cluster.records.length, records, 'pausing twice is the same as once')
      pause(cluster, 'job', false)
      assert.equal(cluster.stage('job').runningCount, 1)
      cluster.finishAll()
      assert.equal(cluster.jobState('job'), 'succeeded')
      assert.equal(cluster.refused({ kind: 'pauseJob', job: 'job', paused: true }), 'JOB_ENDED')
      assert.equal(cluster.refused({ kind: 'pauseJob', job: 'nowhere', paused: true }), 'NOT_FOUND')
    }),
  )

  it(
    'leaves the room to others, and stays paused whoever leads',
    scenario(cluster => {
      const worker = cluster.join('w1', 1)
      cluster.submit('other', 1, { priority: -1 })
      cluster.submit('job', 2)
      pause(cluster, 'job')
      cluster.submit('third', 1, { priority: -1 })
      cluster.finish(worker)
      assert.equal(cluster.stage('third').runningCount, 1)
      cluster.takeOver()
      cluster.register(worker)
      cluster.settle()
      cluster.finishAll()
      assert.equal(cluster.jobState('third'), 'succeeded')
      assert.equal(cluster.stage('job').readyCount, 2)
      assert.equal(decodeSnapshot(encodeSnapshot(cluster.state)).jobs.byId.get('job')!.paused, true)
      pause(cluster, 'job', false)
      cluster.finishAll()
      assert.equal(cluster.jobState('job'), 'succeeded')
    }),
  )

  it(
    'takes in signals, pauses that are over and retries, and can be cancelled',
    scenario(cluster => {
      const worker = cluster.join('w1', 2)
      const flow = new Steps()
      const wait = flow.add([], { kind: 'signal', name: 'go' })
      const sleep = flow.add([], { kind: 'sleep', amount: 50 })
      flow.add([
        ['after', wait],
        ['after', sleep],
      ])
      flow.add([], { retries: 1, backoffMs: 10 })
      submitFlow(cluster, 'job', flow)
      pause(cluster, 'job')
      cluster.end(worker, [failed('TASK_FAILED')])
      cluster.ask({ kind: 'signal', job: 'job', name: 'go', signal: 's1', items: chunkOf(['sent']) })
      cluster.advance(100)
      const steps = cluster.state.jobs.byId.get('job')!.flow!
      assert.deepEqual(
        [0, 1, 2, 3].map(step => steps.status(step)),
        ['succeeded', 'succeeded', 'open', 'open'],
      )
      assert.equal(worker.busy.length, 0)
      cluster.cancel('job')
      assert.equal(cluster.jobState('job'), 'cancelled')
      assert.equal(viewJob(jobOf(cluster.state, 'job')).paused, undefined)
    }),
  )
})

describe('times of steps', () => {
  it(
    'are those of the first handing out and of the end',
    scenario(cluster => {
      const worker = cluster.join('w1', 1)
      const flow = new Steps()
      const first = flow.add([], { retries: 1, backoffMs: 0 })
      const sleep = flow.add([['after', first]], { kind: 'sleep', amount: 30 * 24 * 3_600_000 })
      const last = flow.add([['after', sleep]])
      const beganMs = cluster.nowMs
      submitFlow(cluster, 'job', flow)
      cluster.advance(5)
      cluster.end(worker, [failed('TASK_FAILED')])
      cluster.advance(7)
      cluster.finish(worker)
      const times = (): unknown[] =>
        viewSteps(jobOf(cluster.state, 'job'), { job: 'job' }).steps.map(({ beganAtMs, endedAtMs }) => [
          beganAtMs === undefined ? undefined : beganAtMs - beganMs,
          endedAtMs === undefined ? undefined : endedAtMs - beganMs,
        ])
      assert.deepEqual(times()[first], [0, 12])
      assert.deepEqual(times()[sleep], [12, undefined])
      assert.deepEqual(times()[last], [undefined, undefined])
      const monthMs = 30 * 24 * 3_600_000
      cluster.advance(monthMs)
      assert.deepEqual(times()[sleep], [12, 12 + monthMs])
      cluster.finish(worker)
      assert.deepEqual(times()[last], [12 + monthMs, 12 + monthMs])
    }),
  )
})

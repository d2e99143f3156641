// Shows what is forgotten, and when: jobs beyond their number, age or bytes, and that a snapshot of another release is refused.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { decodeSnapshot, encodeSnapshot } from '../../src/core/snapshot.ts'
import { recordVersion } from '../../src/protocol/index.ts'
import { block, inputs, plan, stage } from '../fakes/plans.ts'
import { failed } from '../fakes/worker.ts'
import { type Harness, scenario } from './harness.ts'

const ids = (cluster: Harness): string[] => [...cluster.state.jobs.byId.keys()]

describe('finished jobs are forgotten', () => {
  it(
    'beyond their number, the oldest first, and never one that runs',
    scenario(
      cluster => {
        cluster.submit('runs', 1)
        for (const id of ['a', 'b', 'c', 'd']) cluster.submit(id, 0)
        cluster.settle()
        assert.deepEqual(ids(cluster), ['runs', 'c', 'd'])
      },
      { limits: { finishedJobsMax: 2, historyJobsMax: 0 } },
    ),
  )

  it(
    'beyond their age',
    scenario(
      cluster => {
        cluster.submit('a', 0)
        cluster.advance(600)
        cluster.submit('b', 0)
        cluster.advance(500)
        assert.deepEqual(ids(cluster), ['b'])
      },
      { limits: { finishedJobAgeMs: 1000 } },
    ),
  )

  it(
    'when their results take too much, with all that they held',
    scenario(
      cluster => {
        const worker = cluster.join('w1')
        cluster.submit('first', 1)
        for (const id of ['a', 'b', 'c']) cluster.submit(id, 4)
        cluster.finishAll()
        cluster.settle()
        // Whoever waited for them may still read them for a while.
        assert.deepEqual(ids(cluster), ['first', 'a', 'b', 'c'])
        cluster.advance(60_001)
        assert.deepEqual(ids(cluster), ['b', 'c'])
        assert(cluster.state.jobs.resultBytes <= 200)
        assert.equal(worker.lanes.size, 0)
      },
      { limits: { resultBytesMax: 200, historyJobsMax: 0 } },
    ),
  )

  it(
    'in pieces, so that no turn takes long',
    scenario(
      cluster => {
        for (let i = 0; i < 1200; i++) cluster.ask({ kind: 'submitJob', plan: plan(`job-${i}`), inputs: [inputs(0)] })
        cluster.settle()
        assert.equal(cluster.state.jobs.finished.size, 700)
        cluster.settle()
        assert.equal(cluster.state.jobs.finished.size, 200)
        cluster.settle()
        assert.equal(cluster.state.jobs.finished.size, 0)
      },
      { checking: false, limits: { finishedJobsMax: 0, historyJobsMax: 0 } },
    ),
  )
})

describe('a snapshot', () => {
  /** A state with something of everything. */
  const everything = (cluster: Harness): void => {
    const worker = cluster.join('w1', 8)
    cluster.submit('done', 2)
    cluster.finishAll()
    cluster.ask({
      kind: 'submitJob',
      plan: plan('blocks', { stages: [stage(), stage({ after: [0] })] }),
      inputs: [inputs(2, { blocks: [block(0, 'in', 'w1')] }), inputs(1, { stage: 1 })],
    })
    cluster.submit('failing', 4, { session: 'session-2', stages: [stage({ task: 'failing', retries: 2, backoffMs: 500 })] })
    cluster.end(worker, [failed()], worker.busy.find(lane => lane.open[0]!.job === 'failing')!)
    cluster.ask({ kind: 'cancelTasks', job: 'failing', stage: 0, ranges: [{ first: 1, count: 1 }] })
    cluster.join('w2', 1)
    cluster.ask({ kind: 'drainWorker', worker: 'w2' })
    cluster.ask({ kind: 'putProgram', program: 'b'.repeat(64), bytes: Buffer.from('idle') })
  }

  it(
    'holds everything, so that the cluster goes on from it as from its journal',
    scenario(cluster => {
      everything(cluster)
      cluster.state = decodeSnapshot(encodeSnapshot(cluster.state))
      cluster.settle()
      cluster.advance(5000)
      cluster.finishAll()
      assert.equal(cluster.jobState('blocks'), 'succeeded')
      assert.equal(cluster.jobState('failing'), 'succeeded')
    }),
  )

  it(
    'of a newer release is refused, and so is nonsense',
    scenario(cluster => {
      everything(cluster)
      const bytes = encodeSnapshot(cluster.state)
      assert.equal(bytes[0], recordVersion)
      const newer = Buffer.from(bytes)
      newer[0] = recordVersion + 1
      assert.throws(() => decodeSnapshot(newer), { code: 'JOURNAL_VERSION' })
      assert.throws(() => decodeSnapshot(bytes.subarray(0, bytes.length - 1)), { code: 'FRAME_MALFORMED' })
      assert.throws(() => decodeSnapshot(Buffer.concat([bytes, Buffer.from([0])])), { code: 'FRAME_MALFORMED' })
    }),
  )
})

describe('a record that does not fit the state', () => {
  it(
    'is a broken assumption, whoever wrote it',
    scenario(cluster => {
      cluster.join('w1')
      cluster.submit('job', 1)
      const [assigned] = cluster.of('TasksAssigned')
      const broken: [Parameters<Harness['emit']>[0], RegExp][] = [
        [
          { kind: 'LeaderClaimed', cluster: 'cluster-1', epoch: 1, leader: 'x', pid: 1, address: '', release: '', atMs: 0 },
          /epoch 1 claimed after 1/,
        ],
        [
          { kind: 'LeaderClaimed', cluster: 'other', epoch: 2, leader: 'x', pid: 1, address: '', release: '', atMs: 0 },
          /cluster other claimed/,
        ],
        [{ ...assigned!, worker: 'nobody' }, /unknown worker/],
        [assigned!, /are not ready/],
        [{ kind: 'LaneVacated', lane: 5 }, /no lane 5/],
        [{ kind: 'TasksFinished', lane: 5, count: 1, payload: 99, bytes: 1, blocks: [] }, /no lane 5/],
        [{ kind: 'TasksFinished', lane: assigned!.lane, count: 2, payload: 99, bytes: 1, blocks: [] }, /has no 2 tasks/],
        [{ kind: 'WorkerLost', worker: 'nobody', incarnation: 1, reason: '' }, /no worker nobody/],
        [
          {
            kind: 'WorkerJoined',
            worker: 'w1',
            incarnation: 9,
            boot: '',
            capacity: { cpuMillis: 0, memoryBytes: 0, gpuMillis: 0, named: [] },
            host: '',
            pid: 1,
            blocks: '',
            labels: [],
          },
          /joined twice/,
        ],
        [{ kind: 'JobCancelled', job: 'nobody', reason: '' }, /no job nobody/],
        [{ kind: 'JobFinished', job: 'nobody', state: 'failed' }, /no job nobody/],
        [{ kind: 'JobsForgotten', jobs: ['nobody'] }, /no job nobody/],
        [{ kind: 'StageSealed', job: 'job', stage: 9 }, /no stage 9/],
        [{ kind: 'ProgramForgotten', program: 'x' }, /no program x/],
      ]
      const state = cluster.state
      for (const [record, pattern] of broken) {
        cluster.state = decodeSnapshot(encodeSnapshot(state))
        const records = cluster.records.length
        assert.throws(() => cluster.emit(record), pattern)
        assert.equal(cluster.records.length, records)
      }
      cluster.state = state
    }),
  )
})

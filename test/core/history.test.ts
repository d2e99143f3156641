// Shows what becomes of finished jobs that are no longer kept whole: what is known of them, what goes when, and what can still be asked of them.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { failuresKeptMax, keptJob, piecesKeptMax, stepsKeptMax } from '../../src/core/history/kept.ts'
import { HistoryRegister } from '../../src/core/history/state.ts'
import { decodeSnapshot, encodeSnapshot } from '../../src/core/snapshot.ts'
import { jobOf } from '../../src/core/views/jobs.ts'
import { Story } from '../../src/core/views/story.ts'
import { Steps } from '../fakes/flows.ts'
import { block, chunkOf, inputs, plan, stage } from '../fakes/plans.ts'
import { failed, finished } from '../fakes/worker.ts'
import { type Harness, scenario } from './harness.ts'

const ids = (cluster: Harness): string[] => [...cluster.state.jobs.byId.keys()]
const archived = (cluster: Harness): string[] => cluster.ledger.archived

describe('finished jobs go into the history', () => {
  it(
    'beyond their number, the oldest first, and from there too',
    scenario(
      cluster => {
        cluster.submit('runs', 1)
        for (const id of ['a', 'b', 'c', 'd', 'e', 'f']) cluster.submit(id, 0)
        cluster.settle()
        assert.deepEqual(ids(cluster), ['runs', 'e', 'f'])
        assert.deepEqual(archived(cluster), ['b', 'c', 'd'])
      },
      { limits: { finishedJobsMax: 2, historyJobsMax: 3 } },
    ),
  )

  it(
    'together, where so few are beyond their number that it hardly matters',
    scenario(
      cluster => {
        const ended = (): number => cluster.state.jobs.finished.size
        for (let job = 0; job < 65; job++) cluster.submit(`job-${job}`, 0)
        cluster.settle()
        assert.deepEqual([ended(), cluster.state.history.size], [65, 0])
        cluster.submit('one-more', 0)
        cluster.settle()
        assert.deepEqual([ended(), cluster.state.history.size], [64, 2])
      },
      { limits: { finishedJobsMax: 64 } },
    ),
  )

  it(
    'and are known there: the same is the same, another is refused, and what has ended stays as it ended',
    scenario(
      cluster => {
        cluster.submit('a', 0, { labels: ['x'] })
        assert.deepEqual(archived(cluster), ['a'])
        const records = cluster.records.length
        assert.deepEqual(cluster.ask({ kind: 'submitJob', plan: plan('a', { labels: ['x'] }), inputs: [inputs(0)] }), {
          kind: 'submitted',
          existing: true,
        })
        const other = { ...plan('a'), contentHash: 'f'.repeat(64) }
        assert.equal(cluster.refused({ kind: 'submitJob', plan: other, inputs: [inputs(0)] }), 'JOB_ID_REUSED')
        assert.equal(cluster.refused({ kind: 'addTasks', job: 'a', inputs: inputs(1) }), 'TASK_CANCELLED')
        assert.equal(cluster.refused({ kind: 'signal', job: 'a', name: 'go', signal: 's', items: chunkOf(['x']) }), 'JOB_ENDED')
        assert.deepEqual(cluster.ask({ kind: 'cancelJob', job: 'a', reason: '' }), { kind: 'done' })
        assert.deepEqual(cluster.ask({ kind: 'cancelTasks', job: 'a', stage: 0, ranges: [] }), { kind: 'done' })
        assert.deepEqual(cluster.ask({ kind: 'releaseResults', job: 'a', stage: 0, ranges: [{ first: 0, count: 1 }] }), { kind: 'done' })
        assert.equal(cluster.records.length, records)
        assert.throws(() => jobOf(cluster.state, 'a'), { code: 'JOB_ARCHIVED', id: 'a' })
        assert.throws(() => jobOf(cluster.state, 'b'), { code: 'NOT_FOUND' })
        const story = new Story('a', 100)
        for (const [at, record] of cluster.records.entries()) story.next(at + 1, 1, record)
        assert.match(story.lines.at(-1)!.text, /moved into the history/)
      },
      { limits: { finishedJobsMax: 0 } },
    ),
  )

  it(
    'until they are too old, wherever they are; then their ids are free',
    scenario(
      cluster => {
        for (const id of ['a', 'b', 'c']) cluster.submit(id, 0)
        assert.deepEqual([ids(cluster), archived(cluster)], [['c'], ['a', 'b']])
        cluster.advance(5000)
        assert.deepEqual([ids(cluster), archived(cluster)], [['c'], ['a', 'b']])
        // A row says in which second its job ended: it goes up to one later.
        cluster.advance(1001)
        assert.deepEqual([ids(cluster), archived(cluster)], [[], []])
        assert.deepEqual(cluster.submit('a', 0), { kind: 'submitted', existing: false })
      },
      { limits: { finishedJobsMax: 1, finishedJobAgeMs: 5000 } },
    ),
  )

  it(
    'in pieces, so that no turn takes long, and leave in pieces',
    scenario(
      cluster => {
        for (let i = 0; i < 1200; i++) cluster.ask({ kind: 'submitJob', plan: plan(`job-${i}`), inputs: [inputs(0)] })
        const sizes: number[][] = []
        for (let turn = 0; turn < 3; turn++) {
          cluster.settle()
          sizes.push([cluster.state.jobs.finished.size, cluster.state.history.size])
        }
        assert.deepEqual(sizes, [
          [700, 400],
          [200, 400],
          [0, 400],
        ])
      },
      { checking: false, limits: { finishedJobsMax: 0, historyJobsMax: 400 } },
    ),
  )

  it(
    'with results and their blocks, until these take too much: they go before the rest, and not before whoever waited could read them',
    scenario(
      cluster => {
        const worker = cluster.join('w1')
        for (const id of ['a', 'b', 'c']) {
          cluster.submit(id, 1)
          cluster.end(worker, [finished(worker.busy[0]!, 1, [block(0, `block of ${id}`, 'w1')])])
        }
        assert.deepEqual(archived(cluster), ['a', 'b', 'c'])
        const { history, jobs } = cluster.state
        assert.deepEqual([history.bytes, history.blocks.size], [jobs.resultBytes, 3])
        assert.equal(cluster.state.blockUses.size, 3)
        cluster.advance(60_000)
        assert.equal(history.emptiedTo, 1)
        cluster.advance(1001)
        assert.equal(history.emptiedTo, 3)
        assert.deepEqual([...history.blocks.keys()], [3])
        assert.deepEqual([cluster.state.blockUses.size, cluster.state.blockDrops.length], [1, 2])
        assert.deepEqual(archived(cluster), ['a', 'b', 'c'])
      },
      { limits: { finishedJobsMax: 0, resultBytesMax: 20 } },
    ),
  )
})

describe('a row of the history', () => {
  it(
    'says how the job ended, and is bounded in failures and in pieces of results',
    scenario(
      cluster => {
        const worker = cluster.join('w1')
        cluster.submit('failing', failuresKeptMax + 5)
        for (let i = 0; i < failuresKeptMax + 5; i++) cluster.end(worker, [failed('TASK_FAILED', false)])
        cluster.submit('large', piecesKeptMax + 1)
        for (let i = 0; i <= piecesKeptMax; i++) cluster.finish(worker)
        cluster.settle()
        const [failing, large] = cluster.rows.rows
        assert.deepEqual([failing!.kept.view.state, failing!.kept.view.archived], ['failed', true])
        assert.equal(failing!.kept.view.tasks.failed, failuresKeptMax + 5)
        assert.deepEqual(
          failing!.kept.stages[0]!.failures.map(({ index }) => index),
          Array.from({ length: failuresKeptMax }, (_, i) => i),
        )
        assert.deepEqual([large!.kept.view.state, large!.kept.stages[0]!.results, large!.payloads], ['succeeded', [], []])
        assert.equal(cluster.state.jobs.resultBytes, 0)
      },
      { checking: false, limits: { finishedJobsMax: 0 } },
    ),
  )

  it(
    'of a workflow has its first steps, and of a large one the results that are the workflow’s',
    scenario(
      cluster => {
        const worker = cluster.join('w1')
        const flow = new Steps()
        const wide = flow.add([], { task: 'wide', count: piecesKeptMax })
        flow.output = flow.add([['after', wide]], { task: 'last' })
        for (let i = 0; i < stepsKeptMax; i++) flow.add([], { task: 'side' })
        cluster.ask({ kind: 'submitJob', plan: plan('flow', { stages: flow.stages }), inputs: flow.inputs, flow: flow.plan })
        cluster.settle()
        while (worker.busy.length > 0) cluster.finish(worker)
        cluster.settle()
        const [row] = cluster.rows.rows
        assert.deepEqual([row!.kept.view.state, row!.kept.steps?.length, row!.payloads.length], ['succeeded', stepsKeptMax, 1])
        const { output } = row!.kept.view.flow!
        assert.equal(row!.kept.stages[output!.stage]!.results[0]!.payload, row!.payloads[0])
      },
      { checking: false, limits: { finishedJobsMax: 0 } },
    ),
  )

  it(
    'of a retried job has no failure that was none',
    scenario(cluster => {
      const worker = cluster.join('w1')
      cluster.submit('job', 1, { stages: [stage({ retries: 1 })] })
      cluster.end(worker, [failed()])
      cluster.advance(60_000)
      if (worker.busy.length === 0) cluster.join('w2')
      cluster.finishAll()
      assert.deepEqual(keptJob(jobOf(cluster.state, 'job')).stages[0]!.failures, [])
    }),
  )
})

describe('the register of the history', () => {
  const hash = (i: number): string => i.toString(16).padStart(8, '0').padEnd(64, '0')

  it('knows many jobs by their ids, also after a snapshot, and forgets the first', () => {
    const register = new HistoryRegister()
    for (let i = 0; i < 5000; i++) register.add(`job-${i}`, hash(i), i * 1000, i % 7)
    for (let i = 0; i < 1500; i++) {
      register.empty()
      register.forget()
    }
    const restored = new HistoryRegister()
    restored.restore(register.first, register.emptiedTo, register.words())
    for (const one of [register, restored]) {
      assert.deepEqual([one.first, one.size, one.end], [1501, 3500, 5001])
      for (let i = 0; i < 5000; i++) {
        assert.equal(one.find(`job-${i}`), i < 1500 ? undefined : i + 1)
        if (i < 1500) continue
        assert.deepEqual([one.finishedAtMs(i + 1), one.bytesAt(i + 1)], [i * 1000, i % 7])
        assert.equal(one.known(`job-${i}`, hash(i)), 'same')
        assert.equal(one.known(`job-${i}`, hash(i + 1)), 'another')
      }
      assert.equal(one.known('job-5000', hash(5000)), undefined)
    }
    assert.deepEqual(restored.words(), register.words())
    for (let i = 1500; i < 5000; i++) {
      register.empty()
      register.forget()
    }
    assert.deepEqual([register.size, register.bytes, register.end], [0, 0, 5001])
    register.add('next', hash(1), 1, 1)
    assert.equal(register.find('next'), 5001)
  })

  it('does not grow a snapshot by more than 20 bytes for each job', () => {
    let before = 0
    let after = 0
    scenario(
      cluster => {
        cluster.settle()
        before = encodeSnapshot(cluster.state).length
        for (let i = 0; i < 400; i++) cluster.ask({ kind: 'submitJob', plan: plan(`job-${i}`), inputs: [inputs(0)] })
        cluster.settle()
        after = encodeSnapshot(cluster.state).length
        assert.equal(decodeSnapshot(encodeSnapshot(cluster.state)).history.size, 400)
      },
      { checking: false, limits: { finishedJobsMax: 0 } },
    )()
    assert(after - before <= 400 * 20 + 20, `${after - before} bytes for 400 jobs`)
  })
})

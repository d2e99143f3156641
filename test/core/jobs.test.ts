// Shows what becomes of jobs: submitted, fed, cancelled, chained, released, forgotten, ended with their session.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { block, blockId, inputs, plan, stage } from '../fakes/plans.ts'
import { failed, finished } from '../fakes/worker.ts'
import { scenario } from './harness.ts'

describe('a job that is submitted', () => {
  it(
    'runs to its end and keeps its results',
    scenario(cluster => {
      const worker = cluster.join('w1', 2)
      assert.deepEqual(cluster.submit('job', 5), { kind: 'submitted', existing: false })
      assert.equal(cluster.jobState('job'), 'running')
      cluster.finishAll()
      assert.equal(cluster.jobState('job'), 'succeeded')
      assert.equal(cluster.results('job').size, 5)
      assert.equal(worker.lanes.size, 0)
    }),
  )

  it(
    'is the same job when it is submitted again with the same content',
    scenario(cluster => {
      cluster.submit('job', 3)
      const records = cluster.records.length
      assert.deepEqual(cluster.submit('job', 3), { kind: 'submitted', existing: true })
      assert.equal(cluster.records.length, records)
    }),
  )

  it(
    'is refused when its id stands for something else',
    scenario(cluster => {
      cluster.submit('job', 3)
      assert.equal(cluster.refused({ kind: 'submitJob', plan: plan('job', { content: 'other' }), inputs: [inputs(3)] }), 'JOB_ID_REUSED')
    }),
  )

  it(
    'with an empty array ends at once',
    scenario(cluster => {
      cluster.submit('job', 0)
      assert.equal(cluster.jobState('job'), 'succeeded')
      assert.deepEqual(cluster.of('TasksAdded'), [])
    }),
  )

  it(
    'is refused while its program is not known',
    scenario(cluster => {
      const other = plan('job', { stages: [stage({ program: 'b'.repeat(64) })] })
      assert.equal(cluster.refused({ kind: 'submitJob', plan: other, inputs: [inputs(1)] }), 'PROGRAM_MISSING')
    }),
  )

  it(
    'is refused with a plan that makes no sense',
    scenario(cluster => {
      const submit = (options: Parameters<typeof plan>[1], given = [inputs(1)]): string =>
        cluster.refused({ kind: 'submitJob', plan: plan('job', options), inputs: given })
      const twice = { cpuMillis: 0, memoryBytes: 0, gpuMillis: 0, named: [1, 2].map(millis => ({ name: 'disk', millis })) }
      assert.equal(submit({ stages: [] }, []), 'INVALID_ARGUMENT')
      assert.equal(submit({ priority: 101 }), 'INVALID_ARGUMENT')
      assert.equal(submit({ stages: [stage({ after: [0] })] }), 'INVALID_ARGUMENT')
      assert.equal(submit({ stages: [stage(), stage({ after: [0, 0] })] }), 'INVALID_ARGUMENT')
      assert.equal(submit({ stages: [stage({ resources: twice })] }), 'INVALID_RESOURCES')
      assert.equal(submit({}, [inputs(1, { stage: 1 })]), 'INVALID_ARGUMENT')
      assert.equal(submit({}, [inputs(1, { first: 3 })]), 'INVALID_ARGUMENT')
    }),
  )

  it(
    'is refused with inputs that are no chunk, or blocks of tasks that are not there',
    scenario(cluster => {
      const job = plan('job')
      for (const items of [Buffer.alloc(0), Buffer.from([5, 1]), Buffer.from([1, 3, 0])]) {
        assert.equal(cluster.refused({ kind: 'submitJob', plan: job, inputs: [{ ...inputs(1), items }] }), 'FRAME_MALFORMED')
      }
      for (const blocks of [[block(2, 'x', 'w1')], [block(0, 'x', 'w1'), block(0, 'y', 'w1')]]) {
        assert.equal(cluster.refused({ kind: 'submitJob', plan: job, inputs: [inputs(2, { blocks })] }), 'FRAME_MALFORMED')
      }
    }),
  )
})

describe('an open array', () => {
  it(
    'grows piece by piece and ends when it is sealed',
    scenario(cluster => {
      cluster.join('w1')
      cluster.submit('job', 2, { open: true })
      cluster.finishAll()
      assert.equal(cluster.jobState('job'), 'running')
      cluster.ask({ kind: 'addTasks', job: 'job', inputs: inputs(3, { first: 2, open: true }) })
      cluster.settle()
      cluster.finishAll()
      assert.equal(cluster.results('job').size, 5)
      cluster.ask({ kind: 'addTasks', job: 'job', inputs: inputs(0, { first: 5 }) })
      cluster.settle()
      assert.equal(cluster.jobState('job'), 'succeeded')
    }),
  )

  it(
    'acknowledges again what was sent again, and takes the seal that came with it',
    scenario(cluster => {
      cluster.submit('job', 2, { open: true })
      const again = { kind: 'addTasks' as const, job: 'job', inputs: inputs(2, { open: true }) }
      assert.deepEqual(cluster.ask(again), { kind: 'done' })
      assert.equal(cluster.stage('job').added, 2)
      assert.deepEqual(cluster.ask({ ...again, inputs: inputs(2) }), { kind: 'done' })
      assert.equal(cluster.stage('job').sealed, true)
      assert.deepEqual(cluster.ask({ ...again, inputs: inputs(2) }), { kind: 'done' })
      assert.equal(cluster.of('StageSealed').length, 1)
    }),
  )

  it(
    'refuses gaps, tasks after the seal, and tasks of jobs and stages that are not there',
    scenario(cluster => {
      cluster.submit('job', 2, { open: true })
      const add = (job: string, first: number, number = 0): string =>
        cluster.refused({ kind: 'addTasks', job, inputs: inputs(2, { first, stage: number }) })
      assert.equal(add('job', 3), 'INVALID_ARGUMENT')
      assert.equal(add('job', 1), 'INVALID_ARGUMENT')
      assert.equal(add('job', 2, 1), 'INVALID_ARGUMENT')
      assert.equal(add('nobody', 0), 'NOT_FOUND')
      cluster.ask({ kind: 'addTasks', job: 'job', inputs: inputs(0, { first: 2 }) })
      assert.equal(add('job', 2), 'INVALID_ARGUMENT')
      cluster.cancel('job')
      assert.equal(add('job', 2), 'TASK_CANCELLED')
    }),
  )
})

describe('a job that is cancelled', () => {
  it(
    'ends at once when nothing of it runs',
    scenario(cluster => {
      cluster.submit('job', 4)
      cluster.cancel('job', 'because')
      assert.equal(cluster.jobState('job'), 'cancelled')
      assert.equal(cluster.stage('job').cancelled, 4)
      assert.equal(cluster.state.jobs.byId.get('job')!.reason, 'because')
      assert.equal(cluster.of('JobFinished').length, 1)
    }),
  )

  it(
    'ends when what ran has stopped, and takes no result or failure from then on',
    scenario(cluster => {
      const worker = cluster.join('w1', 3)
      cluster.submit('job', 5, { stages: [stage({ retries: 3 })] })
      cluster.cancel('job')
      assert.equal(cluster.of('JobFinished').length, 0)
      cluster.finish(worker)
      cluster.end(worker, [failed()])
      assert.equal(cluster.of('JobFinished').length, 0)
      cluster.end(worker, [{ kind: 'skipped', count: 1 }])
      assert.equal(cluster.of('JobFinished')[0]!.state, 'cancelled')
      assert.equal(cluster.stage('job').cancelled, 5)
      assert.equal(cluster.results('job').size, 0)
    }),
  )

  it(
    'does not wait for the pauses of its failed tasks',
    scenario(cluster => {
      const worker = cluster.join('w1')
      cluster.submit('job', 2, { stages: [stage({ retries: 3, backoffMs: 60_000, backoffMsMax: 60_000 })] })
      cluster.end(worker, [failed()])
      assert.equal(cluster.stage('job').delayedCount, 1)
      cluster.cancel('job')
      assert.equal(cluster.state.delayed.size, 0)
      cluster.end(worker, [{ kind: 'skipped', count: 1 }])
      assert.equal(cluster.jobState('job'), 'cancelled')
      assert.equal(cluster.state.jobs.inputBytes, 0)
    }),
  )

  it(
    'is cancelled once; a job that ended stays as it is; a job that is not there is not found',
    scenario(cluster => {
      cluster.join('w1')
      cluster.submit('one', 1)
      cluster.finishAll()
      assert.deepEqual(cluster.cancel('one'), { kind: 'done' })
      assert.equal(cluster.jobState('one'), 'succeeded')
      cluster.submit('two', 1)
      cluster.cancel('two')
      assert.deepEqual(cluster.cancel('two'), { kind: 'done' })
      assert.equal(cluster.of('JobCancelled').length, 1)
      assert.equal(cluster.refused({ kind: 'cancelJob', job: 'three', reason: '' }), 'NOT_FOUND')
    }),
  )

  it(
    'ends when the worker that ran it is lost',
    scenario(cluster => {
      const worker = cluster.join('w1', 2)
      cluster.submit('job', 2)
      cluster.cancel('job')
      cluster.lose(worker)
      assert.equal(cluster.of('JobFinished').length, 1)
      assert.equal(cluster.of('TaskFailed').length, 0)
    }),
  )

  it(
    'can be submitted anew under its id only when it is forgotten, and old pauses do not touch the new one',
    scenario(
      cluster => {
        const worker = cluster.join('w1')
        cluster.submit('job', 1, { stages: [stage({ retries: 1, backoffMs: 5000 })] })
        cluster.end(worker, [failed()])
        cluster.cancel('job')
        cluster.submit('other', 1)
        cluster.end(worker, [failed('TASK_FAILED', false)])
        assert.equal(cluster.jobState('job'), undefined)
        cluster.submit('job', 1, { content: 'new' })
        cluster.advance(10_000)
        assert.equal(cluster.stage('job').delayedCount, 0)
        cluster.finishAll()
        assert.equal(cluster.jobState('job'), 'succeeded')
      },
      { limits: { finishedJobsMax: 1, historyJobsMax: 0 } },
    ),
  )
})

describe('tasks that are cancelled one by one', () => {
  const cancelTasks = (first: number, count: number) => ({ kind: 'cancelTasks' as const, job: 'job', stage: 0, ranges: [{ first, count }] })

  it(
    'are taken from the line, from their pause, and from their worker',
    scenario(cluster => {
      const worker = cluster.join('w1', 2)
      cluster.submit('job', 6, { stages: [stage({ retries: 1, backoffMs: 60_000 })] })
      cluster.end(worker, [failed()])
      // Now 0 pauses, 1 and 2 run, 3 to 5 wait.
      cluster.ask(cancelTasks(0, 4))
      cluster.settle()
      const { cancelled, delayedCount, readyCount, runningCount } = cluster.stage('job')
      assert.deepEqual(
        { cancelled, delayedCount, readyCount, runningCount },
        { cancelled: 2, delayedCount: 0, readyCount: 2, runningCount: 2 },
      )
      cluster.finish(worker)
      assert.equal(cluster.results('job').size, 0)
      cluster.end(worker, [{ kind: 'skipped', count: 1 }])
      cluster.finishAll()
      assert.equal(cluster.jobState('job'), 'succeeded')
      assert.deepEqual([...cluster.results('job').keys()], [4, 5])
    }),
  )

  it(
    'do not come back with the tasks that a worker gives back, nor with its loss, nor by a failure',
    scenario(cluster => {
      const [one, two, three] = [cluster.join('w1'), cluster.join('w2'), cluster.join('w3')]
      cluster.submit('job', 3, { stages: [stage({ retries: 1 })] })
      cluster.ask(cancelTasks(0, 3))
      cluster.giveBack(one, one.busy[0]!, 0)
      cluster.lose(two)
      cluster.end(three, [failed()])
      assert.equal(cluster.stage('job').cancelled, 3)
      assert.equal(cluster.of('TaskFailed').length, 0)
      assert.equal(cluster.jobState('job'), 'succeeded')
    }),
  )

  it(
    'are cut out of results that came together',
    scenario(cluster => {
      const worker = cluster.join('w1')
      cluster.submit('first', 1)
      cluster.finishAll()
      cluster.submit('job', 8)
      const lane = worker.busy[0]!
      assert.equal(lane.open.length, 8)
      cluster.ask({
        ...cancelTasks(2, 2),
        ranges: [
          { first: 2, count: 2 },
          { first: 6, count: 9 },
          { first: 20, count: 5 },
        ],
      })
      cluster.finish(worker, 8)
      assert.deepEqual([...cluster.results('job').keys()], [0, 1, 4, 5])
      assert.deepEqual(
        cluster.records.slice(-5).map(record => record.kind),
        ['TasksFinished', 'TasksSkipped', 'TasksFinished', 'TasksSkipped', 'JobFinished'],
      )
      assert.equal(cluster.stage('job').cancelled, 4)
    }),
  )

  it(
    'leave a part of the tasks that are given back',
    scenario(cluster => {
      const worker = cluster.join('w1')
      cluster.submit('first', 1)
      cluster.finishAll()
      cluster.submit('job', 8)
      cluster.ask({
        ...cancelTasks(2, 2),
        ranges: [
          { first: 2, count: 2 },
          { first: 5, count: 1 },
        ],
      })
      cluster.giveBack(worker, worker.busy[0]!, 0)
      assert.equal(cluster.stage('job').cancelled, 3)
      cluster.finishAll()
      assert.deepEqual([...cluster.results('job').keys()].sort(), [0, 1, 4, 6, 7])
    }),
  )

  it(
    'may be none, of a job that is over, or of one that is not there',
    scenario(cluster => {
      assert.equal(cluster.refused(cancelTasks(0, 1)), 'NOT_FOUND')
      cluster.submit('job', 1)
      assert.deepEqual(cluster.ask(cancelTasks(1, 5)), { kind: 'done' })
      assert.equal(cluster.of('TasksCancelled').length, 0)
      cluster.cancel('job')
      assert.deepEqual(cluster.ask(cancelTasks(0, 1)), { kind: 'done' })
    }),
  )
})

describe('stages that wait for others', () => {
  const chain = { stages: [stage({ task: 'a' }), stage({ task: 'b', after: [0] }), stage({ task: 'c', after: [0, 1] })] }

  it(
    'begin when every task before them succeeded',
    scenario(cluster => {
      const worker = cluster.join('w1', 4)
      cluster.submit('job', 2, chain)
      assert.deepEqual(
        worker.tasks.map(task => task.stage),
        [0, 0],
      )
      cluster.finish(worker)
      assert.deepEqual(
        worker.tasks.map(task => task.stage),
        [0],
      )
      cluster.finish(worker)
      assert.deepEqual(
        worker.tasks.map(task => task.stage),
        [1, 1],
      )
      cluster.finishAll()
      assert.equal(cluster.jobState('job'), 'succeeded')
    }),
  )

  it(
    'are cancelled when a task before them failed, and the job has failed',
    scenario(cluster => {
      const worker = cluster.join('w1')
      cluster.submit('job', 2, chain)
      cluster.end(worker, [failed()])
      cluster.finish(worker)
      assert.equal(cluster.jobState('job'), 'failed')
      assert.deepEqual(
        [0, 1, 2].map(number => cluster.stage('job', number).cancelled),
        [0, 2, 2],
      )
    }),
  )

  it(
    'are cancelled when a task before them was cancelled, and so is the job',
    scenario(cluster => {
      cluster.submit('job', 2, chain)
      cluster.ask({ kind: 'cancelTasks', job: 'job', stage: 0, ranges: [{ first: 0, count: 2 }] })
      cluster.settle()
      assert.equal(cluster.jobState('job'), 'cancelled')
    }),
  )

  it(
    'are cancelled along the chain even where a stage between has no tasks',
    scenario(cluster => {
      const worker = cluster.join('w1')
      const job = plan('job', { stages: [stage({ task: 'a' }), stage({ task: 'b', after: [0] }), stage({ task: 'c', after: [1] })] })
      cluster.ask({ kind: 'submitJob', plan: job, inputs: [inputs(1), inputs(0, { stage: 1 }), inputs(1, { stage: 2 })] })
      cluster.settle()
      assert.deepEqual(
        worker.tasks.map(task => task.stage),
        [0],
      )
      cluster.end(worker, [failed()])
      assert.equal(cluster.jobState('job'), 'failed')
      assert.equal(cluster.stage('job', 2).cancelled, 1)
    }),
  )

  it(
    'wait through a stage without tasks',
    scenario(cluster => {
      const worker = cluster.join('w1')
      const job = plan('job', { stages: [stage({ task: 'a' }), stage({ task: 'b', after: [0] }), stage({ task: 'c', after: [1] })] })
      cluster.ask({ kind: 'submitJob', plan: job, inputs: [inputs(1), inputs(0, { stage: 1 }), inputs(1, { stage: 2 })] })
      cluster.settle()
      cluster.finish(worker)
      assert.deepEqual(
        worker.tasks.map(task => task.stage),
        [2],
      )
      cluster.finish(worker)
      assert.equal(cluster.jobState('job'), 'succeeded')
    }),
  )

  it(
    'are cancelled with the job, tasks or none, blocked or not',
    scenario(cluster => {
      cluster.join('w1')
      const job = plan('job', { stages: [stage(), stage({ after: [0] }), stage({ after: [0, 1] })] })
      cluster.ask({ kind: 'submitJob', plan: job, inputs: [inputs(0, { open: true }), inputs(2, { stage: 1 })] })
      cluster.settle()
      cluster.cancel('job')
      assert.equal(cluster.of('JobFinished')[0]!.state, 'cancelled')
    }),
  )
})

describe('results that are released', () => {
  it(
    'go payload by payload, and only the summary of the job remains',
    scenario(cluster => {
      const worker = cluster.join('w1')
      cluster.submit('first', 1)
      cluster.finishAll()
      cluster.submit('job', 8)
      cluster.finish(worker, 4)
      cluster.finish(worker, 3)
      cluster.end(worker, [failed()])
      const release = (first: number, count: number): void => {
        cluster.ask({ kind: 'releaseResults', job: 'job', stage: 0, ranges: [{ first, count }] })
        cluster.settle()
      }
      release(0, 2)
      release(0, 2)
      assert.equal(cluster.of('ResultsReleased').length, 1)
      assert.equal(cluster.stage('job').results.length, 2)
      release(1, 4)
      assert.equal(cluster.stage('job').results.length, 1)
      release(0, 1000)
      assert.equal(cluster.stage('job').results.length, 0)
      assert.equal(cluster.stage('job').troubles.size, 0)
      assert.equal(cluster.stage('job').succeeded, 7)
      assert.equal(cluster.jobState('job'), 'failed')
    }),
  )

  it(
    'may be of jobs, stages and tasks that are not there',
    scenario(cluster => {
      cluster.submit('job', 1)
      const records = cluster.records.length
      for (const [job, number, first] of [
        ['job', 0, 7],
        ['job', 4, 0],
        ['nobody', 0, 0],
      ] as const) {
        const release = { kind: 'releaseResults' as const, job, stage: number, ranges: [{ first, count: 1 }] }
        assert.deepEqual(cluster.ask(release), { kind: 'done' })
      }
      assert.equal(cluster.records.length, records)
    }),
  )

  it(
    'let go of their blocks, each once nobody names it',
    scenario(cluster => {
      const worker = cluster.join('w1')
      const shared = [block(0, 'input', 'w1'), block(1, 'input', 'w1')]
      cluster.ask({ kind: 'submitJob', plan: plan('job'), inputs: [inputs(2, { blocks: shared })] })
      cluster.settle()
      const drops = (): string[] => cluster.state.blockDrops.splice(0).map(drop => drop.block)
      const finishWith = (name: string, index: number): void => {
        const [lane] = worker.busy
        cluster.end(worker, [finished(lane!, 1, [block(index, name, 'w1')])])
      }
      finishWith('result-0', 0)
      assert.deepEqual(drops(), [])
      finishWith('result-1', 1)
      assert.deepEqual(drops(), [blockId('input')])
      cluster.ask({ kind: 'releaseResults', job: 'job', stage: 0, ranges: [{ first: 0, count: 2 }] })
      assert.deepEqual(drops(), [blockId('result-0'), blockId('result-1')])
    }),
  )
})

describe('a session that ends', () => {
  const endSession = { kind: 'endSession' as const, session: 'session-1' }

  it(
    'takes its jobs with it, but not those that are detached and complete, and no others',
    scenario(cluster => {
      cluster.submit('attached', 1, { detached: false })
      cluster.submit('detached', 1)
      cluster.submit('detached-open', 1, { open: true })
      cluster.submit('of-another', 1, { session: 'session-2', detached: false })
      cluster.ask(endSession)
      cluster.settle()
      assert.deepEqual(
        ['attached', 'detached', 'detached-open', 'of-another'].map(job => cluster.jobState(job)),
        ['cancelled', 'running', 'cancelled', 'running'],
      )
    }),
  )

  it(
    'may have no jobs, or one that stops already',
    scenario(cluster => {
      assert.deepEqual(cluster.ask({ ...endSession, session: 'nobody' }), { kind: 'done' })
      cluster.join('w1')
      cluster.submit('job', 1, { detached: false })
      cluster.cancel('job')
      cluster.ask(endSession)
      assert.equal(cluster.of('JobCancelled').length, 1)
    }),
  )
})

describe('limits', () => {
  it(
    'refuse what is too much now, and take it later',
    scenario(
      cluster => {
        cluster.join('w1')
        const submit = (id: string, count: number) => ({ kind: 'submitJob' as const, plan: plan(id), inputs: [inputs(count)] })
        assert.equal(cluster.refused(submit('many', 11)), 'INVALID_ARGUMENT')
        cluster.submit('job', 6, { open: true })
        assert.equal(cluster.refused(submit('other', 5)), 'OVERLOADED')
        // Waiting would never help.
        assert.equal(cluster.refused(submit('too large for ever', 11)), 'INVALID_ARGUMENT')
        assert.equal(cluster.refused({ kind: 'addTasks', job: 'job', inputs: inputs(5, { first: 6 }) }), 'OVERLOADED')
        // What is there already is acknowledged, however full the cluster is.
        cluster.ask({ kind: 'addTasks', job: 'job', inputs: inputs(4, { first: 6 }) })
        assert.deepEqual(cluster.ask({ kind: 'addTasks', job: 'job', inputs: inputs(4, { first: 6 }) }), { kind: 'done' })
        cluster.settle()
        cluster.finishAll()
        assert.equal(cluster.submit('other', 5).kind, 'submitted')
      },
      { limits: { openTasksMax: 10 } },
    ),
  )

  it(
    'hold for bytes and for jobs, and name what is full',
    scenario(
      cluster => {
        const submit = (id: string, itemBytes: number) => ({
          kind: 'submitJob' as const,
          plan: plan(id),
          inputs: [inputs(1, { itemBytes })],
        })
        assert.equal(cluster.refused(submit('too large for ever', 1000)), 'INVALID_ARGUMENT')
        cluster.ask(submit('first', 300))
        const reply = cluster.ask(submit('large', 300))
        assert(reply.kind === 'refused' && /bytes of inputs/.test(reply.error.message) && reply.error.retryAfterMs === 100)
        cluster.submit('one')
        cluster.submit('two')
        assert.equal(cluster.refused(submit('three', 1)), 'OVERLOADED')
        cluster.cancel('one')
        assert.equal(cluster.submit('three').kind, 'submitted')
      },
      { limits: { inputBytesMax: 500, runningJobsMax: 2 } },
    ),
  )
})

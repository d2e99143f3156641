// Shows the answers to questions: jobs, tasks, workers, load, why something waits, and the story of any id.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { clusterLoad } from '../../src/core/observed/observed.ts'
import { failureOfTask, jobOf, jobsBelow, viewJob, viewTask } from '../../src/core/views/jobs.ts'
import { Story } from '../../src/core/views/story.ts'
import { why } from '../../src/core/views/why.ts'
import { viewWorkers } from '../../src/core/views/workers.ts'
import { type JobsQuery, laneText } from '../../src/protocol/index.ts'
import { amount, inputs, plan, program, stage } from '../fakes/plans.ts'
import { failed, finished } from '../fakes/worker.ts'
import { type Harness, scenario } from './harness.ts'

describe('the view of a job', () => {
  it(
    'counts its tasks, stage by stage and together',
    scenario(cluster => {
      const worker = cluster.join('w1')
      cluster.submit('job', 3, { labels: ['blue'], priority: 7, stages: [stage(), stage({ task: 'then', after: [0] })] })
      cluster.finish(worker)
      const view = viewJob(jobOf(cluster.state, 'job'))
      assert.deepEqual(view.tasks, { total: 6, waiting: 3, running: 2, succeeded: 1, failed: 0, cancelled: 0 })
      assert.deepEqual(
        view.stages.map(one => [one.task, one.sealed, one.tasks.total]),
        [
          ['work', true, 3],
          ['then', true, 3],
        ],
      )
      const { id, name, state, labels, priority, detached, submittedAtMs } = view
      assert.deepEqual(
        { id, name, state, labels, priority, detached, submittedAtMs },
        { id: 'job', name: 'work', state: 'running', labels: ['blue'], priority: 7, detached: true, submittedAtMs: cluster.nowMs },
      )
      assert.equal('finishedAtMs' in view || 'reason' in view, false)
    }),
  )

  it(
    'says when and why it ended',
    scenario(cluster => {
      cluster.submit('job')
      cluster.cancel('job', 'a whim')
      const view = viewJob(jobOf(cluster.state, 'job'))
      assert.deepEqual([view.state, view.reason, view.finishedAtMs], ['cancelled', 'a whim', cluster.nowMs])
      assert.throws(() => jobOf(cluster.state, 'nobody'), { code: 'NOT_FOUND' })
    }),
  )

  it(
    'is listed newest first, filtered, and page by page',
    scenario(cluster => {
      cluster.submit('a', 0, { name: 'resize', labels: ['x'] })
      cluster.submit('b', 1, { labels: ['x', 'y'] })
      cluster.submit('c', 1)
      cluster.cancel('c')
      const ids = (query: JobsQuery): string[] => {
        const below = query.before === undefined ? undefined : jobOf(cluster.state, query.before).number
        return jobsBelow(cluster.state, query, below, query.limit ?? 50).map(job => job.plan.job)
      }
      assert.deepEqual(ids({}), ['c', 'b', 'a'])
      assert.deepEqual(ids({ state: 'cancelled' }), ['c'])
      assert.deepEqual(ids({ name: 'resize' }), ['a'])
      assert.deepEqual(ids({ label: 'x' }), ['b', 'a'])
      assert.deepEqual(ids({ limit: 1 }), ['c'])
      assert.deepEqual(ids({ limit: 2, before: 'c' }), ['b', 'a'])
      const { nowMs } = cluster.state
      assert.deepEqual(ids({ prefix: 'c', sinceMs: nowMs, untilMs: nowMs + 1 }), ['c'])
      assert.deepEqual([ids({ prefix: 'cc' }), ids({ untilMs: nowMs }), ids({ sinceMs: nowMs + 1 })], [[], [], []])
    }),
  )
})

describe('the view of a task', () => {
  it(
    'tells where it stands in every phase of its life',
    scenario(cluster => {
      const worker = cluster.join('w1')
      cluster.submit('job', 4, { stages: [stage({ retries: 1, backoffMs: 1000 })] })
      const see = (index: number): unknown[] => {
        const view = viewTask(cluster.state, 'job', 0, index)
        return [view.state, view.attempt, view.worker, view.attempts.length]
      }
      assert.deepEqual(see(0), ['running', 1, 'w1', 0])
      assert.deepEqual(see(1), ['waiting', 1, undefined, 0])
      cluster.end(worker, [failed()])
      assert.deepEqual(see(0), ['waiting', 2, undefined, 1])
      assert.equal(failureOfTask(cluster.stage('job'), 0), undefined)
      cluster.finish(worker)
      assert.deepEqual(see(1), ['succeeded', 1, undefined, 0])
      cluster.advance(5000)
      cluster.finish(worker)
      assert.deepEqual(see(0), ['running', 2, 'w1', 1])
      while (worker.tasks[0]!.index !== 0) cluster.finish(worker)
      cluster.end(worker, [failed('TASK_TIMEOUT', false)])
      assert.deepEqual(see(0), ['failed', 2, undefined, 2])
      assert.equal(failureOfTask(cluster.stage('job'), 0)!.code, 'TASK_TIMEOUT')
      cluster.ask({ kind: 'releaseResults', job: 'job', stage: 0, ranges: [{ first: 0, count: 2 }] })
      assert.deepEqual(see(0), ['released', 1, undefined, 0])
      assert.deepEqual(see(1), ['released', 1, undefined, 0])
      cluster.submit('other', 1, { stages: [stage({ cpus: 64 })] })
      cluster.cancel('other')
      assert.equal(viewTask(cluster.state, 'other', 0, 0).state, 'cancelled')
      for (const [job, number, index] of [
        ['nobody', 0, 0],
        ['job', 1, 0],
        ['job', 0, 4],
        ['job', 0, -1],
        ['job', 0, Number.NaN],
      ] as const) {
        assert.throws(() => viewTask(cluster.state, job, number, index), { code: 'NOT_FOUND' })
      }
    }),
  )
})

describe('the view of workers', () => {
  it(
    'tells what each has, what is reserved, and its load; the mean of loads is that of the cluster',
    scenario(cluster => {
      assert.equal(clusterLoad([], cluster.observed), 0)
      const named = [{ name: 'disk', millis: 1000 }]
      cluster.join('w2', amount(4, { memoryBytes: 1000, gpuMillis: 1000, named }))
      const one = cluster.join('w1', 2)
      cluster.submit('job', 2, { stages: [stage({ resources: amount(1, { memoryBytes: 900, named }) })] })
      cluster.observed.workers.get('w1')!.cpuShare = 0.5
      const [w1, w2] = viewWorkers(cluster.state, cluster.observed, cluster.nowMs + 40)
      assert.deepEqual([w1!.id, w1!.state, w1!.load, w1!.lanes, w1!.tasks, w1!.silentMs], ['w1', 'ready', 0.5, 0, 0, 40])
      assert.deepEqual([w2!.id, w2!.lanes, w2!.tasks], ['w2', 1, 1])
      assert.deepEqual(w2!.reserved, amount(1, { memoryBytes: 900, named }))
      assert.equal(w2!.load, 1)
      assert.equal(clusterLoad(cluster.state.membership.workers.values(), cluster.observed), 0.75)
      cluster.ask({ kind: 'drainWorker', worker: 'w2' })
      cluster.observed.workers.delete('w1')
      assert.deepEqual(
        viewWorkers(cluster.state, cluster.observed, 0).map(view => [view.state, view.silentMs]),
        [
          ['silent', -1],
          ['draining', 0],
        ],
      )
      cluster.register(one, 2)
    }),
  )
})

describe('why something waits', () => {
  const ask = (cluster: Harness, id: string): [id: string, rule: string][] =>
    why(cluster.state, cluster.observed, id).map(one => [one.id, one.rule])
  const rule = (cluster: Harness, id = 'job'): string => ask(cluster, id)[0]![1]
  const text = (cluster: Harness, id = 'job'): string => why(cluster.state, cluster.observed, id)[0]!.text

  it(
    'is that there is no worker, none that is connected, none that is large enough, or only such that drain',
    scenario(cluster => {
      cluster.submit('job', 1, { stages: [stage({ resources: amount(4, { memoryBytes: 2 ** 30 }) })] })
      assert.equal(rule(cluster), 'no-workers')
      const worker = cluster.join('w1', 2)
      cluster.join('w0', 1)
      assert.equal(rule(cluster), 'resources-too-large')
      assert.match(text(cluster), /asks for 4 cpus; there are 2 on w1, the largest worker/)
      cluster.lose(worker)
      cluster.register(worker, amount(4))
      assert.match(text(cluster), /asks for 1024 MiB of memory; there are 0 MiB on w1/)
      cluster.takeOver()
      assert.equal(rule(cluster), 'workers-silent')
      cluster.join('w2', amount(8, { memoryBytes: 2 ** 31 }))
      assert.equal(rule(cluster), 'running')
      cluster.ask({ kind: 'drainWorker', worker: 'w2' })
      cluster.submit('late', 1, { stages: [stage({ resources: amount(4, { memoryBytes: 2 ** 30 }) })] })
      assert.equal(rule(cluster, 'late'), 'workers-draining')
    }),
  )

  it(
    'is gpus or a named resource that nobody has',
    scenario(cluster => {
      cluster.join('w1', amount(4, { named: [{ name: 'disk', millis: 500 }] }))
      cluster.submit('gpu', 1, { stages: [stage({ resources: amount(1, { gpuMillis: 500 }) })] })
      cluster.submit('disk', 1, { stages: [stage({ resources: amount(1, { named: [{ name: 'disk', millis: 1000 }] }) })] })
      assert.match(text(cluster, 'gpu'), /asks for 0.5 gpus; there are 0/)
      assert.match(text(cluster, 'disk'), /asks for 1 of disk; there are 0.5/)
    }),
  )

  it(
    'is that others run, or go first',
    scenario(cluster => {
      cluster.join('w1', 2)
      cluster.submit('job', 3)
      assert.deepEqual(ask(cluster, 'job'), [['job', 'resources-busy']])
      assert.match(text(cluster), /asks for 1 cpus; there are 0 free on w1, the emptiest; 2 lanes run/)
      assert.deepEqual(ask(cluster, 'job/2'), [['job/2', 'resources-busy']])
      assert.deepEqual(ask(cluster, 'job/0/0'), [['job/0/0', 'running']])
      cluster.submit('urgent', 1, { priority: 5 })
      assert.equal(rule(cluster), 'priority')
      assert.match(text(cluster), /1 jobs of higher priority go first/)
    }),
  )

  it(
    'is that room is kept for a task that needs more of it, or that its last attempt died where there is room',
    scenario(cluster => {
      const worker = cluster.join('w1', 2)
      cluster.submit('job', 3)
      cluster.submit('large', 1, { stages: [stage({ task: 'large', cpus: 2 })] })
      cluster.end(worker, [finished(worker.busy[0]!, 1, [], 1e6)])
      assert.equal(rule(cluster, 'job/2'), 'kept-for-other')
      cluster.cancel('large')
      cluster.cancel('job')
      cluster.finishAll()
      const other = cluster.join('w2', 1)
      cluster.submit('busy', 3)
      const dying = [...worker.busy, ...other.busy].find(lane => lane.open[0]!.job === 'busy')!
      assert(dying)
      cluster.submit('dying', 1, { stages: [stage({ retries: 5, backoffMs: 0, task: 'dying' })] })
      cluster.end(worker, [finished(worker.busy[0]!, 1, [], 1e6)])
      cluster.end(worker, [failed('TASK_CRASHED')], worker.busy.find(lane => lane.open[0]!.job === 'dying')!)
      assert.equal(rule(cluster, 'dying'), 'avoids-worker')
      assert.match(text(cluster, 'dying'), /room on w1 only/)
    }),
  )

  it(
    'is that it is handed out in the next turn',
    scenario(cluster => {
      cluster.join('w1')
      cluster.ask({ kind: 'submitJob', plan: plan('job'), inputs: [inputs(1)] })
      assert.equal(rule(cluster), 'being-placed')
    }),
  )

  it(
    'is a pause before the next attempt',
    scenario(cluster => {
      const worker = cluster.join('w1')
      cluster.submit('job', 2, { stages: [stage({ retries: 1, backoffMs: 1000 })] })
      cluster.end(worker, [failed()])
      assert.match(text(cluster, 'job/0'), /tried again in 750 ms/)
      cluster.nowMs += 100
      cluster.end(worker, [failed()])
      assert.equal(rule(cluster), 'retry-pause')
      assert.match(text(cluster), /2 failed and will be tried again, the first in 650 ms/)
    }),
  )

  it(
    'is another stage, or inputs that did not come, or nothing any more',
    scenario(cluster => {
      cluster.join('w1', 4)
      const chain = [stage({ task: 'a' }), stage({ task: 'b', after: [0] }), stage({ task: 'c', after: [0, 1] })]
      cluster.submit('job', 1, { stages: chain })
      assert.deepEqual(ask(cluster, 'job'), [
        ['job/1', 'dependency'],
        ['job/2', 'dependency'],
      ])
      assert.deepEqual(ask(cluster, 'job/2/0'), [['job/2/0', 'dependency']])
      assert.match(text(cluster, 'job/2/0'), /stage 0, 1 of the same job/)
      cluster.submit('open', 1, { open: true })
      assert.equal(rule(cluster, 'open'), 'running')
      cluster.finishAll()
      assert.equal(rule(cluster, 'open'), 'inputs')
      assert.equal(rule(cluster, 'open/0'), 'succeeded')
      assert.equal(rule(cluster, 'job'), 'succeeded')
      cluster.cancel('open')
      assert.match(text(cluster, 'open'), /has been cancelled/)
      for (const id of ['nobody', 'nobody/0', 'job/x', 'job/1/2/3', 'job/-1', 'job/']) {
        if (id === 'job/') continue
        assert.throws(() => why(cluster.state, cluster.observed, id), { code: 'NOT_FOUND' }, id)
      }
    }),
  )
})

describe('the story', () => {
  const tell = (cluster: Harness, id: string, linesMax = 100): string[] => {
    const story = new Story(id, linesMax)
    for (const [position, record] of cluster.records.entries()) story.next(position + 1, 1, record)
    return story.lines.map(line => line.text)
  }
  const hasAll = (lines: string[], expected: RegExp[]): void => {
    const rest = [...lines]
    for (const pattern of expected) {
      const at = rest.findIndex(line => pattern.test(line))
      assert(at >= 0, `${pattern} is not in order in\n${lines.join('\n')}`)
      rest.splice(0, at + 1)
    }
  }

  /** A life with everything in it. */
  const life = (cluster: Harness): void => {
    const worker = cluster.join('w1', 2)
    cluster.submit('first', 1)
    cluster.finishAll()
    cluster.submit('job', 6, { open: true, stages: [stage({ retries: 1, backoffMs: 100 })] })
    cluster.submit('other', 2)
    const lane = worker.busy.find(one => one.open[0]!.job === 'job')!
    cluster.end(worker, [finished(lane, 1)], lane)
    cluster.end(worker, [failed()], lane)
    cluster.giveBack(worker, lane, 4)
    cluster.ask({
      kind: 'cancelTasks',
      job: 'job',
      stage: 0,
      ranges: [
        { first: 2, count: 1 },
        { first: 5, count: 1 },
      ],
    })
    cluster.end(worker, [{ kind: 'skipped', count: 1 }], worker.busy.find(one => one.open[0]!.index === 2 && one.open[0]!.job === 'job')!)
    cluster.lose(worker, 'it burned')
    const second = cluster.join('w2', 2)
    cluster.dieIn(() => {
      cluster.submit('adopted', 1)
    })
    cluster.submit('adopted', 1)
    cluster.register(second, 2)
    cluster.settle()
    cluster.advance(10_000)
    cluster.finishAll()
    cluster.ask({ kind: 'drainWorker', worker: 'w2' })
    cluster.ask({ kind: 'addTasks', job: 'job', inputs: inputs(2, { first: 6 }) })
    cluster.ask({ kind: 'releaseResults', job: 'job', stage: 0, ranges: [{ first: 0, count: 1 }] })
    cluster.cancel('job', 'enough')
    cluster.advance(10_000)
  }
  const limits = { finishedJobAgeMs: 5000, programIdleMs: 5000 }

  it(
    'of a job tells all of it',
    scenario(
      cluster => {
        life(cluster)
        hasAll(tell(cluster, 'job'), [
          /^submitted: work, 1 stage, program aaaaaaaaaaaa$/,
          /^tasks 0 to 5 added to stage 0, \d+ bytes of input$/,
          /given to w1 \(incarnation 1\), lane 1\.\d+$/,
          /^task 0 finished on w1, \d+ bytes of results$/,
          /^task 1 failed on w1 at attempt 1 ; next attempt in 75 ms: TASK_FAILED: it said TASK_FAILED$/,
          /not started on w1: back in line$/,
          /^task 2, task 5 cancelled$/,
          /^task 2 stopped on w1: cancelled$/,
          /WORKER_LOST|back in line: worker w1 was lost \(it burned\)/,
          /^stage 0 is complete: no more tasks will be added$/,
          /^results of task 0 were taken by the client and let go$/,
          /^cancelled: enough$/,
          /^ended: cancelled$/,
          /^forgotten: its retention is over$/,
        ])
      },
      { limits },
    ),
  )

  it(
    'of a task tells what concerns it only',
    scenario(
      cluster => {
        life(cluster)
        const lines = tell(cluster, 'job/1')
        hasAll(lines, [
          /tasks 0 to 5 added/,
          /given to w1/,
          /^task 1 failed on w1 at attempt 1/,
          /attempt 2 given to w2/,
          /task 1 finished on w2/,
        ])
        assert(lines.every(line => !/^task [0234] finished/.test(line)))
        assert.deepEqual(tell(cluster, 'job/0/1'), lines)
        hasAll(tell(cluster, 'adopted/0'), [/adopted: it ran there already$/, /finished on w2/])
        hasAll(tell(cluster, 'job/5'), [/cancelled$/])
        assert(tell(cluster, 'job/1/1').every(line => !/given to|finished on/.test(line)))
      },
      { limits },
    ),
  )

  it(
    'of a worker, a lane, a leader and a program',
    scenario(
      cluster => {
        life(cluster)
        hasAll(tell(cluster, 'w1'), [
          /^joined as incarnation 1 from host, pid 1, with 2 cpus$/,
          /first: task 0 finished/,
          /job: task 0 finished/,
          /^incarnation 1 lost: it burned$/,
        ])
        hasAll(tell(cluster, 'w2'), [/^joined as incarnation 2/, /^takes no new work$/])
        const { lane } = cluster.of('TasksAssigned')[0]!
        assert.equal(tell(cluster, laneText(lane)).length, 2)
        hasAll(tell(cluster, 'leader-2'), [/^became leader of epoch 2, pid 2, at ws:\/\/here$/])
        hasAll(tell(cluster, program.slice(0, 12)), [/^stored, 11 bytes$/, /^forgotten: nobody used it$/])
        assert.deepEqual(tell(cluster, 'a'), [])
      },
      { limits },
    ),
  )

  it(
    'of a task that failed for good, and of a job of several stages',
    scenario(cluster => {
      const worker = cluster.join('w1')
      cluster.submit('job', 2, { stages: [stage(), stage({ after: [0] })] })
      cluster.end(worker, [failed('TASK_TIMEOUT', false)])
      hasAll(tell(cluster, 'job'), [/2 stages/, /for good: TASK_TIMEOUT/])
      hasAll(tell(cluster, 'job/0/0'), [/task 0 failed on w1 at attempt 1 for good/])
    }),
  )

  it(
    'keeps its beginning and its end when it is too long',
    scenario(
      cluster => {
        life(cluster)
        const lines = tell(cluster, 'job', 4)
        assert.equal(lines.length, 4)
        assert.match(lines[0]!, /^submitted/)
        assert.match(lines[3]!, /^forgotten/)
      },
      { limits },
    ),
  )

  it(
    'that begins in the middle of the journal tells what it can',
    scenario(
      cluster => {
        life(cluster)
        const from = cluster.records.findIndex(record => record.kind === 'TasksFinished')
        const story = new Story('job', 100)
        for (const [position, record] of cluster.records.slice(from + 8).entries()) story.next(position, 1, record)
        assert(story.lines.some(line => line.text === 'ended: cancelled'))
        assert(story.lines.every(line => line.atMs >= 0))
      },
      { limits },
    ),
  )
})

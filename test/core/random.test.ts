// Shows that no sequence of events loses a task, runs past a limit, leaves work beside idle room, or makes a journal that cannot be replayed.
// Every step is held against the naive model of ledger.ts. What it once found stands below as scenarios of their own.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { JournalRecord } from '../../src/protocol/index.ts'
import { Harness, type HarnessOptions, scenario } from './harness.ts'
import { heal, type RandomStep, steps, take } from './random-steps.ts'

const runs = 300
const stepsMax = 200
const options: HarnessOptions = {
  limits: {
    finishedJobsMax: 6,
    historyJobsMax: 9,
    resultBytesMax: 400,
    resultGraceMs: 100,
    finishedJobAgeMs: 4000,
    openTasksMax: 150,
    workersMax: 6,
    eventIdsMax: 8,
  },
}

const number = fc.nat({ max: 1000 })
const step = fc.tuple(fc.constantFrom(...(Object.keys(steps) as (keyof typeof steps)[])), number, number, number)

/** What happens seldom, and must have happened for these runs to mean anything. */
const rare: Record<string, (record: JournalRecord, all: readonly JournalRecord[]) => boolean> = {
  'work was adopted': record => record.kind === 'TasksAssigned' && record.adopted,
  'a lane was vacated': record => record.kind === 'LaneVacated',
  'a task was quarantined': record => record.kind === 'TaskFailed' && record.code === 'TASK_POISONED',
  'a task waited for its next attempt': record =>
    record.kind === 'TaskFailed' && (record.retryAtMs ?? 0) > 0 && record.code === 'TASK_FAILED',
  'a result came too late': record => record.kind === 'TasksSkipped',
  'tasks were given back': record => record.kind === 'TasksReturned' && record.keep > 0,
  'a job failed': record => record.kind === 'JobFinished' && record.state === 'failed',
  'steps became steps': record => record.kind === 'TaskExpanded',
  'a list became tasks': record => record.kind === 'TaskSpread' && record.width > 0,
  'a branch was not taken': record => record.kind === 'BranchDecided' && !record.taken,
  'a tick was skipped': record => record.kind === 'ScheduleTicked' && record.outcome === 'skipped',
  'a tick that waited ran': record => record.kind === 'ScheduleRan' && record.queued,
  'an event started runs that share their input': record => record.kind === 'EventEmitted' && record.started.length > 1,
  'an event that started nothing was received': record =>
    record.kind === 'EventEmitted' && record.started.length === 0 && record.payload !== undefined,
  'the id of an event was forgotten': record => record.kind === 'EventEmitted' && record.forgotten > 0,
  'a grant expired': record => record.kind === 'GrantEnded' && record.reason === 'expired',
  'an entry was deleted': record => record.kind === 'EntriesWritten' && record.writes[0]!.payload === undefined,
  'a workflow went on': record => record.kind === 'JobRerun',
  'a job was resumed': record => record.kind === 'JobPaused' && !record.paused,
  'a job was archived': record => record.kind === 'JobsArchived',
  'results of an archived job were let go': record => record.kind === 'HistoryEmptied',
  'an archived job was forgotten': record => record.kind === 'HistoryForgotten',
  'a workflow went on with its keys': (record, all) =>
    record.kind === 'JobRerun' &&
    all.some(one => one.kind === 'StageLimited' && one.job === record.job && one.policy.key !== '') &&
    all.some(one => one.kind === 'JobLimited' && one.job === record.job && one.policy.key !== ''),
  'a step was late': record => record.kind === 'StepTimedOut',
  'a job was late': record => record.kind === 'JobTimedOut',
  'a job made room for another': record => record.kind === 'JobCancelled' && record.reason.includes('takes its place'),
  'a job was forgotten': record => record.kind === 'JobsForgotten',
}

describe('any sequence of events', () => {
  for (const [policy, seed] of [
    ['spread', 20261],
    ['pack', 20262],
  ] as const) {
    it(`keeps the laws, placing by ${policy}`, () => {
      const seen = new Set<string>()
      fc.assert(
        fc.property(fc.array(step, { minLength: 1, maxLength: stepsMax, size: 'max' }), script => {
          const cluster = new Harness({ ...options, policy })
          take(cluster, script)
          heal(cluster)
          cluster.verify()
          for (const [name, matches] of Object.entries(rare))
            if (cluster.records.some(record => matches(record, cluster.records))) seen.add(name)
        }),
        { numRuns: runs / 2, seed },
      )
      assert.deepEqual([...seen].sort(), Object.keys(rare).sort())
    })
  }
})

const found: Record<string, RandomStep[]> = {
  'a step that was cancelled by its user does not begin when what it waited for comes': [
    ['submitFlow', 525, 718, 635],
    ['cancelTasks', 0, 0, 851],
    ['submit', 0, 0, 0],
  ],
  'a step of a workflow that waits for its turn is cancelled: those that need it are told, and told once': [
    ['submit', 0, 0, 0],
    ['submitFlow', 416, 0, 0],
    ['cancelTasks', 495, 0, 0],
    ['submit', 0, 0, 64],
  ],
  'a running task that was cancelled alone, and then with its job, ends with it': [
    ['submit', 0, 1, 1],
    ['come', 0, 0, 0],
    ['cancelTasks', 0, 0, 2],
    ['cancel', 0, 0, 0],
  ],
}

describe('what random sequences once found', () => {
  for (const [name, script] of Object.entries(found)) {
    it(
      name,
      scenario(cluster => {
        take(cluster, script)
        heal(cluster)
      }, options),
    )
  }
})

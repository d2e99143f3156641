// Random sequences of what may happen to a cluster, held against the naive model of ledger.ts after every record, and what must come about in
// many of them. Must not choose how many.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { PlacementPolicy } from '../../src/core/placement/workers.ts'
import type { JournalRecord } from '../../src/protocol/index.ts'
import { Harness, type HarnessOptions } from './harness.ts'
import { heal, steps, take } from './random-steps.ts'

const stepsMax = 200
export const options: HarnessOptions = {
  limits: {
    finishedJobsMax: 3,
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
  'a workflow was cancelled and compensated': (record, all) =>
    record.kind === 'JobFinished' &&
    all.some(one => one.kind === 'JobCancelling' && one.job === record.job) &&
    !all.some(one => one.kind === 'JobCancelled' && one.job === record.job),
  'a workflow was cancelled while it was compensated': (record, all) =>
    record.kind === 'JobCancelled' && all.some(one => one.kind === 'JobCancelling' && one.job === record.job),
  'a job was forgotten': record => record.kind === 'JobsForgotten',
}

/** Runs so many sequences; gives the names of the rare things that happened in them. */
function play(policy: PlacementPolicy, seed: number, runs: number): Set<string> {
  const seen = new Set<string>()
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: stepsMax, size: 'max' }), script => {
      const cluster = new Harness({ ...options, policy })
      take(cluster, script)
      heal(cluster)
      cluster.verify()
      for (const [name, matches] of Object.entries(rare))
        if (!seen.has(name) && cluster.records.some(record => matches(record, cluster.records))) seen.add(name)
    }),
    { numRuns: runs, seed },
  )
  return seen
}

/** Few of them: any may break, and nothing has to come about. */
export function playFew(policy: PlacementPolicy, seed: number): void {
  play(policy, seed, 10)
}

/** So many that everything comes about. */
export function playMany(policy: PlacementPolicy, seed: number): void {
  assert.deepEqual([...play(policy, seed, 150)].sort(), Object.keys(rare).sort())
}

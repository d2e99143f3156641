// Owns what a job is: a graph of stages, each with compact accounts of its tasks. No object per task that is merely waiting or done.
// Must not hold bytes of inputs or results: those are payloads, named by number.
import type { AttemptFields, JobId, JobPlan, JobState, RunPolicy, StagePlan, StagePolicy, TaskBlock } from '../../protocol/index.ts'
import type { StepTable } from '../flows/state.ts'
import type { Key } from '../keys/state.ts'
import type { Queue } from '../queues/state.ts'
import { RangeSet } from '../ranges.ts'
import { SegmentList } from '../segments.ts'
import { SparseMap } from '../sparse.ts'
import { ReadyLine } from '../tasks/line.ts'
import type { SchedulingClass } from '../tasks/state.ts'

/** What is remembered of a task that failed at least once. */
export interface Trouble {
  /** The last failed attempts. */
  attempts: AttemptFields[]
  /** How many attempts failed that count against its retries. */
  counted: number
  /** How often its executor or worker died under it. */
  deaths: number
  /** Set when the last failure is the task's outcome. */
  final: { code: string; message: string; stack: string } | undefined
}

/** Tasks of a job that run the same function, and the accounts of them. */
export interface Stage {
  job: Job
  number: number
  plan: StagePlan
  class: SchedulingClass
  /** What limits it besides its plan, and as long as its job has not ended the key that it shares with others, or has alone. */
  policy: StagePolicy | undefined
  key: Key | undefined
  sealed: boolean
  /** Tasks added so far. */
  added: number
  /** Producers that are not complete: while there are any, nothing of this stage becomes ready. */
  blockedBy: number
  /** A producer did not succeed: nothing of this stage will ever run. */
  abandoned: boolean
  inputs: SegmentList
  /** Waiting for a slot, in the order in which they go. */
  ready: ReadyLine
  readyCount: number
  /** Tasks that wait for the time of their next attempt. */
  delayedCount: number
  /** Tasks that wait for others of their workflow; those of `held` where the stage belongs to one step. */
  heldCount: number
  held: RangeSet
  /** The step of a workflow that has all tasks of the stage; -1 where each task has its own, which `owners` says. */
  wide: number
  owners: number[]
  /** Tasks that ended without a result, as far as others wait for exactly those. */
  lost: RangeSet
  /** Handed to lanes. */
  runningCount: number
  succeeded: number
  failed: number
  cancelled: number
  results: SegmentList
  /** Tasks whose results were given up by their owner. */
  released: RangeSet
  /** Tasks that were cancelled one by one; those of them that are in a lane count as cancelled when they have stopped. */
  cancelling: RangeSet
  troubles: Map<number, Trouble>
  /** Blocks of inputs and results, by task number. */
  inputBlocks: Map<number, TaskBlock>
  resultBlocks: Map<number, TaskBlock>
}

/** What a user submitted: stages, and the steps they belong to if it is a workflow. */
export interface Job {
  plan: JobPlan
  /** Its place among all jobs that were ever submitted: the record that did. */
  number: number
  submittedAtMs: number
  state: JobState
  finishedAtMs: number
  reason: string
  /** Nothing more of it is handed out; what happens to it is taken in. */
  paused: boolean
  /** A workflow that is being cancelled: it ends as that once its compensations have run. */
  cancelling: boolean
  stages: Stage[]
  /** Its steps, if it is a workflow. */
  flow: StepTable | undefined
  /** What limits it as a whole, as long as it has not ended, and that of a workflow also afterwards; `startedAtMs` is 0 if it has not begun. */
  run: { policy: RunPolicy; queue: Queue | undefined; startedAtMs: number } | undefined
}

/** Finished jobs, oldest first: the order in which they are forgotten. Those that did not succeed apart, since they may be run again. */
class FinishedJobs {
  readonly succeeded = new Set<Job>()
  readonly others = new Set<Job>()

  get size(): number {
    return this.succeeded.size + this.others.size
  }

  add(job: Job): void {
    const kind = job.state === 'succeeded' ? this.succeeded : this.others
    kind.add(job)
  }

  has(job: Job): boolean {
    return this.succeeded.has(job) || this.others.has(job)
  }

  delete(job: Job): void {
    this.succeeded.delete(job)
    this.others.delete(job)
  }

  *[Symbol.iterator](): Generator<Job> {
    yield* this.succeeded
    yield* this.others
  }
}

export interface Jobs {
  byId: Map<JobId, Job>
  /** Derived: jobs by the session that asked, as long as they run. */
  bySession: Map<string, Set<Job>>
  finished: FinishedJobs
  /** Derived: all tasks of these jobs are done, but JobFinished is not recorded yet. */
  complete: Set<Job>
  /** Bytes of inputs of unfinished tasks, and of results not released: held to limits. */
  inputBytes: number
  resultBytes: number
  /** Tasks added and not done. */
  openTasks: number
}

export function createJobs(): Jobs {
  return {
    byId: new Map(),
    bySession: new Map(),
    finished: new FinishedJobs(),
    complete: new Set(),
    inputBytes: 0,
    resultBytes: 0,
    openTasks: 0,
  }
}

/** A stage as it is when its job is submitted. */
export function createStage(job: Job, number: number, plan: StagePlan, schedulingClass: SchedulingClass): Stage {
  return {
    job,
    number,
    plan,
    class: schedulingClass,
    policy: undefined,
    key: undefined,
    sealed: false,
    added: 0,
    blockedBy: 0,
    abandoned: false,
    inputs: new SegmentList(),
    ready: new ReadyLine(),
    readyCount: 0,
    delayedCount: 0,
    heldCount: 0,
    held: new RangeSet(),
    wide: -1,
    owners: [],
    lost: new RangeSet(),
    runningCount: 0,
    succeeded: 0,
    failed: 0,
    cancelled: 0,
    results: new SegmentList(),
    released: new RangeSet(),
    cancelling: new RangeSet(),
    troubles: new SparseMap(),
    inputBlocks: new SparseMap(),
    resultBlocks: new SparseMap(),
  }
}

/** True if the job goes on until somebody ends it: it runs, and is not being cancelled. */
export function goesOn(job: Job): boolean {
  return job.state === 'running' && !job.cancelling
}

/** True when every task that will ever be in the stage has an outcome. One without tasks is done only when those before it are. */
export function stageDone(stage: Stage): boolean {
  const waits = stage.blockedBy > 0 && !stage.abandoned && stage.job.state === 'running'
  return stage.sealed && !waits && stage.succeeded + stage.failed + stage.cancelled === stage.added
}

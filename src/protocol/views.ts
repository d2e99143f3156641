// Owns the answers to questions about the cluster, as CLI, SDK and dashboard get them (JSON on the wire).
// Must not hold how they are computed: that is core/views.
import type { FailedAttempt } from './errors.ts'
import type { BlockId, JobId, WorkerId } from './ids.ts'
import type { NodesView } from './nodes.ts'
import type { Resources } from './plan.ts'
import type { AuditCheck, AuditEntry, AuditQuery, UserView, WhoView } from './views-access.ts'
import type { LockView, SecretView } from './views-kept.ts'

/** Where a job stands. */
export type JobState = 'running' | 'succeeded' | 'failed' | 'cancelled'

/** How many tasks of a stage are in which state. */
export interface TaskCounts {
  /** Added so far. */
  total: number
  /** Waiting for a slot, a retry or a dependency. */
  waiting: number
  /** Handed to a worker. */
  running: number
  succeeded: number
  failed: number
  cancelled: number
}

/** A stage of a job and how far it is. */
export interface StageView {
  task: string
  program: string
  sealed: boolean
  tasks: TaskCounts
  resources: Resources
}

/** A job as it is now. */
export interface JobView {
  id: JobId
  name: string
  state: JobState
  /** Cluster time, milliseconds since 1970. */
  submittedAtMs: number
  /** Missing while it runs. */
  finishedAtMs?: number
  /** Why it was cancelled or failed. */
  reason?: string
  /** True while it is paused: what runs of it runs on, and nothing more begins. */
  paused?: boolean
  /** True while it is being cancelled: what it did is taken back by its compensations, and then it ends. */
  cancelling?: boolean
  labels: string[]
  priority: number
  detached: boolean
  tasks: TaskCounts
  stages: StageView[]
  /** Only of a workflow. */
  flow?: FlowView
  /** It is in the history: how it ended is known, and its results up to a limit; no longer each of its tasks. */
  archived?: true
  /** While it waits for its turn: the key of which enough others run. */
  queuedFor?: string
}

/** A workflow as a whole. */
export interface FlowView {
  /** Steps so far, and how many of them have each status. */
  steps: number
  statuses: Partial<Record<'waiting' | 'open' | 'succeeded' | 'failed' | 'cancelled' | 'skipped', number>>
  /** Whose results are the workflow's, once it succeeded: one, or with `list` all of them. */
  output?: { stage: number; first: number; count: number; list: boolean }
  /** Why it failed: the first step that did, and that nobody caught. */
  cause?: { step: number; name: string; code: string; message: string; task?: { stage: number; index: number } }
}

/** One step of a workflow as it is now. */
export interface StepView {
  step: number
  name: string
  kind: 'tasks' | 'sleep' | 'signal' | 'choice' | 'event'
  status: 'waiting' | 'open' | 'succeeded' | 'failed' | 'cancelled' | 'skipped'
  /** The step that became this one and others; missing at the top. */
  parent?: number
  /** What it needs, and how (see docs/workflows.md). */
  needs: { kind: string; step: number }[]
  /** Of a step with tasks: which of which stage, and how far they are. */
  stage?: number
  first?: number
  tasks?: TaskCounts
  /** Cluster time at which its first task was handed out, or it began to wait for a time or a signal; and at which it had its end. */
  beganAtMs?: number
  endedAtMs?: number
  /** Cluster time at which a pause ends, or a signal is given up. */
  untilMs?: number
}

/** Argument of `steps`: those from `first` on, at most `limit` (1,000 by default, and at most). */
export interface StepsQuery {
  job: JobId
  first?: number
  limit?: number
}

/** A worker as the leader knows it. */
export interface WorkerView {
  id: WorkerId
  incarnation: number
  state: 'ready' | 'draining' | 'silent'
  host: string
  pid: number
  blocks: string
  labels: string[]
  capacity: Resources
  reserved: Resources
  /** Load L_i of this worker: its most used resource's share, 0 to 1 (reserved or measured, the larger). */
  load: number
  lanes: number
  /** Tasks handed to it and not finished. */
  tasks: number
  cpuShare: number
  memoryUsedBytes: number
  memoryFreeBytes: number
  eventLoopDelayMs: number
  diskFreeBytes: number
  executors: number
  /** Milliseconds since its last sign of life. */
  silentMs: number
}

/** A process that leads or stands by. */
export interface CandidateView {
  id: string
  /** `away`: the journal knows it, and it is not connected. */
  state: 'leader' | 'standby' | 'away'
  /** 0 where it is not known. */
  pid: number
  /** P0, as configured. */
  basePriority: number
  /** r, 0 to 1: the decayed share of its failures. */
  failureRate: number
  /** P = P0 × (1 − r): who has the most goes first when the leader is gone. */
  priority: number
  /** Records that it has still to apply; of the leader 0, where it is not known undefined. */
  lagRecords?: number
}

/** The cluster as a whole. */
export interface StatusView {
  cluster: string
  release: string
  leader: { id: string; epoch: number; pid: number; address: string; rssBytes: number; eventLoopDelayMs: number; upMs: number }
  candidates: CandidateView[]
  workers: WorkerView[]
  /** L = (1/N) Σ L_i over all workers. */
  load: number
  jobs: { running: number; finished: number }
  tasks: { waiting: number; running: number }
  journal: { index: number; rows: number; bytes: number; payloadBytes: number; snapshotIndex: number; appendP50Ms: number }
  timeMs: number
}

/** One record about an id, in words. */
export interface StoryLine {
  /** Position in the journal. */
  index: number
  epoch: number
  atMs: number
  kind: string
  text: string
}

/** Why something waits: the rule and its numbers. */
export interface WhyView {
  id: string
  /** The rule that holds it, as a short stable word such as `resources-too-large`. */
  rule: string
  text: string
}

/** A schedule and what became of it. */
export interface ScheduleView {
  name: string
  /** Of what it runs. */
  runs: string
  /** One of these two. */
  cron?: string
  everyMs?: number
  timezone?: string
  overlap: 'skip' | 'queue' | 'cancel'
  catchUp: 'none' | 'last' | 'all'
  paused: boolean
  /** Wall time of the next tick, milliseconds since 1970; missing while it is paused. */
  nextAtMs?: number
  /** Jobs of it that run, at most ten of them, and ticks that wait for those. */
  running: JobId[]
  queued: number
  /** Its last run, and the last tick that was decided on. */
  lastJob?: JobId
  lastAtMs?: number
  /** Since it was made: runs, ticks that were passed over because of a running one, and ticks that passed while no leader lived. */
  ran: number
  skipped: number
  missed: number
}

/** A trigger and what became of it. */
export interface TriggerView {
  name: string
  /** The event it is started by; with a key only by those of this key. */
  event: string
  key?: string
  /** Of what it runs. */
  runs: string
  paused: boolean
  /** Runs since it was made, and the last of them. */
  started: number
  lastJob?: JobId
  /** Cluster time of that. */
  lastAtMs?: number
}

/** Where one task stands. */
export interface TaskView {
  job: JobId
  stage: number
  index: number
  state: 'waiting' | 'running' | 'succeeded' | 'failed' | 'cancelled' | 'released'
  attempt: number
  worker?: WorkerId
  attempts: FailedAttempt[]
}

/** Argument of `jobs`. */
export interface JobsQuery {
  state?: JobState
  name?: string
  label?: string
  /** With what its id begins. */
  prefix?: string
  /** Submitted at this cluster time (milliseconds since 1970) or later. */
  sinceMs?: number
  /** Submitted before this cluster time. */
  untilMs?: number
  /** At most this many, newest first; 50 by default, 1,000 at most. */
  limit?: number
  /** Only jobs submitted before this one: the last of the page before. */
  before?: JobId
}

/** Answer to `locate`: where blocks can be stored and fetched. */
export interface WorkerAddress {
  worker: WorkerId
  /** Base URL of its block server. */
  blocks: string
  /** By this name who asked is known there. */
  bearer: string
  /** Its capabilities, to read and to write there; empty where it may not. */
  read: string
  write: string
  /** The worker is known to hold the block that was asked for. */
  holds?: boolean
}

/** Argument and answer of each view. */
export interface Views {
  status: { argument: Record<string, never>; answer: StatusView }
  jobs: { argument: JobsQuery; answer: JobView[] }
  job: { argument: { job: JobId }; answer: JobView }
  workers: { argument: Record<string, never>; answer: WorkerView[] }
  story: { argument: { id: string; limit?: number }; answer: { lines: StoryLine[]; complete: boolean } }
  why: { argument: { id: string }; answer: WhyView[] }
  task: { argument: { job: JobId; stage: number; index: number }; answer: TaskView }
  /** `next`: where the rest begins. Of a job in the history, only its first steps are kept. */
  steps: { argument: StepsQuery; answer: { steps: StepView[]; next?: number } }
  /** All, or those whose names begin with `prefix`; at most 1,000, in the order of their names. */
  /** At most `limit` (1,000) in the order of their names, behind `after`. */
  schedules: { argument: { name?: string; after?: string; limit?: number }; answer: ScheduleView[] }
  triggers: { argument: { name?: string; after?: string; limit?: number }; answer: TriggerView[] }
  locks: { argument: { prefix?: string }; answer: LockView[] }
  secrets: { argument: Record<string, never>; answer: SecretView[] }
  users: { argument: Record<string, never>; answer: UserView[] }
  whoami: { argument: Record<string, never>; answer: WhoView }
  audit: { argument: AuditQuery; answer: AuditEntry[] }
  auditCheck: { argument: Record<string, never>; answer: AuditCheck }
  nodes: { argument: Record<string, never>; answer: NodesView }
  locate: { argument: { block?: BlockId }; answer: WorkerAddress[] }
}

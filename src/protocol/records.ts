// Owns the journal's language: every fact that can be recorded. Standbys and later releases read these for ever.
// Must not hold requests, or anything that may be lost at a failover (heartbeats, progress, logs, metrics).
//
// Append-only: new records get new numbers, new fields go to the end of a new record; nothing is ever renumbered.
import { scopeField, tokenIdField, userField, userRoleField } from './access.ts'
import { Reader, Writer } from './bytes.ts'
import { boolean, bytes, enumeration, type Infer, list, optional, string, struct, union, varint } from './codec.ts'
import { eventKey, triggerSpec, triggerSubmission } from './events.ts'
import { flowPlan } from './flow.ts'
import { lockMode, spaceKey } from './grants.ts'
import { limits } from './limits.ts'
import { nodeRecords } from './nodes.ts'
import { hashField, jobIdField, jobPlan, nameField, range, resources, runs, stagePlan, taskBlock } from './plan.ts'
import { runPolicy, stagePolicy } from './policies.ts'
import { scheduleSpec, tickOutcomes } from './schedules.ts'

/** Where the bytes of many inputs or results are: a payload of the journal's store. */
const payload = { payload: varint, bytes: varint }

/** Every fact that can be recorded, by its kind. */
export const record = union({
  /** A candidate became leader: the first record of its epoch. `cluster` is made by the first leader and never changes. */
  LeaderClaimed: [
    1,
    struct({ cluster: nameField, epoch: varint, leader: nameField, pid: varint, address: string(), release: nameField, atMs: varint }),
  ],
  /** Cluster time moved on: each append begins with it, so that `apply` needs no clock. */
  TimePassed: [2, struct({ nowMs: varint })],

  /** A candidate stands by or leads, with this priority P0; again when its priority changed or it came back. */
  CandidateJoined: [3, struct({ candidate: nameField, priority: varint })],
  /** A candidate is away; `failed`: it broke down or fell silent, it did not take its leave. */
  CandidateLeft: [4, struct({ candidate: nameField, failed: boolean })],
  /** The leader hands over on purpose: the last record of its epoch. `to` is who claims first. */
  LeaderResigned: [5, struct({ epoch: varint, to: nameField })],

  /** A worker registered, as a new incarnation. */
  WorkerJoined: [
    10,
    struct({
      worker: nameField,
      incarnation: varint,
      boot: nameField,
      capacity: resources,
      host: nameField,
      pid: varint,
      blocks: string(),
      labels: list(string(200), limits.labelsMax),
    }),
  ],
  /** An incarnation ended; all its lanes end with it. */
  WorkerLost: [11, struct({ worker: nameField, incarnation: varint, reason: string(4096) })],
  /** A worker takes no new work and ends when it has none. */
  WorkerDraining: [12, struct({ worker: nameField, incarnation: varint })],

  ProgramAdded: [20, struct({ program: hashField, ...payload })],
  /** No job needs it any more. */
  ProgramForgotten: [21, struct({ program: hashField })],

  JobSubmitted: [30, struct({ plan: jobPlan })],
  /** Inputs of the next tasks of a stage. */
  TasksAdded: [31, struct({ job: jobIdField, stage: varint, first: varint, count: varint, ...payload, blocks: list(taskBlock) })],
  /** No more tasks will be added: the stage's width is known. */
  StageSealed: [32, struct({ job: jobIdField, stage: varint })],
  JobCancelled: [33, struct({ job: jobIdField, reason: string(4096) })],
  TasksCancelled: [34, struct({ job: jobIdField, stage: varint, ranges: list(range) })],
  JobFinished: [35, struct({ job: jobIdField, state: enumeration('succeeded', 'failed', 'cancelled') })],
  /** The owner has these results and nobody will ask for them again. */
  ResultsReleased: [36, struct({ job: jobIdField, stage: varint, ranges: list(range) })],
  /** Retention is over: nothing of these jobs is known any more. */
  JobsForgotten: [37, struct({ jobs: list(jobIdField) })],

  /** A job whose tasks are the steps of a workflow: they wait for one another. */
  FlowSubmitted: [50, struct({ plan: jobPlan })],
  /** More stages of a workflow, behind those it has. */
  StagesAdded: [51, struct({ job: jobIdField, stages: list(stagePlan, limits.stagesMax) })],
  /** Steps of a workflow, whose tasks were added before. With `parent` they are what became of that step's one task, and their output is its result. */
  StepsAdded: [52, struct({ job: jobIdField, parent: optional(varint), flow: flowPlan })],
  /** The next task of the lane, which is a workflow as a step, was built: its steps are its outcome. */
  TaskExpanded: [53, struct({ lane: varint })],
  /** The next task of the lane has a list as its result, `width` items, each of which may become the input of a task. */
  TaskSpread: [54, struct({ lane: varint, width: varint, ...payload, blocks: list(taskBlock) })],
  /** The step is about to have a result that is true, or false, in the sense of `if`: branches wait for it. */
  BranchDecided: [55, struct({ job: jobIdField, step: varint, taken: boolean })],
  /** A signal for a workflow came; `signal` is its id, so that it counts once. */
  SignalReceived: [56, struct({ job: jobIdField, name: nameField, signal: nameField, ...payload })],

  /** A session asked for a lock: granted at once if it is free and nobody waits, else in its turn. `permits`: of a semaphore, how many there are. */
  LockAsked: [60, struct({ grant: nameField, lock: nameField, session: nameField, mode: lockMode, permits: varint, ttlMs: varint })],
  /** A grant, or the wait for it, is over; who is next is granted. `expired`: nothing was heard of its session for its time. */
  GrantEnded: [61, struct({ grant: nameField, reason: enumeration('released', 'expired') })],
  /** Entries of spaces changed, all at once. `number` is the session's own, so that it counts once; those below `before` are not asked for again. */
  EntriesWritten: [
    62,
    struct({
      session: nameField,
      number: varint,
      before: varint,
      /** Without a payload the entry is gone. */
      writes: list(struct({ space: nameField, key: spaceKey, payload: optional(varint), bytes: varint })),
    }),
  ],
  /** Nothing more will be heard of this session. */
  SessionEnded: [63, struct({ session: nameField })],

  /** There is a schedule, or another one of its name; the payload is what each of its runs is made of. */
  ScheduleSet: [70, struct({ spec: scheduleSpec, ...payload, nextAtMs: varint })],
  /** A tick was decided on, and the next one is at `nextAtMs`. */
  ScheduleTicked: [71, struct({ schedule: nameField, atMs: varint, nextAtMs: varint, outcome: enumeration(...tickOutcomes) })],
  /** A run of a schedule was submitted just before; `queued`: it is that of the tick which waited the longest. */
  ScheduleRan: [72, struct({ schedule: nameField, job: jobIdField, queued: boolean })],
  SchedulePaused: [73, struct({ schedule: nameField, paused: boolean, nextAtMs: varint })],
  ScheduleDeleted: [74, struct({ schedule: nameField })],
  /** Finished jobs have their rows in the history from here on, in this order, behind those that are there. */
  JobsArchived: [95, struct({ jobs: list(jobIdField) })],
  /** Places in the history: the rows stay, their results go. */
  HistoryEmptied: [96, struct({ first: varint, count: varint })],
  /** Places in the history: the rows go. */
  HistoryForgotten: [97, struct({ first: varint, count: varint })],

  /** There is a secret, or another one of its name: what only candidates can open. For jobs whose names begin with one of `jobs`; without any, for all. */
  SecretSet: [
    130,
    struct({
      secret: nameField,
      sealed: bytes(limits.secretBytesMax * 2),
      jobs: list(string(limits.nameBytesMax), limits.secretJobsMax),
    }),
  ],
  SecretDeleted: [131, struct({ secret: nameField })],

  /** Limits of a stage that has no tasks yet. */
  StageLimited: [80, struct({ job: jobIdField, policy: stagePolicy })],
  /** Limits of a job that has no tasks yet: where its key is full, it waits for its turn. */
  JobLimited: [81, struct({ job: jobIdField, policy: runPolicy })],
  /** The step did not end in its time: it has failed, and what runs of it is stopped. */
  StepTimedOut: [82, struct({ job: jobIdField, step: varint })],
  /** The job did not end in its time: it has failed, and what runs of it is stopped. */
  JobTimedOut: [83, struct({ job: jobIdField })],
  /** Nothing more of the job is handed out, or it is again. */
  JobPaused: [85, struct({ job: jobIdField, paused: boolean })],
  /** A workflow that did not succeed goes on: these steps wait again. `rerun` names who asked, so that it counts once; with `program`, by the definitions of that one. */
  JobRerun: [86, struct({ job: jobIdField, rerun: nameField, steps: list(range), program: optional(hashField) })],
  /** A workflow is being cancelled: nothing of it goes on but its compensations, and with them it ends. */
  JobCancelling: [106, struct({ job: jobIdField, reason: string(4096) })],
  /** There is a trigger, or another one of its name; what its runs are made of is so small that it stands here. */
  TriggerSet: [90, struct({ spec: triggerSpec, submission: triggerSubmission })],
  TriggerPaused: [91, struct({ trigger: nameField, paused: boolean })],
  TriggerDeleted: [92, struct({ trigger: nameField })],
  /**
   * An event was sent: every step that listens for it gets it, among them the first steps of the runs that it started, which were submitted just before.
   * Without a receiver there is no payload. So many of the ids that are remembered are forgotten with it, the oldest.
   */
  EventEmitted: [
    93,
    struct({
      event: nameField,
      key: eventKey,
      id: nameField,
      payload: optional(varint),
      bytes: varint,
      started: list(nameField, limits.triggersPerEventMax),
      forgotten: varint,
    }),
  ],

  /** There is a user, or this is what it is from now on. */
  UserSet: [110, struct({ user: userField, role: userRoleField, scope: scopeField })],
  /** The user is gone, and all its tokens with it. */
  UserDeleted: [111, struct({ user: userField })],
  /** A token of a user, of which only the SHA-256 of the whole text is known. One of this id that was there is worth nothing any more. */
  TokenIssued: [112, struct({ token: tokenIdField, user: userField, digest: hashField, expiresAtMs: varint })],
  TokenRevoked: [113, struct({ token: tokenIdField })],
  /** These expired long ago, or make room for others. */
  TokensForgotten: [114, struct({ tokens: list(tokenIdField, 1000) })],

  /** Work was handed to a worker's lane. A lane that is not there yet is opened, with one reservation of its class's resources. */
  TasksAssigned: [40, struct({ lane: varint, worker: nameField, incarnation: varint, runs, adopted: boolean })],
  /** The next `count` tasks of the lane, all of one job, have results: items of the payload in their order. Those with blocks are of one run. */
  TasksFinished: [41, struct({ lane: varint, count: varint, ...payload, blocks: list(taskBlock) })],
  /** The next task of the lane failed. With `retryAtMs` it will be tried again, without it the failure is its outcome. */
  TaskFailed: [
    42,
    struct({
      lane: varint,
      code: nameField,
      message: string(4096),
      /** The encoded stack, kept for final failures. */
      stack: string(limits.errorBytesMax),
      retryAtMs: optional(varint),
    }),
  ],
  /** The next `count` tasks of the lane were cancelled and have stopped, or never ran. */
  TasksSkipped: [43, struct({ lane: varint, count: varint })],
  /** The lane keeps its next `keep` tasks; the rest never started and is ready again. */
  TasksReturned: [44, struct({ lane: varint, keep: varint })],
  /** A worker that came back has outcomes for all tasks of this lane and is about to tell them: the lane reserves nothing any more. */
  LaneVacated: [45, struct({ lane: varint })],
  ...nodeRecords,
})
/** One fact. */
export type JournalRecord = Infer<typeof record>
/** The name of a kind of fact. */
export type RecordKind = JournalRecord['kind']
/** The fact of one kind. */
export type RecordOf<K extends RecordKind> = Extract<JournalRecord, { kind: K }>

/** The bytes of the records of one append. */
export function encodeRecords(records: readonly JournalRecord[]): Buffer {
  const writer = new Writer(records.length * 64)
  for (const one of records) record.write(writer, one)
  return writer.finish()
}

/** The `count` records of one append; throws FRAME_MALFORMED on anything else. */
export function decodeRecords(bytes: Uint8Array, count: number): JournalRecord[] {
  const reader = new Reader(bytes)
  const records: JournalRecord[] = []
  for (let i = 0; i < count; i++) records.push(record.read(reader))
  reader.finish()
  return records
}

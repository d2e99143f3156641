// Owns every message between client, leader and worker. Inputs and results are opaque chunks in them.
// Must not hold behaviour. docs/protocol.md tells in which order they go.
import { scopeField, tokenIdField, userField, userRoleField } from './access.ts'
import { boolean, bytes, enumeration, float64, type Infer, list, optional, string, struct, union, varint } from './codec.ts'
import { eventKey, triggerSpec, triggerSubmission } from './events.ts'
import { flowPlan } from './flow.ts'
import { exchange, lockMode, spaceKey } from './grants.ts'
import { logLine, wireError } from './greeting.ts'
import { limits } from './limits.ts'
import * as nodes from './nodes.ts'
import { inputs, outcome, taskFailure } from './outcomes.ts'
import { hashField, jobIdField, jobPlan, nameField, range, resources, runs, stagePlan } from './plan.ts'
import { jobPolicies } from './policies.ts'
import { scheduledSubmission, scheduleSpec } from './schedules.ts'

const chunk = bytes(limits.frameBytesMax)
const json = string(limits.frameBytesMax)
const request = varint

/** The questions that can be asked about the cluster (see views.ts). */
export const viewName = enumeration(
  'status',
  'jobs',
  'job',
  'workers',
  'story',
  'why',
  'task',
  'locate',
  'steps',
  'locks',
  'schedules',
  'triggers',
  'secrets',
  'nodes',
  'users',
  'whoami',
  'audit',
  'auditCheck',
)
export type ViewName = Infer<typeof viewName>

/** A job with its first inputs; `watch`: this connection wants results and changes. What schedules keep is stored.ts's. */
export const submission = struct({
  plan: jobPlan,
  inputs: list(inputs, limits.inputsMax),
  /** The steps of a workflow: its inputs are those of its steps, stage by stage. */
  ...{ flow: optional(flowPlan), ...jobPolicies },
  watch: boolean,
})

/** What a client asks of the leader. */
export const clientToLeader = union({
  putProgram: [1, struct({ request, program: hashField, bytes: bytes(limits.programBytesMax) })],
  submitJobs: [2, struct({ request, jobs: list(submission, limits.submitJobsMax) })],
  /** Idempotent by (job, stage, first): what is there already is acknowledged again. */
  addTasks: [3, struct({ request, job: jobIdField, inputs })],
  cancelJob: [4, struct({ request, job: jobIdField, reason: string(1024) })],
  cancelTasks: [5, struct({ request, job: jobIdField, stage: varint, ranges: list(range) })],
  /** Send (again) what the job has and will have: all results not released, then changes. */
  watch: [6, struct({ request, job: jobIdField })],
  unwatch: [7, struct({ job: jobIdField })],
  releaseResults: [8, struct({ job: jobIdField, stage: varint, ranges: list(range) })],
  readResults: [9, struct({ request, job: jobIdField, stage: varint, first: varint, count: varint })],
  /** A question about the cluster's state; the argument and the answer are JSON (see views.ts). */
  ask: [10, struct({ request, view: viewName, argument: json })],
  /** Lines of a job's (or one task's) logs; with `follow` also those to come, until `unfollow`. */
  readLogs: [11, struct({ request, job: jobIdField, stage: optional(varint), index: optional(varint), follow: boolean })],
  unfollow: [12, struct({ request })],
  drainWorker: [13, struct({ request, worker: nameField })],
  /** Hand the leadership over to this standby. Answered once that is begun; the connection ends soon after. */
  promote: [14, struct({ request, candidate: nameField })],
  /** Tell a workflow something; `signal` is the id by which it counts once. `items` is a chunk of one value. */
  signal: [15, struct({ request, job: jobIdField, name: nameField, signal: nameField, items: chunk })],
  /** Answered by `granted` in its turn; asked again after a reconnect, `grant` is the same. */
  lock: [16, struct({ request, grant: nameField, lock: nameField, mode: lockMode, permits: varint, ttlMs: varint })],
  unlock: [17, struct({ request, grant: nameField })],
  /** The session lives, and wants to keep these grants, or its places in the lines for them. Answered by `kept`. */
  keepGrants: [18, struct({ request, grants: list(nameField, limits.keptGrantsMax) })],
  readEntries: [19, struct({ request, space: nameField, keys: list(spaceKey, limits.transactionEntriesMax) })],
  /** Entries whose keys begin with `prefix` and come behind `after`, in the order of their keys. */
  listEntries: [20, struct({ request, space: nameField, prefix: spaceKey, after: spaceKey, limit: varint })],
  /** All of it in one append, or nothing. `number` counts the transactions of the session; all below `before` are answered. */
  transact: [21, struct({ request, number: varint, before: varint, exchange, jobs: list(submission, limits.transactionJobsMax) })],
  /** What each run is made of travels as one piece, with a plan whose job id is filled in at each tick. */
  setSchedule: [22, struct({ request, spec: scheduleSpec, submission: scheduledSubmission, replace: boolean })],
  changeSchedule: [23, struct({ request, schedule: nameField, change: enumeration('pause', 'resume', 'delete') })],
  /** A run now, besides the ticks: the job `schedule@run`. */
  triggerSchedule: [24, struct({ request, schedule: nameField, run: nameField })],
  pauseJob: [28, struct({ request, job: jobIdField, paused: boolean })],
  rerunJob: [29, struct({ request, job: jobIdField, rerun: nameField, program: optional(hashField) })],
  compensateJob: [39, struct({ request, job: jobIdField, reason: string(1024) })],
  /** What a step of a workflow was given, or came to, from item `first` on. */
  readStep: [30, struct({ request, job: jobIdField, step: varint, part: enumeration('input', 'result'), first: varint })],
  setTrigger: [31, struct({ request, spec: triggerSpec, submission: triggerSubmission, replace: boolean })],
  changeTrigger: [32, struct({ request, trigger: nameField, change: enumeration('pause', 'resume', 'delete') })],
  /** There is a user of this name, or with `replace` another one. What is connected as this user connects anew. */
  setUser: [40, struct({ request, user: userField, role: userRoleField, scope: scopeField, replace: boolean })],
  /** The user and all its tokens go, and who is connected with them. */
  deleteUser: [41, struct({ request, user: userField })],
  /** Answered by `tokenIssued`. The id is the asker's: asked again, the token has another secret and the one before is worth nothing. */
  issueToken: [42, struct({ request, token: tokenIdField, user: userField, ttlMs: varint })],
  revokeToken: [43, struct({ request, token: tokenIdField })],
  /** Answered by `emitted`. The id counts once for each event; `items` is a chunk of one value. */
  /** `value`: the secret itself, as UTF-8. */
  setSecret: [
    60,
    struct({
      request,
      secret: nameField,
      value: bytes(limits.secretBytesMax),
      jobs: list(string(limits.nameBytesMax), limits.secretJobsMax),
    }),
  ],
  deleteSecret: [61, struct({ request, secret: nameField })],
  emit: [33, struct({ request, event: nameField, key: eventKey, id: nameField, items: bytes(limits.inlineBytesMax + 64) })],
  ...nodes.nodeOrders,
})
export type ClientToLeader = Infer<typeof clientToLeader>

/** What the leader answers and tells a client. */
export const leaderToClient = union({
  done: [1, struct({ request })],
  failed: [2, struct({ request, error: wireError })],
  /** One outcome per submitted job, in order. A job that was there already with the same content is `existing`. */
  submitted: [
    3,
    struct({ request, outcomes: list(struct({ job: jobIdField, existing: boolean, error: optional(wireError) }), limits.submitJobsMax) }),
  ],
  results: [4, struct({ job: jobIdField, stage: varint, first: varint, items: chunk })],
  tasksFailed: [5, struct({ job: jobIdField, stage: varint, failures: list(taskFailure) })],
  jobChanged: [6, struct({ job: jobIdField, state: enumeration('running', 'succeeded', 'failed', 'cancelled'), reason: string(4096) })],
  view: [7, struct({ request, body: json })],
  resultsRead: [
    8,
    struct({ request, parts: list(struct({ first: varint, items: chunk })), failures: list(taskFailure), next: optional(varint) }),
  ],
  /** `ended`: no more lines will come for this request. `dropped`: lines lost since the last message because the reader was slow. */
  logLines: [9, struct({ request, lines: list(logLine), dropped: varint, ended: boolean })],
  /** Sent every `pulseMs`: the leader lives. */
  pulse: [10, struct({ epoch: varint })],
  progress: [11, struct({ job: jobIdField, stage: varint, index: varint, fraction: float64, note: string(1024) })],
  granted: [12, struct({ request, token: varint })],
  /** Without an item there is no such entry. `next`: the key behind which the rest begins. */
  entries: [
    13,
    struct({ request, entries: list(struct({ key: spaceKey, version: varint, item: optional(chunk) })), next: optional(spaceKey) }),
  ],
  transacted: [14, struct({ request, version: varint })],
  /** Chunks with what was asked for: with `list` all items are, else the only one, or `undefined` without any; `next` says where to go on. Or how the step failed. */
  stepRead: [
    16,
    struct({
      request,
      list: boolean,
      chunks: list(chunk),
      failure: optional(struct({ stage: varint, failure: taskFailure })),
      next: optional(varint),
    }),
  ],
  /** Workflows that are watched have succeeded, and these are their results: with `list` all items are, else the only one. Nothing more is sent of them. */
  workflowsEnded: [19, struct({ ends: list(struct({ job: jobIdField, list: boolean, items: chunk }), limits.submitJobsMax) })],
  /** This leader led when it heard that; these grants are over, or were never asked for. */
  kept: [21, struct({ request, over: list(nameField, limits.keptGrantsMax) })],
  /** What its user shows to be let in: nobody can be told it again. */
  tokenIssued: [30, struct({ request, token: string(limits.tokenBytesMax), expiresAtMs: varint })],
  /** How many runs of triggers the event started, and how many steps of workflows got it. */
  emitted: [17, struct({ request, started: varint, woken: varint })],
  ...nodes.nodeAnswers,
})
export type LeaderToClient = Infer<typeof leaderToClient>

/** A lane as its worker knows it: told at registration, so that leader and worker agree on where it stands. */
const laneReport = struct({
  lane: varint,
  /** Tasks ever received for it, and of these how many were reported (acknowledged or not). */
  received: varint,
  reported: varint,
  /** All runs received that hold tasks from the first unacknowledged one on; the first may begin in the middle of a run. */
  acknowledged: varint,
  runs,
})
export type LaneReport = Infer<typeof laneReport>

/** What a worker tells and asks the leader. */
export const workerToLeader = union({
  register: [
    1,
    struct({
      capacity: resources,
      host: nameField,
      pid: varint,
      blocks: string(),
      labels: list(string(200), limits.labelsMax),
      lanes: list(laneReport),
    }),
  ],
  heartbeat: [
    2,
    struct({
      sequence: varint,
      /** Share of the machine's cpu time used since the last one, 0 to 1. */
      cpuShare: float64,
      memoryUsedBytes: varint,
      memoryFreeBytes: varint,
      eventLoopDelayMs: float64,
      diskFreeBytes: varint,
      executors: varint,
    }),
  ],
  /** Outcomes of the lane's tasks in order, the first being its task number `from` since it was opened. Sent again until acknowledged. */
  report: [3, struct({ lane: varint, from: varint, outcomes: list(outcome) })],
  /** The lane's tasks from number `from` on will not be started here: they are the leader's again. */
  returnTasks: [4, struct({ lane: varint, from: varint })],
  getProgram: [5, struct({ request, program: hashField })],
  logLines: [6, struct({ request, lines: list(logLine), dropped: varint, ended: boolean })],
  progress: [7, struct({ job: jobIdField, stage: varint, index: varint, fraction: float64, note: string(1024) })],
  /** Where can this block be had? Answered by `blockLocated`. */
  locateBlock: [8, struct({ request, holder: nameField, block: hashField })],
  /** A task of the lane asks for a secret. Answered by `secret`. */
  getSecret: [13, struct({ request, lane: varint, job: jobIdField, stage: varint, secret: nameField })],
  ...nodes.workerCertificates,
})
export type WorkerToLeader = Infer<typeof workerToLeader>

/** What the leader orders and answers a worker. */
export const leaderToWorker = union({
  /** The registration is durable. Lanes listed in `keep` go on with that many tasks (counted since the lane was opened); all other lanes are dropped. */
  registered: [
    1,
    struct({
      incarnation: varint,
      epoch: varint,
      keep: list(struct({ lane: varint, tasks: varint })),
      /** By which it knows capabilities for its blocks (see capability.ts), and cluster time now, by which they expire. */
      blockKey: bytes(limits.blockKeyBytes),
      timeMs: varint,
    }),
  ],
  /** More tasks for a lane. `plan` comes with the first ones: what to run, with which limits. */
  assign: [
    2,
    struct({
      epoch: varint,
      incarnation: varint,
      lane: varint,
      plan: optional(stagePlan),
      /** `inputs` are chunks that together hold the inputs of the runs in order. */
      runs,
      inputs: list(chunk),
    }),
  ],
  /** Stop tasks of this job in the lane (all of them, or those in `ranges` of the stage) and report them as skipped. */
  cancel: [3, struct({ epoch: varint, lane: varint, job: jobIdField, stage: optional(varint), ranges: list(range) })],
  /** Outcomes before task number `count` of the lane are durable: forget them. */
  acknowledge: [4, struct({ lanes: list(struct({ lane: varint, count: varint })) })],
  /** Answer to getProgram; no bytes: there is no such program. */
  program: [5, struct({ request, bytes: optional(bytes(limits.programBytesMax)) })],
  /** Blocks of this holder that nothing names any more: the worker itself, or one that is gone and whose blocks may lie in a durable tier. */
  dropBlocks: [6, struct({ epoch: varint, blocks: list(hashField), holder: nameField })],
  readLogs: [7, struct({ request, job: jobIdField, stage: optional(varint), index: optional(varint), follow: boolean })],
  unfollow: [8, struct({ request })],
  drain: [9, struct({ epoch: varint })],
  pulse: [10, struct({ epoch: varint })],
  /** This incarnation is over (it was declared lost): forget its lanes and register anew. */
  dismissed: [11, struct({ reason: string(1024) })],
  /** Workers that are known to hold the block, the one that was named first, each with a capability to read it there. */
  blockLocated: [
    12,
    struct({ request, replicas: list(struct({ worker: nameField, address: string(), capability: string() }), limits.replicasMax) }),
  ],
  /** Without a value there is an error. */
  secret: [16, struct({ request, value: optional(bytes(limits.secretBytesMax)), code: nameField, message: string(4096) })],
  ...nodes.certificatesForWorkers,
})
export type LeaderToWorker = Infer<typeof leaderToWorker>

/** What a standby tells the leader that it follows. */
export const candidateToLeader = union({
  /** It stands by, with this priority P0. */
  standBy: [1, struct({ priority: varint, pid: varint })],
  /** It lives, and has applied the journal up to here. */
  applied: [2, struct({ index: varint })],
  /** It ends on purpose. */
  leaving: [3, struct({})],
  ...nodes.candidateCertificates,
})
export type CandidateToLeader = Infer<typeof candidateToLeader>

/** What the leader tells its standbys. */
export const leaderToCandidate = union({
  /** The leader lives; the journal's last index. */
  pulse: [1, struct({ epoch: varint, index: varint })],
  /** It leads no more, on purpose; its last record is durable. `to` claims at once. */
  resigned: [2, struct({ epoch: varint, to: nameField })],
  /** This standby cannot stand by: its priority is refused. */
  refused: [3, struct({ code: nameField, message: string(4096) })],
  ...nodes.certificatesForCandidates,
})
export type LeaderToCandidate = Infer<typeof leaderToCandidate>

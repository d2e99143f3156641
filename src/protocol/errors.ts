// Owns every expected error of Coxswain: its code, its advice, its class. docs/errors.md is held to this table by a test.
// Must not hold broken assumptions: those are `assert`ed and end the process.

/** What to do about each code, in one sentence. The keys are all the codes there are. */
export const errorAdvice = {
  // --- asking for something that cannot be
  INVALID_ARGUMENT: 'Correct the named argument and call again.',
  INVALID_TASK: 'Correct the task definition named in the message.',
  DUPLICATE_TASK: 'Give each task of a program a name of its own.',
  INVALID_WORKFLOW: 'Correct the workflow as the message says: docs/workflows.md has the rules.',
  INVALID_SCHEDULE: 'Correct the cron expression, the interval or the timezone that is named: docs/schedules.md has the rules.',
  SCHEDULE_CHANGED: 'Replace it on purpose with `{ replace: true }`, or give this schedule a name of its own.',
  INVALID_TRIGGER: 'Correct the name, the event or what it runs: docs/events.md has the rules.',
  TRIGGER_CHANGED: 'Replace it on purpose with `{ replace: true }`, or give this trigger a name of its own.',
  INVALID_RESOURCES: 'Ask for finite, non-negative amounts; memory as bytes or like "512mb".',
  VALUE_CANNOT_TRAVEL: 'Send plain data; turn the named field into JSON types, Map, Set, Date, BigInt, typed arrays, Buffer or Error.',
  VALUE_MALFORMED: 'The bytes are not a value of this release; check that client and workers run compatible releases.',
  SCHEMA_VIOLATION: 'Correct the input so that it satisfies the schema of the task.',
  JOB_ID_REUSED: 'Choose another job id, or submit the same content under this one.',
  NOT_FOUND: 'Check the id with `cox jobs`, `cox workers` or `cox schedules`; finished jobs are forgotten after their retention.',
  JOB_ARCHIVED:
    'The history keeps how the job ended, and its results up to a limit, but not what was asked for; ask while the job is recent.',
  STEP_NOT_READY: 'Ask again when the step is further: `cox job JOB` shows where each one stands, `cox why JOB` what it waits for.',
  RESULT_GONE: 'The result was released or its retention is over; run the job again.',
  // --- programs
  PROGRAM_BUILD_FAILED: 'Correct the named module so that it bundles; packages with native code go into `external`.',
  PROGRAM_LOAD_FAILED: 'Correct the module: it must load on a worker without side effects.',
  PROGRAM_MISSING: 'The client uploads the program and sends the job again by itself; if you see this, submit again.',
  PROGRAM_TOO_LARGE: 'Make the bundle smaller, or install large packages on the workers and name them in `external`.',
  MODULE_MISSING: 'Install the named package on every worker, or remove it from `external`.',
  TASK_NOT_FOUND: 'Export the task from the module that defines it.',
  CONNECT_WHILE_LOADING: 'Move `connect()` under `if (import.meta.main)`: a program is imported by the workers.',
  // --- how tasks end
  TASK_FAILED: 'Read the remote stack and the attempts in this error.',
  TASK_TIMEOUT: 'Raise `timeout`, or make the task stop on `ctx.signal`.',
  STEP_TIMEOUT: 'Raise `stepTimeout`, look with `cox why` what the step waited for, or catch this with `flow.catch`.',
  RUN_TIMEOUT: 'Raise `timeout` of the run, or look with `cox story` what took so long.',
  TASK_CANCELLED: 'Nothing to do: the job or the call was cancelled.',
  TASK_OUT_OF_MEMORY: 'Raise `memory`, or process the input in smaller pieces.',
  TASK_CRASHED: 'The executor process ended under the task; see its last words in the logs.',
  TASK_POISONED: 'Its executors or workers died each time; it is quarantined. Correct the task and submit it anew.',
  TASK_RESULT_INVALID: 'The task returned something that cannot travel or that its output schema refuses.',
  WORKFLOW_TOO_DEEP: 'Let the recursion end: a workflow that is its own step must have a case without that step.',
  SIGNAL_TIMEOUT: 'Send the signal in time, wait longer, or catch this with `flow.catch`.',
  EVENT_TIMEOUT: 'Emit the event in time, wait longer, or catch this with `flow.catch`.',
  LOCK_LOST: 'The grant is over, and what it guarded may be in the hands of another: stop, and ask for the lock again.',
  LOCK_TIMEOUT: 'Others hold the lock: wait longer, or try again later. `cox locks` shows who they are.',
  LIMIT_CONFLICT: 'One name, one limit: let all programs that use it say the same, or give one of them a name of its own.',
  KEY_BUSY: 'Another run has this key: wait for its end, or submit with `whenBusy: "queue"`.',
  TRANSACTION_CONFLICT: 'Read again and repeat what was to be done; `cluster.transact` does this by itself.',
  JOB_ENDED: 'Nothing can be told to a job that has ended: submit it anew.',
  CANNOT_RERUN: 'Only a workflow that failed or was cancelled, and has ended, can go on from there: submit it anew.',
  STEP_VANISHED: 'Keep a task or workflow of this name in the program, or submit the workflow anew.',
  WORKER_LOST: 'Nothing to do: the task runs again on another worker.',
  WORKER_DISK_FAILED:
    'Nothing to do for the task: it runs again, elsewhere if it can. Free space in the state folder of the worker that is named.',
  BLOCK_LOST: 'The worker that held the bytes is gone; run the job again.',
  BLOCK_CORRUPT: 'The bytes on disk do not match their hash and were not used; check that disk, then run the job again.',
  // --- the cluster says no, or not now
  OVERLOADED: 'Wait for `retryAfterMs` and call again; SDK iterators do this by themselves.',
  UNAUTHENTICATED: 'Use the token of this cluster: COX_TOKEN_FILE, or the token file in its state folder.',
  FORBIDDEN: 'Use a credential whose role and scope allow this: `cox whoami` shows yours, docs/access.md what each may do.',
  USER_EXISTS: 'Change it on purpose with `--replace`, or choose another name.',
  UNAVAILABLE: 'No leader answers: start one with `cox up`, or check COX_URL.',
  NO_CLUSTER: 'Start one with `cox up`, or set COX_URL.',
  CONNECTION_LOST: 'The connection ended and could not be made again in time; the job goes on: ask for it by id.',
  JOIN_TOKEN_MALFORMED: 'Copy the whole token again: `cox cluster token` prints it in one piece.',
  JOIN_TOKEN_UNKNOWN: 'Make a new one with `cox cluster token`, on the cluster that this machine is to join.',
  JOIN_TOKEN_EXPIRED: 'Make a new one with `cox cluster token`; `--expires` says how long it lives.',
  JOIN_TOKEN_USED: 'Make a new one with `cox cluster token`; `--uses` says for how many machines.',
  JOIN_ROLE_REFUSED: 'Make a token for this role: `cox cluster token --role worker`, or `--role candidate`.',
  NODE_NAME_TAKEN: 'Join under another name (`--name`), or end the other node first: `cox node revoke NAME`.',
  NODE_REVOKED: 'This node was revoked: join anew with a new token, if it is to come back.',
  AUTHORITY_MISMATCH:
    'Nothing was sent. Check the address, and whether somebody stands in between; tokens from before a change of authority are void.',
  CLOCK_SKEWED: 'Set the clock of the machine that is named (NTP): certificates are valid between two times.',
  NOT_ENROLLED: 'Make a cluster of machines with `cox cluster init`, or join one with `cox join TOKEN`.',
  ALREADY_ENROLLED: 'Choose another COX_HOME for another node; to join anew, remove the folder `node` of the state folder.',
  VERSION_MISMATCH: 'Upgrade the older side: the message names both releases.',
  WRONG_CLUSTER: 'The other side belongs to another cluster: check the address and the state folder.',
  FENCED: 'A newer leader exists: reconnect to it.',
  SECRET_UNKNOWN: 'Set it with `cox secret set NAME`, or correct the name: `cox secret list` has all.',
  SECRET_UNDECLARED: 'Name it in the definition of the task: `secrets: [NAME]`.',
  SECRETS_UNAVAILABLE: 'Start all candidates with the same encryption key: docs/secrets.md says how.',
  // --- bytes on the wire and on disk
  FRAME_MALFORMED: 'The peer sent bytes that are no message; check that both sides are Coxswain of compatible releases.',
  FRAME_TOO_LARGE: 'Send less in one message; larger values travel as blocks by themselves.',
  JOURNAL_CORRUPT:
    'Nothing after the named record was used and nothing was deleted. Restore the folder from a backup, or see docs/operations.md.',
  JOURNAL_WRITE_FAILED: 'The disk refused a write; free space or replace it, then start again. Nothing acknowledged is lost.',
  JOURNAL_VERSION:
    'This journal was written by another release: start that one or a newer one; one of an older release is brought up to date when a cluster starts on it.',
  JOURNAL_UNAVAILABLE:
    'The store of the journal does not answer, or takes no writes: see that it runs, has a quorum, and can be reached from this machine. Nothing acknowledged is lost.',
  JOURNAL_UNUSABLE: 'Correct what the message names about the store of the journal: its address, rights, settings or content.',
  JOURNAL_WENT_BACK:
    'The store was replaced by an older copy of itself (an asynchronous failover, a restore): start this node again, it goes on from what is there.',
  UNSAFE_ETCD: 'Upgrade every member of etcd to a release without these bugs, or lead all the same with --allow-unsafe-etcd.',
  FOREIGN_DATA: 'Give the journal a place of its own: what is in this one belongs to another program, and was not touched.',
  PACKAGE_MISSING: 'Install the package that is named beside coxswain.',
  STATE_FOLDER_IN_USE: 'Another leader owns this folder: use it, stop it with `cox down`, or choose another COX_HOME.',
  STATE_FOLDER_UNUSABLE: 'Give the folder to this user with mode 0700 on a local disk, or choose another COX_HOME.',
  NETWORK_FILE_SYSTEM: 'Put the state folder on a local disk: network file systems do not keep the promises the journal needs.',
  ENCRYPTION_KEY_MISSING: 'What is stored is encrypted: give this node the key file of the cluster. docs/encryption.md says how.',
  ENCRYPTION_KEY_WRONG: 'Put the key whose id is named into the key file, behind the present one, and start again: docs/encryption.md.',
  ENCRYPTION_KEY_UNUSABLE:
    'Correct the key file, variable or command as the message says: docs/encryption.md has the form, and how a key is made.',
  ADDRESS_IN_USE: 'Choose another port with --port, or stop what listens there.',
  OBJECT_STORE_FAILED: 'Check the address, the credentials and the permissions of the bucket; what was not stored is tried again or fails.',
  // --- the command line
  USAGE: 'See `cox --help`.',
  INVALID_CONFIG:
    'Correct what is named; docs/configuration.md has all settings, `cox config --check FILE` tries a file, and `cox config` shows what holds.',
  INTERRUPTED: 'Nothing to do: it was interrupted.',
} as const

/** The code of an expected error. */
export type ErrorCode = keyof typeof errorAdvice

/** What an error may carry besides code and message. */
export interface ErrorDetails {
  /** The id of what the error is about: a job, worker, record, file. */
  id?: string
  /** For OVERLOADED: when to try again, in milliseconds. */
  retryAfterMs?: number
  cause?: unknown
}

/** An expected error: it has a code, says what happened to which id, and what to do. */
export class CoxswainError extends Error {
  readonly code: ErrorCode
  /** The id of what the error is about, or undefined. */
  readonly id: string | undefined
  /** For OVERLOADED: when to try again, in milliseconds. */
  readonly retryAfterMs: number | undefined

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.name = 'CoxswainError'
    this.code = code
    this.id = details.id
    this.retryAfterMs = details.retryAfterMs
  }

  /** What to do about it, in one sentence. */
  get advice(): string {
    return errorAdvice[this.code]
  }
}

/** The cluster is over one of its named limits and took nothing; try again after `retryAfterMs`. */
export class OverloadedError extends CoxswainError {
  constructor(message: string, details: ErrorDetails = {}) {
    super('OVERLOADED', message, { retryAfterMs: 100, ...details })
    this.name = 'OverloadedError'
  }
}

/** One failed attempt of a task. */
export interface FailedAttempt {
  attempt: number
  worker: string
  code: ErrorCode
  message: string
  /** Cluster time of the failure, milliseconds since 1970. */
  atMs: number
}

/** A task failed for good: the last error with its remote stack, and every attempt before it. */
export class TaskFailedError extends CoxswainError {
  /** `job/stage/index` of the task. */
  readonly task: string
  /** The stack on the worker, with the user's own source lines. */
  readonly remoteStack: string
  /** All failed attempts that are still known, oldest first. */
  readonly attempts: FailedAttempt[]
  /** The command that prints everything the journal knows about this task. */
  readonly story: string

  constructor(code: ErrorCode, message: string, details: ErrorDetails & { task: string; remoteStack: string; attempts: FailedAttempt[] }) {
    super(code, message, { id: details.task, ...details })
    this.name = 'TaskFailedError'
    this.task = details.task
    this.remoteStack = details.remoteStack
    this.attempts = details.attempts
    this.story = `cox story ${details.task}`
    if (details.remoteStack) this.stack = `${this.name}: ${message}\n    --- on the worker ---\n${details.remoteStack}`
  }
}

/** True for a string that is one of our codes. */
export function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === 'string' && Object.hasOwn(errorAdvice, code)
}

/** Makes the right class for a code that came over the wire; an unknown code becomes FRAME_MALFORMED. */
export function errorFromWire(code: string, message: string, details: ErrorDetails = {}): CoxswainError {
  if (code === 'OVERLOADED') return new OverloadedError(message, details)
  return new CoxswainError(isErrorCode(code) ? code : 'FRAME_MALFORMED', message, details)
}

// Owns which exit code each error gets. docs/cli.md lists the same table and a test compares them.
// Must not print.
import { CoxswainError, type ErrorCode } from '../protocol/errors.ts'

/** The exit codes of `cox`. */
export const exitCodes = {
  ok: 0,
  /** The task, the job or a check failed, or what was asked for is not there. */
  failed: 1,
  /** The command or its input cannot be. */
  usage: 2,
  /** No cluster answers. */
  unavailable: 3,
  /** Somebody said no: credentials, limits, a folder or port in use, an unusable disk. */
  refused: 4,
  /** A mistake in Coxswain itself. */
  internal: 5,
  interrupted: 130,
} as const

const { failed, usage, unavailable, refused, internal, interrupted } = exitCodes

const byCode: Record<ErrorCode, number> = {
  INVALID_ARGUMENT: usage,
  INVALID_TASK: usage,
  DUPLICATE_TASK: usage,
  INVALID_WORKFLOW: usage,
  INVALID_SCHEDULE: 2,
  SCHEDULE_CHANGED: 4,
  INVALID_TRIGGER: usage,
  TRIGGER_CHANGED: refused,
  INVALID_RESOURCES: usage,
  VALUE_CANNOT_TRAVEL: usage,
  VALUE_MALFORMED: failed,
  SCHEMA_VIOLATION: usage,
  SECRET_UNKNOWN: failed,
  SECRET_UNDECLARED: usage,
  SECRETS_UNAVAILABLE: refused,
  OBJECT_STORE_FAILED: unavailable,
  JOB_ID_REUSED: refused,
  NOT_FOUND: failed,
  STEP_NOT_READY: failed,
  RESULT_GONE: failed,
  PROGRAM_BUILD_FAILED: usage,
  PROGRAM_LOAD_FAILED: failed,
  PROGRAM_MISSING: failed,
  PROGRAM_TOO_LARGE: usage,
  MODULE_MISSING: failed,
  TASK_NOT_FOUND: usage,
  CONNECT_WHILE_LOADING: usage,
  TASK_FAILED: failed,
  TASK_TIMEOUT: failed,
  STEP_TIMEOUT: failed,
  RUN_TIMEOUT: failed,
  TASK_CANCELLED: failed,
  TASK_OUT_OF_MEMORY: failed,
  TASK_CRASHED: failed,
  TASK_POISONED: failed,
  TASK_RESULT_INVALID: failed,
  WORKFLOW_TOO_DEEP: failed,
  SIGNAL_TIMEOUT: failed,
  EVENT_TIMEOUT: failed,
  LOCK_LOST: 1,
  LOCK_TIMEOUT: 1,
  LIMIT_CONFLICT: 4,
  KEY_BUSY: refused,
  TRANSACTION_CONFLICT: 1,
  JOB_ENDED: refused,
  JOB_ARCHIVED: refused,
  CANNOT_RERUN: refused,
  STEP_VANISHED: usage,
  WORKER_LOST: failed,
  WORKER_DISK_FAILED: failed,
  BLOCK_LOST: failed,
  BLOCK_CORRUPT: failed,
  OVERLOADED: refused,
  UNAUTHENTICATED: refused,
  FORBIDDEN: refused,
  UNAVAILABLE: unavailable,
  NO_CLUSTER: unavailable,
  CONNECTION_LOST: unavailable,
  VERSION_MISMATCH: refused,
  WRONG_CLUSTER: refused,
  FENCED: refused,
  FRAME_MALFORMED: internal,
  FRAME_TOO_LARGE: internal,
  JOURNAL_CORRUPT: refused,
  JOURNAL_WRITE_FAILED: refused,
  JOURNAL_VERSION: refused,
  JOURNAL_UNAVAILABLE: unavailable,
  JOURNAL_UNUSABLE: refused,
  JOURNAL_WENT_BACK: refused,
  UNSAFE_ETCD: refused,
  FOREIGN_DATA: refused,
  PACKAGE_MISSING: refused,
  STATE_FOLDER_IN_USE: refused,
  STATE_FOLDER_UNUSABLE: refused,
  NETWORK_FILE_SYSTEM: refused,
  ENCRYPTION_KEY_MISSING: refused,
  ENCRYPTION_KEY_WRONG: refused,
  ENCRYPTION_KEY_UNUSABLE: refused,
  ADDRESS_IN_USE: refused,
  USAGE: usage,
  INVALID_CONFIG: usage,
  INTERRUPTED: interrupted,
}

/** The exit code for whatever was thrown. */
export function exitCodeOf(error: unknown): number {
  return error instanceof CoxswainError ? byCode[error.code] : internal
}

// The face of the client, which is the whole face of the package to its users.
// Must not export anything that users should not build on.

export type {
  AuditCheck,
  AuditEntry,
  AuditQuery,
  CandidateView,
  ErrorCode,
  ErrorDetails,
  FailedAttempt,
  FlowView,
  JobState,
  JobsQuery,
  JobView,
  LockHolderView,
  LockView,
  LogLine,
  Resources,
  RetryPolicy,
  ScheduleView,
  StageView,
  StatusView,
  StepView,
  StoryLine,
  TaskCounts,
  TokenView,
  TriggerView,
  UserRole,
  UserView,
  WhoView,
  WhyView,
  WorkerView,
} from '../protocol/index.ts'
export { CoxswainError, OverloadedError, release as version, TaskFailedError } from '../protocol/index.ts'
export type { Access, IssuedToken, UserOptions } from './access.ts'
export type { Duration, ResourceOptions, Size } from './amounts.ts'
export type { CallArguments, Cluster, MapItem, MapResults, MapValue, SubmitOptions } from './cluster.ts'
export { type CoxswainConfig, defineConfig } from './config.ts'
export { type ConnectOptions, connect } from './connect.ts'
export type { CommitChanges, TaskContext, TaskLog } from './context.ts'
export {
  type Awaitable,
  type BackoffOptions,
  type Task,
  type TaskInput,
  type TaskOf,
  type TaskOptions,
  type TaskOutput,
  type TaskPolicy,
  task,
} from './define.ts'
export type { Flow, ReduceOptions, StepError } from './flow/builder.ts'
export { dryRun } from './flow/dry-run.ts'
export type { StepOptions } from './flow/notes.ts'
export type { Given, Ref, Resolved } from './flow/ref.ts'
export { type Workflow, type WorkflowOf, type WorkflowOptions, workflow } from './flow/workflow.ts'
export type { JobEvent, JobHandle, LogsOptions } from './job-handle.ts'
export type { LocalOptions } from './local.ts'
export type { LockGrant, LockOptions, SemaphoreOptions } from './locks.ts'
export type { MapOptions } from './map/map.ts'
export type { JoinTokenOptions, JoinTokenParts, Nodes } from './nodes.ts'
export type { JobOptions } from './parts.ts'
export type { Rate, RunLimits, TaskLimits } from './policies.ts'
export type { Questions } from './questions.ts'
export type { RerunOptions } from './rerun.ts'
export type { RunOptions } from './run-batch.ts'
export { type Schedule, type ScheduleOptions, schedule } from './schedule.ts'
export type { ScheduleHandle } from './schedules.ts'
export type { SchemaInput, SchemaIssue, SchemaOutput, SchemaResult, StandardSchema } from './schema.ts'
export type { StateEntry, StateSpace, Transaction, TransactionSpace, TransactOptions, WriteOptions } from './spaces.ts'
export type { EmitOptions, Emitted } from './telling.ts'
export { type ReceivedEvent, type Trigger, type TriggerOptions, trigger } from './trigger.ts'
export type { TriggerHandle } from './triggers.ts'

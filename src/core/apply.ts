// Owns the one place where facts become state. A record that does not fit is a broken assumption: it ends the process.
// Must not choose, read a clock, or do I/O: leader, standby and replay all come to the same state.
import type { JournalRecord, RecordKind, RecordOf } from '../protocol/index.ts'
import * as access from './access/apply.ts'
import * as deadlines from './deadlines/apply.ts'
import * as events from './events/apply.ts'
import * as flows from './flows/apply.ts'
import { moveOn } from './flows/steps.ts'
import * as grants from './grants/apply.ts'
import * as history from './history/apply.ts'
import * as jobs from './jobs/apply.ts'
import * as keys from './keys/apply.ts'
import * as leadership from './leadership/apply.ts'
import * as membership from './membership/apply.ts'
import * as nodes from './nodes/apply.ts'
import * as programs from './programs/apply.ts'
import * as queues from './queues/apply.ts'
import * as schedules from './schedules/apply.ts'
import * as secrets from './secrets/apply.ts'
import * as spaces from './spaces/apply.ts'
import type { State } from './state.ts'
import * as tasks from './tasks/apply.ts'

// A mapped type: a record without its handler does not compile.
const handlers: { [K in RecordKind]: (state: State, record: RecordOf<K>) => void } = {
  LeaderClaimed: leadership.applyLeaderClaimed,
  TimePassed: leadership.applyTimePassed,
  CandidateJoined: leadership.applyCandidateJoined,
  CandidateLeft: leadership.applyCandidateLeft,
  LeaderResigned: leadership.applyLeaderResigned,
  WorkerJoined: membership.applyWorkerJoined,
  WorkerLost: membership.applyWorkerLost,
  WorkerDraining: membership.applyWorkerDraining,
  ProgramAdded: programs.applyProgramAdded,
  ProgramForgotten: programs.applyProgramForgotten,
  JobSubmitted: jobs.applyJobSubmitted,
  TasksAdded: jobs.applyTasksAdded,
  StageSealed: jobs.applyStageSealed,
  JobCancelled: jobs.applyJobCancelled,
  JobCancelling: jobs.applyJobCancelling,
  JobPaused: jobs.applyJobPaused,
  JobRerun: jobs.applyJobRerun,
  TasksCancelled: jobs.applyTasksCancelled,
  JobFinished: jobs.applyJobFinished,
  ResultsReleased: jobs.applyResultsReleased,
  JobsForgotten: jobs.applyJobsForgotten,
  TasksAssigned: tasks.applyTasksAssigned,
  TasksFinished: tasks.applyTasksFinished,
  TaskFailed: tasks.applyTaskFailed,
  TasksSkipped: tasks.applyTasksSkipped,
  TasksReturned: tasks.applyTasksReturned,
  LaneVacated: tasks.applyLaneVacated,
  FlowSubmitted: flows.applyFlowSubmitted,
  StagesAdded: flows.applyStagesAdded,
  StepsAdded: flows.applyStepsAdded,
  TaskExpanded: flows.applyTaskExpanded,
  TaskSpread: flows.applyTaskSpread,
  BranchDecided: flows.applyBranchDecided,
  SignalReceived: flows.applySignalReceived,
  LockAsked: grants.applyLockAsked,
  GrantEnded: grants.applyGrantEnded,
  EntriesWritten: spaces.applyEntriesWritten,
  ScheduleSet: schedules.applyScheduleSet,
  ScheduleTicked: schedules.applyScheduleTicked,
  ScheduleRan: schedules.applyScheduleRan,
  SchedulePaused: schedules.applySchedulePaused,
  ScheduleDeleted: schedules.applyScheduleDeleted,
  JobsArchived: history.applyJobsArchived,
  HistoryEmptied: history.applyHistoryEmptied,
  HistoryForgotten: history.applyHistoryForgotten,
  TriggerSet: events.applyTriggerSet,
  TriggerPaused: events.applyTriggerPaused,
  TriggerDeleted: events.applyTriggerDeleted,
  EventEmitted: events.applyEventEmitted,
  SessionEnded: spaces.applySessionEnded,
  SecretSet: secrets.applySecretSet,
  SecretDeleted: secrets.applySecretDeleted,
  UserSet: access.applyUserSet,
  UserDeleted: access.applyUserDeleted,
  TokenIssued: access.applyTokenIssued,
  TokenRevoked: access.applyTokenRevoked,
  TokensForgotten: access.applyTokensForgotten,
  StageLimited: keys.applyStageLimited,
  JobLimited: queues.applyJobLimited,
  StepTimedOut: deadlines.applyStepTimedOut,
  JobTimedOut: deadlines.applyJobTimedOut,
  AuthorityAdded: nodes.applyAuthorityAdded,
  AuthoritySigns: nodes.applyAuthoritySigns,
  AuthorityDropped: nodes.applyAuthorityDropped,
  JoinTokenMade: nodes.applyJoinTokenMade,
  NodeEnrolled: nodes.applyNodeEnrolled,
  CertificateRenewed: nodes.applyCertificateRenewed,
  NodeRevoked: nodes.applyNodeRevoked,
  CertificateHeld: nodes.applyCertificateHeld,
}

/** Writes one fact into the state. */
export function apply(state: State, record: JournalRecord): void {
  if (state.grants.fresh.length > 0) state.grants.fresh = []
  ;(handlers[record.kind] as (state: State, record: JournalRecord) => void)(state, record)
  if (state.endings.length > 0) moveOn(state)
  state.index++
}

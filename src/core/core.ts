// Owns the face of the leader's mind: decide, apply, settle, on one state. Synchronous, no clock, no random, no I/O.
// Must not be asked anything that is not stamped on the input.
import { CoxswainError, type Scope } from '../protocol/index.ts'
import * as access from './access/decide.ts'
import { scopeProblem } from './access/scope.ts'
import { apply } from './apply.ts'
import { type Command, type CommandKind, type CommandOf, type Decision, refuse } from './commands.ts'
import * as events from './events/decide.ts'
import { decideRerunJob } from './flows/again.ts'
import * as flows from './flows/decide.ts'
import * as grants from './grants/decide.ts'
import * as jobs from './jobs/decide.ts'
import * as leadership from './leadership/decide.ts'
import type { CoreLimits } from './limits.ts'
import * as membership from './membership/decide.ts'
import * as nodes from './nodes/decide.ts'
import * as programs from './programs/decide.ts'
import * as schedules from './schedules/decide.ts'
import * as secrets from './secrets/decide.ts'
import * as spaces from './spaces/decide.ts'
import type { State } from './state.ts'
import * as tasks from './tasks/decide.ts'

// A mapped type: a command without its handler does not compile.
const handlers: { [K in CommandKind]: (state: State, command: CommandOf<K>, limits: CoreLimits) => Decision } = {
  registerWorker: membership.decideRegisterWorker,
  loseWorker: membership.decideLoseWorker,
  drainWorker: membership.decideDrainWorker,
  report: tasks.decideReport,
  returnTasks: tasks.decideReturnTasks,
  putProgram: programs.decidePutProgram,
  submitJob: jobs.decideSubmitJob,
  addTasks: jobs.decideAddTasks,
  cancelJob: jobs.decideCancelJob,
  pauseJob: jobs.decidePauseJob,
  rerunJob: decideRerunJob,
  cancelTasks: jobs.decideCancelTasks,
  releaseResults: jobs.decideReleaseResults,
  endSession: jobs.decideEndSession,
  signal: flows.decideSignal,
  lock: grants.decideLock,
  unlock: grants.decideUnlock,
  expireGrants: grants.decideExpireGrants,
  transact: spaces.decideTransact,
  setSchedule: schedules.decideSetSchedule,
  tickSchedule: schedules.decideTickSchedule,
  runSchedule: schedules.decideRunSchedule,
  changeSchedule: schedules.decideChangeSchedule,
  setTrigger: events.decideSetTrigger,
  changeTrigger: events.decideChangeTrigger,
  emit: events.decideEmit,
  readEntries: spaces.decideReadEntries,
  listEntries: spaces.decideListEntries,
  setSecret: secrets.decideSetSecret,
  deleteSecret: secrets.decideDeleteSecret,
  setUser: access.decideSetUser,
  deleteUser: access.decideDeleteUser,
  issueToken: access.decideIssueToken,
  revokeToken: access.decideRevokeToken,
  joinCandidate: leadership.decideJoinCandidate,
  loseCandidate: leadership.decideLoseCandidate,
  foundNodes: nodes.decideFoundNodes,
  makeJoinToken: nodes.decideMakeJoinToken,
  enrolNode: nodes.decideEnrolNode,
  renewCertificate: nodes.decideRenewCertificate,
  holdCertificate: nodes.decideHoldCertificate,
  revokeNode: nodes.decideRevokeNode,
  addAuthority: nodes.decideAddAuthority,
  rotate: nodes.decideRotate,
}

/** What follows from a command: facts, the bytes they name, an answer. Changes nothing. Who asked with a `scope` may do no more than that. */
export function decide(state: State, command: Command, limits: CoreLimits, scope?: Scope): Decision {
  try {
    const forbidden = scope && scopeProblem(state, command, scope)
    if (forbidden) return refuse(forbidden)
    return (handlers[command.kind] as (state: State, command: Command, limits: CoreLimits) => Decision)(state, command, limits)
  } catch (error) {
    // Bytes that a peer sent may be no chunk: that is its error, and nothing was changed.
    if (error instanceof CoxswainError) return refuse(error)
    throw error
  }
}

export { apply }

// The face of the leader's mind.
export { isScoped, jobInScope, nameInScope, outOfScope } from './access/scope.ts'
export { check } from './check.ts'
export type { Command, Decision, NewAuthority, NewCertificate, NewJoinToken, Reply, Submission } from './commands.ts'
export { apply, decide } from './core.ts'
export { type Argument, type ComposedInput, causeOfFlow, failureOfStep, inputsOf, type RunInputs } from './flows/inputs.ts'
export { Heap } from './heap.ts'
export { type KeptJob, type KeptStage, keptJob, payloadsOf } from './history/kept.ts'
export { decodeKept, encodeKept } from './history/layout.ts'
export { holdersOfBlock } from './jobs/accounts.ts'
export type { Job, Stage } from './jobs/state.ts'
export { failureRateAt, priorityAt, rankStandbys } from './leadership/state.ts'
export { type CoreLimits, defaultLimits, priorityDefault } from './limits.ts'
export { nodePrincipal } from './nodes/principal.ts'
export { newestAuthority, rotationOf } from './nodes/state.ts'
export {
  clusterLoad,
  createObserved,
  forgetWorker,
  type Observed,
  observeHungry,
  observeTasks,
  observeWorker,
} from './observed/observed.ts'
export { type SettleOptions, settle } from './placement/settle.ts'
export { mayStart, type ScheduleState } from './schedules/state.ts'
export { secretFor } from './secrets/decide.ts'
export { type Piece, partOf } from './segments.ts'
export { decodeSnapshot, encodeSnapshot } from './snapshot.ts'
export { createState, type State } from './state.ts'
export { RunCursor } from './tasks/runs.ts'
export { viewUsers } from './views/access.ts'
export { outputOf, viewSteps } from './views/flow.ts'
export { failureOfTask, jobOf, jobsBelow, reasonOf, viewJob, viewTask } from './views/jobs.ts'
export { viewLocks } from './views/locks.ts'
export { viewNodes } from './views/nodes.ts'
export { viewSchedules } from './views/schedules.ts'
export { viewSecrets } from './views/secrets.ts'
export { inputOfStep, type StepInput, type StepResult, stepResult } from './views/step-data.ts'
export { Story } from './views/story.ts'
export { viewTriggers } from './views/triggers.ts'
export { why } from './views/why.ts'
export { viewWorkers } from './views/workers.ts'

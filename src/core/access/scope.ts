// Owns what a scope leaves out: the jobs whose names or labels are others', and all that has no part in it.
// Must not know roles: the shell's table does.
import { CoxswainError, decodeStored, type JobPlan, type Scope } from '../../protocol/index.ts'
import type { Command, CommandKind, CommandOf, Submission } from '../commands.ts'
import type { Job } from '../jobs/state.ts'
import type { State } from '../state.ts'

/** True if the scope leaves something out. */
export function isScoped({ jobPrefixes, labels }: Scope): boolean {
  return jobPrefixes.length > 0 || labels.length > 0
}

/** True if a job of this name with these labels is in the scope. */
export function jobInScope({ jobPrefixes, labels }: Scope, name: string, own: readonly string[]): boolean {
  return (
    (jobPrefixes.length === 0 || jobPrefixes.some(prefix => name.startsWith(prefix))) &&
    (labels.length === 0 || labels.some(label => own.includes(label)))
  )
}

/** True if something else of this name is in the scope: a lock, a space, an event. It has no labels, and so is in none that asks for one. */
export function nameInScope(scope: Scope, name: string): boolean {
  return jobInScope(scope, name, [])
}

/** The error for what the scope leaves out. */
export function outOfScope(what: string, id: string): CoxswainError {
  return new CoxswainError('FORBIDDEN', `${what} ${id} is not in the scope of this credential.`, { id })
}

type Rule<K extends CommandKind> = (state: State, command: CommandOf<K>, scope: Scope) => CoxswainError | undefined

const free = (): undefined => undefined
const clusterOnly = (): CoxswainError => new CoxswainError('FORBIDDEN', 'A credential with a scope may not change the cluster.')

function planProblem(scope: Scope, { name, labels }: JobPlan): CoxswainError | undefined {
  return jobInScope(scope, name, labels) ? undefined : outOfScope('A job of the name', name)
}

function jobProblem(state: State, job: string, scope: Scope): CoxswainError | undefined {
  const plan = state.jobs.byId.get(job)?.plan
  return !plan || jobInScope(scope, plan.name, plan.labels) ? undefined : outOfScope('Job', job)
}

/** Also the job that has the id already: it is answered like the one that is asked for. */
function submissionProblem(state: State, { plan, run }: Submission, scope: Scope): CoxswainError | undefined {
  return planProblem(scope, plan) ?? jobProblem(state, plan.job, scope) ?? makingRoomProblem(state, run, scope)
}

/** A run that cancels the oldest of its key must not cancel those of others. */
function makingRoomProblem({ queues }: State, run: Submission['run'], scope: Scope): CoxswainError | undefined {
  const queue = run?.whenBusy === 'cancel' && run.key !== '' ? queues.byKey.get(run.key) : undefined
  if (!queue) return undefined
  const isOthers = ({ plan }: Job): boolean => !jobInScope(scope, plan.name, plan.labels)
  return [...queue.running, ...queue.line.items()].some(isOthers) ? outOfScope('A run of the key', queue.key) : undefined
}

const byJob = (state: State, { job }: { job: string }, scope: Scope): CoxswainError | undefined => jobProblem(state, job, scope)

/** Of a schedule that is known only the name of what it runs is known, and no label. */
function scheduleProblem({ schedules }: State, name: string, scope: Scope): CoxswainError | undefined {
  const known = schedules.byName.get(name)
  return !known || nameInScope(scope, known.spec.name) ? undefined : outOfScope('Schedule', name)
}

function triggerProblem({ events }: State, name: string, scope: Scope): CoxswainError | undefined {
  const known = events.byName.get(name)
  return !known || !planProblem(scope, decodeStored(known.submission).plan) ? undefined : outOfScope('Trigger', name)
}

function transactProblem(state: State, { exchange, jobs }: CommandOf<'transact'>, scope: Scope): CoxswainError | undefined {
  for (const { space } of [...exchange.checks, ...exchange.writes]) if (!nameInScope(scope, space)) return outOfScope('State space', space)
  for (const one of [
    ...exchange.signals.map(({ job }) => jobProblem(state, job, scope)),
    ...jobs.map(job => submissionProblem(state, job, scope)),
  ])
    if (one) return one
  return undefined
}

const bySpace = (_state: State, { space }: { space: string }, scope: Scope): CoxswainError | undefined =>
  nameInScope(scope, space) ? undefined : outOfScope('State space', space)

// A mapped type: a command of which nobody thought here does not compile.
const rules: { [K in CommandKind]: Rule<K> } = {
  registerWorker: clusterOnly,
  loseWorker: clusterOnly,
  drainWorker: clusterOnly,
  report: clusterOnly,
  returnTasks: clusterOnly,
  expireGrants: clusterOnly,
  tickSchedule: clusterOnly,
  joinCandidate: clusterOnly,
  loseCandidate: clusterOnly,
  setSecret: clusterOnly,
  deleteSecret: clusterOnly,
  setUser: clusterOnly,
  deleteUser: clusterOnly,
  issueToken: clusterOnly,
  revokeToken: clusterOnly,
  foundNodes: clusterOnly,
  makeJoinToken: clusterOnly,
  enrolNode: clusterOnly,
  renewCertificate: clusterOnly,
  holdCertificate: clusterOnly,
  revokeNode: clusterOnly,
  addAuthority: clusterOnly,
  rotate: clusterOnly,
  putProgram: free,
  endSession: free,
  unlock: free,
  submitJob: submissionProblem,
  addTasks: byJob,
  cancelJob: byJob,
  pauseJob: byJob,
  rerunJob: byJob,
  cancelTasks: byJob,
  releaseResults: byJob,
  signal: byJob,
  lock: (_state, { lock }, scope) => (nameInScope(scope, lock) ? undefined : outOfScope('Lock', lock)),
  transact: transactProblem,
  setSchedule: (state, { spec, submission }, scope) => planProblem(scope, submission.plan) ?? scheduleProblem(state, spec.schedule, scope),
  runSchedule: (state, { schedule, submission }, scope) =>
    scheduleProblem(state, schedule, scope) ?? submissionProblem(state, submission, scope),
  changeSchedule: (state, { schedule }, scope) => scheduleProblem(state, schedule, scope),
  setTrigger: (state, { spec, submission }, scope) =>
    planProblem(scope, decodeStored(submission).plan) ?? triggerProblem(state, spec.trigger, scope),
  changeTrigger: (state, { trigger }, scope) => triggerProblem(state, trigger, scope),
  emit: (_state, { event }, scope) => (nameInScope(scope, event) ? undefined : outOfScope('Event', event)),
  readEntries: bySpace,
  listEntries: bySpace,
}

/** Why the scope does not allow the command on this state, or undefined. Asked where it takes effect: what a job is cannot change in between. */
export function scopeProblem(state: State, command: Command, scope: Scope): CoxswainError | undefined {
  return (rules[command.kind] as (state: State, command: Command, scope: Scope) => CoxswainError | undefined)(state, command, scope)
}

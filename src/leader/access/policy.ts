// Owns the one table of what each message, question and route needs: the role, how a scope narrows it, and whether it changes something.
// Must not hold exceptions elsewhere: what is not here does not compile, and nothing is handled before it was looked up.
import {
  type CandidateToLeader,
  type ClientToLeader,
  type NodeRole,
  type UserRole,
  userRoles,
  type ViewName,
  type WorkerToLeader,
} from '../../protocol/index.ts'

/**
 * How the scope of a user narrows a call. `job`: the job that it names must be in it; `jobs`: all that it names. `space`: the state space must be. `decided`:
 * core looks where it takes effect. `id`: it may name anything, and must name a job that is in it. `filtered`: what is not in it is left out of the answer.
 * `own`: it is about what this session has. `cluster`: only without a scope. `free`: it is about nothing that scopes know.
 */
export type ScopeRule = 'job' | 'jobs' | 'space' | 'decided' | 'id' | 'filtered' | 'own' | 'cluster' | 'free'

/** What a call needs. */
export interface Rule {
  role: UserRole
  scope: ScopeRule
  /** Something is otherwise afterwards: it has its line in the audit log also where it is allowed. */
  changes: boolean
}

const look = (scope: ScopeRule, role: UserRole = 'viewer'): Rule => ({ role, scope, changes: false })
const change = (role: UserRole, scope: ScopeRule): Rule => ({ role, scope, changes: true })

/** Every message of a client. `ask` by its view: the least role of all views stands here. */
export const clientPolicy: { readonly [K in ClientToLeader['kind']]: Rule } = {
  ask: look('own'),
  watch: look('job'),
  unwatch: look('own'),
  readResults: look('job'),
  readStep: look('job'),
  readLogs: look('job'),
  unfollow: look('own'),
  readEntries: look('space'),
  listEntries: look('space'),

  putProgram: change('submitter', 'free'),
  submitJobs: change('submitter', 'jobs'),
  addTasks: change('submitter', 'job'),
  cancelJob: change('submitter', 'job'),
  compensateJob: change('submitter', 'job'),
  pauseJob: change('submitter', 'job'),
  rerunJob: change('submitter', 'job'),
  cancelTasks: change('submitter', 'job'),
  releaseResults: change('submitter', 'job'),
  signal: change('submitter', 'job'),
  lock: change('submitter', 'decided'),
  unlock: change('submitter', 'own'),
  keepGrants: look('own', 'submitter'),
  transact: change('submitter', 'decided'),
  setSchedule: change('submitter', 'decided'),
  changeSchedule: change('submitter', 'decided'),
  triggerSchedule: change('submitter', 'decided'),
  setTrigger: change('submitter', 'decided'),
  changeTrigger: change('submitter', 'decided'),
  emit: change('submitter', 'decided'),

  setSecret: change('operator', 'cluster'),
  deleteSecret: change('operator', 'cluster'),
  drainWorker: change('operator', 'cluster'),
  promote: change('operator', 'cluster'),

  setUser: change('admin', 'cluster'),
  deleteUser: change('admin', 'cluster'),
  issueToken: change('admin', 'cluster'),
  revokeToken: change('admin', 'cluster'),
  makeJoinToken: change('admin', 'cluster'),
  revokeNode: change('admin', 'cluster'),
  rotateAuthority: change('admin', 'cluster'),
}

/** Every question. */
export const viewPolicy: { readonly [V in ViewName]: Rule } = {
  status: look('free'),
  workers: look('free'),
  locate: look('free'),
  whoami: look('own'),
  jobs: look('filtered'),
  schedules: look('filtered'),
  triggers: look('filtered'),
  locks: look('filtered'),
  job: look('job'),
  task: look('job'),
  steps: look('job'),
  story: look('id'),
  why: look('id'),
  secrets: look('cluster', 'submitter'),
  nodes: look('cluster', 'operator'),
  users: look('cluster', 'admin'),
  audit: look('cluster', 'admin'),
  auditCheck: look('cluster', 'admin'),
}

/** Every message of a worker: what its node must be. */
export const workerPolicy: { readonly [K in WorkerToLeader['kind']]: NodeRole } = {
  register: 'worker',
  heartbeat: 'worker',
  report: 'worker',
  returnTasks: 'worker',
  getProgram: 'worker',
  logLines: 'worker',
  progress: 'worker',
  locateBlock: 'worker',
  getSecret: 'worker',
  renewCertificate: 'worker',
  holdsCertificate: 'worker',
}

/** Every message of a standby. */
export const candidatePolicy: { readonly [K in CandidateToLeader['kind']]: NodeRole } = {
  standBy: 'candidate',
  applied: 'candidate',
  leaving: 'candidate',
  renewCertificate: 'candidate',
  holdsCertificate: 'candidate',
}

/** Who may ask for a route that is no connection. `anyone`: without any proof. `own proof`: what is asked proves itself, such as a token to join with. */
export type RouteRule = 'anyone' | 'own proof' | UserRole | NodeRole

/** Every route. The first is answered by the transport itself. */
export const routePolicy = {
  'GET /healthz': 'anyone',
  'POST /v1/enrol': 'own proof',
} as const satisfies Record<string, RouteRule>
/** A route that there is. */
export type Route = keyof typeof routePolicy

/** What a client's message needs. */
export function ruleOf(message: ClientToLeader): Rule {
  return message.kind === 'ask' ? viewPolicy[message.view] : clientPolicy[message.kind]
}

const ranks = Object.fromEntries(userRoles.map((role, rank) => [role, rank])) as Record<UserRole, number>

/** True if a user of this role may do what needs that one. */
export function includes(role: UserRole, needed: UserRole): boolean {
  return ranks[role] >= ranks[needed]
}

// Owns what each message is about, as its line in the audit log says it. Must not put anything there that is a value, an input or a secret.
import type { ClientToLeader } from '../../protocol/index.ts'

/** What a call was, and the thing that it is about. */
export interface Subject {
  what: string
  id: string
}

type SubjectOf = { readonly [K in ClientToLeader['kind']]: (message: Extract<ClientToLeader, { kind: K }>) => string }

const byJob = ({ job }: { job: string }): string => job
const bySpace = ({ space }: { space: string }): string => space

// A mapped type: a message without its subject does not compile.
const subjects: SubjectOf = {
  ask: ({ argument }) => idIn(argument),
  watch: byJob,
  unwatch: byJob,
  readResults: byJob,
  readStep: byJob,
  readLogs: byJob,
  unfollow: () => '',
  readEntries: bySpace,
  listEntries: bySpace,
  putProgram: ({ program }) => program,
  // Jobs of one name are one line with a count; the journal has the id of each.
  submitJobs: ({ jobs }) => jobs[0]?.plan.name ?? '',
  addTasks: byJob,
  cancelJob: byJob,
  compensateJob: byJob,
  pauseJob: byJob,
  rerunJob: byJob,
  cancelTasks: byJob,
  releaseResults: byJob,
  signal: byJob,
  lock: ({ lock }) => lock,
  unlock: ({ grant }) => grant,
  keepGrants: () => '',
  transact: ({ exchange, jobs }) => exchange.writes[0]?.space ?? jobs[0]?.plan.job ?? exchange.signals[0]?.job ?? '',
  setSchedule: ({ spec }) => spec.schedule,
  changeSchedule: ({ schedule }) => schedule,
  triggerSchedule: ({ schedule }) => schedule,
  setTrigger: ({ spec }) => spec.trigger,
  changeTrigger: ({ trigger }) => trigger,
  emit: ({ event }) => event,
  setSecret: ({ secret }) => secret,
  deleteSecret: ({ secret }) => secret,
  drainWorker: ({ worker }) => worker,
  promote: ({ candidate }) => candidate,
  setUser: ({ user }) => user,
  deleteUser: ({ user }) => user,
  issueToken: ({ user }) => user,
  revokeToken: ({ token }) => token,
  makeJoinToken: ({ role }) => role,
  revokeNode: ({ node }) => node,
  rotateAuthority: () => '',
}

/** What a question is about, if it is about one thing. */
function idIn(argument: string): string {
  try {
    const { job, id } = JSON.parse(argument === '' ? '{}' : argument) as { job?: unknown; id?: unknown }
    const found = job ?? id
    return typeof found === 'string' ? found : ''
  } catch {
    return ''
  }
}

/** What the message is about. */
export function subjectOf(message: ClientToLeader): Subject {
  const id = (subjects[message.kind] as (message: ClientToLeader) => string)(message)
  return { what: message.kind === 'ask' ? `ask ${message.view}` : message.kind, id }
}

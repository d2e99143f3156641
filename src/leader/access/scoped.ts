// Owns what a scope leaves out of what is read: single jobs, those of which only the history knows, and lists.
// Must not decide about commands: core does, where they take effect.
import { isScoped, jobInScope, nameInScope, outOfScope, type State } from '../../core/index.ts'
import {
  type ClientToLeader,
  CoxswainError,
  decodeStored,
  everything,
  type LockView,
  type Principal,
  type ScheduleView,
  type Scope,
  type TriggerView,
  type WhoView,
} from '../../protocol/index.ts'
import type { LeaderContext } from '../context.ts'
import { isArchived } from '../history.ts'
import { viewPolicy } from './policy.ts'

type Verdict = CoxswainError | undefined
type Later<T> = T | Promise<T>

/** The scope of somebody, if it leaves anything out. */
export function scopeOf(principal: Principal): Scope | undefined {
  return principal.kind === 'user' && isScoped(principal.scope) ? principal.scope : undefined
}

/** Why the scope does not allow the message as far as it can be told before it is handled, or undefined. It waits only for the history. */
export function messageProblem(context: LeaderContext, scope: Scope, message: ClientToLeader): Later<Verdict> {
  switch (message.kind) {
    case 'readEntries':
    case 'listEntries':
      return nameInScope(scope, message.space) ? undefined : outOfScope('State space', message.space)
    case 'submitJobs':
      return firstProblem(message.jobs.map(({ plan }) => plan.job).map(job => jobProblem(context, scope, job)))
    case 'transact': {
      const ids = [...message.jobs.map(({ plan }) => plan.job), ...message.exchange.signals.map(({ job }) => job)]
      return firstProblem(ids.map(job => jobProblem(context, scope, job)))
    }
    case 'ask':
      return viewProblem(context, scope, message.view, message.argument)
    case 'unwatch':
      return undefined
    default:
      return 'job' in message ? jobProblem(context, scope, message.job) : undefined
  }
}

/** The first of several verdicts that is one. */
function firstProblem(verdicts: readonly Later<Verdict>[]): Later<Verdict> {
  if (!verdicts.some(one => one instanceof Promise)) return (verdicts as Verdict[]).find(one => one !== undefined)
  return Promise.all(verdicts).then(all => all.find(one => one !== undefined))
}

/** A job that nobody knows is no problem: whoever looks for it finds nothing. */
function jobProblem(context: LeaderContext, scope: Scope, id: string): Later<Verdict> {
  const plan = context.state.jobs.byId.get(id)?.plan
  if (plan) return jobInScope(scope, plan.name, plan.labels) ? undefined : outOfScope('Job', id)
  return isArchived(context, id) ? archivedProblem(context, scope, id) : undefined
}

async function archivedProblem(context: LeaderContext, scope: Scope, id: string): Promise<Verdict> {
  // Its row may be on its way to the disk.
  await new Promise<void>(resolve => context.loop.whenDurable(resolve))
  const row = await context.store.history.row(id)
  return !row || jobInScope(scope, row.name, row.labels) ? undefined : outOfScope('Job', id)
}

function viewProblem(context: LeaderContext, scope: Scope, view: keyof typeof viewPolicy, argument: string): Later<Verdict> {
  const rule = viewPolicy[view].scope
  if (rule !== 'job' && rule !== 'id') return undefined
  const id = textIn(argument, rule)
  // What is no text is refused by whoever answers.
  if (id === undefined) return undefined
  if (rule === 'job') return jobProblem(context, scope, id)
  const job = context.state.jobs.byId.has(id) || isArchived(context, id) ? id : id.split('/')[0]!
  if (context.state.jobs.byId.has(job) || isArchived(context, job)) return jobProblem(context, scope, job)
  // The journal may still tell of a job that is forgotten, and whose name nobody can look up.
  return new CoxswainError('NOT_FOUND', `There is no job ${job} that a credential with a scope may ask about.`, { id: job })
}

/** The text that stands for the job in the argument of a view. */
function textIn(argument: string, key: 'job' | 'id'): string | undefined {
  try {
    const value = (JSON.parse(argument === '' ? '{}' : argument) as Record<string, unknown> | null)?.[key]
    return typeof value === 'string' ? value : undefined
  } catch {
    return undefined
  }
}

/** Those of a list that are in the scope; all of them without one. */
export function schedulesIn(scope: Scope | undefined, views: ScheduleView[]): ScheduleView[] {
  return scope ? views.filter(({ runs }) => nameInScope(scope, runs)) : views
}

export function triggersIn({ events }: State, scope: Scope | undefined, views: TriggerView[]): TriggerView[] {
  if (!scope) return views
  return views.filter(({ name }) => {
    const { plan } = decodeStored(events.byName.get(name)!.submission)
    return jobInScope(scope, plan.name, plan.labels)
  })
}

export function locksIn(scope: Scope | undefined, views: LockView[]): LockView[] {
  return scope ? views.filter(({ name }) => nameInScope(scope, name)) : views
}

/** Who asks, as it is told itself. */
export function viewWho(principal: Principal): WhoView {
  const { kind, name, credential } = principal
  const scope = principal.kind === 'user' ? principal.scope : everything
  const roles = principal.kind === 'user' ? [principal.role] : [...principal.roles]
  return { kind, name, roles, jobPrefixes: [...scope.jobPrefixes], labels: [...scope.labels], credential }
}

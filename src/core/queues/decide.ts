// Owns what follows when a job is submitted whose key is full: it waits, others make room for it, or it is refused. Must not write state.
import { CoxswainError, type JournalRecord, type RunPolicy } from '../../protocol/index.ts'
import { goesOn, type Job } from '../jobs/state.ts'
import type { State } from '../state.ts'

/** Runs of a key that are named in an error. */
const namedMax = 3

/**
 * The facts that limit a new job as a whole, those of jobs that make room for it first; or why it is refused. `before`: facts that are decided on and not
 * in the state yet.
 */
export function limitRun(
  state: State,
  job: string,
  policy: RunPolicy,
  before: readonly JournalRecord[],
): { first: JournalRecord[]; own: JournalRecord } | CoxswainError {
  const own: JournalRecord = { kind: 'JobLimited', job, policy }
  const { key, concurrency, whenBusy } = policy
  if (key === '') return { first: [], own }
  if (concurrency < 1) return new CoxswainError('INVALID_ARGUMENT', `Job ${job}: of its key ${key} no job could ever run.`, { id: job })
  const queue = state.queues.byKey.get(key)
  const coming = before.filter(record => record.kind === 'JobLimited' && record.policy.key === key)
  const said = queue?.concurrency ?? (coming[0]?.kind === 'JobLimited' ? coming[0].policy.concurrency : concurrency)
  if (said !== concurrency)
    return new CoxswainError(
      'LIMIT_CONFLICT',
      `Job ${job} wants ${concurrency} runs of the key ${key} at once, and it is in use with ${said}.`,
      {
        id: key,
      },
    )
  const leaving = new Set(before.flatMap(record => (record.kind === 'JobCancelled' ? [record.job] : [])))
  const runs = [...(queue?.running ?? []), ...(queue?.line.items() ?? [])]
  if (whenBusy === 'reject' && runs.length + coming.length >= concurrency)
    return new CoxswainError('KEY_BUSY', `Job ${job} was refused: ${namesOf(runs)} of the key ${key}, which has room for ${concurrency}.`, {
      id: key,
    })
  if (whenBusy !== 'cancel') return { first: [], own }
  // The newest is what counts: the oldest make room, also those that still wait.
  const staying = runs.filter(one => goesOn(one) && !leaving.has(one.plan.job)).sort((a, b) => a.number - b.number)
  const surplus = Math.max(0, staying.length + coming.length + 1 - concurrency)
  const first = staying.slice(0, surplus).map(
    (one): JournalRecord => ({
      kind: 'JobCancelled',
      job: one.plan.job,
      reason: `${job} takes its place, which has the same key ${key}`,
    }),
  )
  return { first, own }
}

/** Why a workflow that has ended cannot have its key again. It waits in no line, and nobody makes room for it. */
export function runLimitAgain(state: State, job: Job): CoxswainError | undefined {
  const policy = job.run?.policy
  if (!policy || policy.key === '') return undefined
  const limited = limitRun(state, job.plan.job, { ...policy, whenBusy: 'reject' }, [])
  return limited instanceof CoxswainError ? limited : undefined
}

function namesOf(runs: readonly Job[]): string {
  const names = runs.slice(0, namedMax).map(one => one.plan.job)
  const more = runs.length - names.length
  const text = more > 0 ? `${names.join(', ')} and ${more} more` : names.join(', ')
  return names.length === 0 ? 'there are others' : `there ${runs.length === 1 ? 'is' : 'are'} ${text}`
}

// Owns whether limits of stages can be taken, and the facts that set them. Must not write state.
import { CoxswainError, type JournalRecord, type RecordOf, type StagePolicy } from '../../protocol/index.ts'
import type { Job } from '../jobs/state.ts'
import type { State } from '../state.ts'
import { keyText, limitsTasks } from './state.ts'

/**
 * The facts that limit these stages of a job, `base` being the number of the first; or why that cannot be. `before`: facts that are decided on and not
 * in the state yet.
 */
export function limitStages(
  state: State,
  job: string,
  base: number,
  stages: number,
  policies: readonly StagePolicy[],
  before: readonly JournalRecord[],
): RecordOf<'StageLimited'>[] | CoxswainError {
  const records: RecordOf<'StageLimited'>[] = []
  const seen = new Set<number>()
  for (const policy of policies) {
    if (policy.stage >= stages || seen.has(policy.stage))
      return new CoxswainError('INVALID_ARGUMENT', `Job ${job}: the limits of stage ${policy.stage} are of no stage, or come twice.`, {
        id: job,
      })
    seen.add(policy.stage)
    const limited = limitsTasks(policy)
    if (policy.rateLimit > 0 !== policy.ratePerMs > 0 || (policy.key !== '' && !limited))
      return new CoxswainError('INVALID_ARGUMENT', `Job ${job}: the limits of stage ${policy.stage} limit nothing.`, { id: job })
    const other = limited && policy.key !== '' ? inUse(state, policy.key, [...before, ...records]) : undefined
    if (other && !sameLimits(other, policy)) {
      const wanted = keyText({ ...policy, name: policy.key })
      return new CoxswainError(
        'LIMIT_CONFLICT',
        `Job ${job} wants ${wanted}, and it is in use as ${keyText({ ...other, name: policy.key })}.`,
        {
          id: policy.key,
        },
      )
    }
    records.push({ kind: 'StageLimited', job, policy: { ...policy, stage: base + policy.stage } })
  }
  return records
}

/**
 * Why a workflow that has ended cannot have the keys of its stages again. Those of `steps` that became steps hold them at once; other tasks wait for them as
 * all do.
 */
export function limitAgain(state: State, job: Job, steps: readonly number[]): CoxswainError | undefined {
  const id = job.plan.job
  const policies = job.stages.flatMap(({ policy }) => (policy ? [policy] : []))
  const limited = limitStages(state, id, 0, job.stages.length, policies, [])
  if (limited instanceof CoxswainError) return limited
  /** By name, and those that stages have alone by stage. */
  const holding = new Map<string | number, number>()
  for (const step of steps) {
    const flow = job.flow!
    const policy = flow.expanded.has(step) ? job.stages[flow.stage(step)]!.policy : undefined
    if (!policy || policy.concurrency === 0) continue
    const key = policy.key === '' ? policy.stage : policy.key
    const others = policy.key === '' ? 0 : (state.keys.byName.get(policy.key)?.holding ?? 0)
    const held = (holding.get(key) ?? others) + 1
    holding.set(key, held)
    if (held <= policy.concurrency) continue
    const message = `Job ${id} cannot go on now: its step ${step} became steps, and ${keyText({ ...policy, name: policy.key })}, which it must hold for them, has no room.`
    return new CoxswainError('KEY_BUSY', message, { id })
  }
  return undefined
}

type Limits = Pick<StagePolicy, 'concurrency' | 'rateLimit' | 'ratePerMs'>

function sameLimits(one: Limits, other: Limits): boolean {
  return one.concurrency === other.concurrency && one.rateLimit === other.rateLimit && one.ratePerMs === other.ratePerMs
}

/** What a key is limited to by those who use it. */
function inUse(state: State, name: string, before: readonly JournalRecord[]): Limits | undefined {
  const key = state.keys.byName.get(name)
  if (key && key.stages > 0) return key
  for (const record of before) if (record.kind === 'StageLimited' && record.policy.key === name) return record.policy
  return undefined
}

// Owns whether limits of stages can be taken, and the facts that set them. Must not write state.
import { CoxswainError, type JournalRecord, type RecordOf, type StagePolicy } from '../../protocol/index.ts'
import type { Job } from '../jobs/state.ts'
import type { State } from '../state.ts'
import { keyText, limitsTasks } from './state.ts'

/** Steps that an error names. */
const stepsNamedMax = 5

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
  for (const held of heldAgain(job, steps).values()) {
    const { policy, steps: holders } = held
    const text = keyText({ ...policy, name: policy.key })
    // They came to this one after the other. No waiting would help.
    if (holders.length > policy.concurrency) {
      const named = holders.slice(0, stepsNamedMax).join(', ') + (holders.length > stepsNamedMax ? ', …' : '')
      const message = `Job ${id} cannot go on: ${holders.length} of its steps (${named}) became steps, and would have to hold ${text} for them at the same time. Submit it anew.`
      return new CoxswainError('CANNOT_RERUN', message, { id })
    }
    const others = policy.key === '' ? 0 : (state.keys.byName.get(policy.key)?.holding ?? 0)
    const room = policy.concurrency - others
    if (holders.length <= room) continue
    const message = `Job ${id} cannot go on now: its step ${holders[Math.max(0, room)]} became steps, and ${text}, which it must hold for them, has no room.`
    return new CoxswainError('KEY_BUSY', message, { id })
  }
  return undefined
}

/** The keys that these steps, as far as they became steps, hold at once where they go on: by name, and those that stages have alone by stage. */
function heldAgain({ stages, flow }: Job, steps: readonly number[]): Map<string | number, { policy: StagePolicy; steps: number[] }> {
  const held = new Map<string | number, { policy: StagePolicy; steps: number[] }>()
  for (const step of steps) {
    const policy = flow!.expanded.has(step) ? stages[flow!.stage(step)]!.policy : undefined
    if (!policy || policy.concurrency === 0) continue
    const key = policy.key === '' ? policy.stage : policy.key
    const known = held.get(key)
    if (known) known.steps.push(step)
    else held.set(key, { policy, steps: [step] })
  }
  return held
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

// Owns who follows on purpose: which standby comes next, and whether one that is named can lead. Must not hand over by itself.
import { rankStandbys } from '../core/index.ts'
import { CoxswainError } from '../protocol/index.ts'
import type { LeaderContext } from './context.ts'

/** A standby that has more records than this still to apply is not handed the leadership. */
const lagRecordsMax = 100_000

/** The connected standby that should lead next, or undefined. */
export function successorOf({ state, links, id }: LeaderContext): string | undefined {
  return rankStandbys(state.leadership, id, state.nowMs).find(one => links.candidates.has(one.id))?.id
}

/** Why this standby cannot be promoted, or undefined. */
export function promotionProblem({ state, links }: LeaderContext, candidate: string): CoxswainError | undefined {
  const details = { id: candidate }
  if (!state.leadership.candidates.has(candidate)) return new CoxswainError('NOT_FOUND', `There is no candidate ${candidate}.`, details)
  const link = links.candidates.get(candidate)
  if (!link) return new CoxswainError('UNAVAILABLE', `Candidate ${candidate} is not connected: it cannot lead.`, details)
  const lag = state.index - link.appliedIndex
  if (lag <= lagRecordsMax) return undefined
  return new CoxswainError(
    'UNAVAILABLE',
    `Candidate ${candidate} has still ${lag} records to apply; ask again when it has caught up.`,
    details,
  )
}

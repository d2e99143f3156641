// Owns what follows when a candidate comes, goes, or hands over. Must not write state.
import { CoxswainError } from '../../protocol/index.ts'
import { answer, type CommandOf, type Decision, refuse } from '../commands.ts'
import { priorityMax } from '../limits.ts'
import type { State } from '../state.ts'

export function decideJoinCandidate(state: State, { candidate, priority }: CommandOf<'joinCandidate'>): Decision {
  if (!Number.isInteger(priority) || priority < 1 || priority > priorityMax)
    return refuse(
      new CoxswainError('INVALID_ARGUMENT', `Candidate ${candidate} has priority ${priority}; it must be 1 to ${priorityMax}.`, {
        id: candidate,
      }),
    )
  const known = state.leadership.candidates.get(candidate)
  if (known?.present && known.priority === priority) return answer({ kind: 'done' })
  return { records: [{ kind: 'CandidateJoined', candidate, priority }], payloads: [], reply: { kind: 'done' } }
}

export function decideLoseCandidate(state: State, { candidate, failed }: CommandOf<'loseCandidate'>): Decision {
  if (!state.leadership.candidates.get(candidate)?.present || candidate === state.leader) return answer({ kind: 'done' })
  return { records: [{ kind: 'CandidateLeft', candidate, failed }], payloads: [], reply: { kind: 'done' } }
}

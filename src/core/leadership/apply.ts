// Owns what the facts about leaders and time do to the state. Must not read a clock.
import type { RecordOf } from '../../protocol/index.ts'
import { wakeDelayed } from '../jobs/apply.ts'
import { priorityDefault } from '../limits.ts'
import type { State } from '../state.ts'
import { type Candidate, candidatesKeptMax, rateFailure } from './state.ts'

/** The candidate with this name, made where it is new. */
function candidateOf(state: State, id: string): Candidate {
  const { candidates } = state.leadership
  const known = candidates.get(id)
  if (known) return known
  const made: Candidate = { id, priority: priorityDefault, failureRate: 0, ratedAtMs: state.nowMs, present: false }
  candidates.set(id, made)
  if (candidates.size > candidatesKeptMax) {
    const away = [...candidates.values()].filter(one => !one.present && one !== made)
    const oldest = away.reduce<Candidate | undefined>((found, one) => (found && found.ratedAtMs <= one.ratedAtMs ? found : one), undefined)
    if (oldest) candidates.delete(oldest.id)
  }
  return made
}

export function applyLeaderClaimed(state: State, record: RecordOf<'LeaderClaimed'>): void {
  if (record.epoch <= state.epoch) throw new Error(`epoch ${record.epoch} claimed after ${state.epoch}`)
  if (state.cluster !== '' && state.cluster !== record.cluster)
    throw new Error(`cluster ${record.cluster} claimed in the journal of ${state.cluster}`)
  const { leadership } = state
  // Whoever led until now and did not hand over has broken down.
  if (state.leader !== '' && leadership.resignedTo === '') {
    const failed = candidateOf(state, state.leader)
    rateFailure(failed, state.nowMs)
    failed.present = false
  }
  leadership.resignedTo = ''
  state.cluster = record.cluster
  state.epoch = record.epoch
  state.leader = record.leader
  state.leaderPid = record.pid
  state.leaderAddress = record.address
  state.leaderRelease = record.release
  state.tasks.nextLane = 1
  state.nowMs = Math.max(state.nowMs, record.atMs)
  candidateOf(state, record.leader).present = true
  wakeDelayed(state)
}

export function applyCandidateJoined(state: State, record: RecordOf<'CandidateJoined'>): void {
  const candidate = candidateOf(state, record.candidate)
  candidate.priority = record.priority
  candidate.present = true
}

export function applyCandidateLeft(state: State, record: RecordOf<'CandidateLeft'>): void {
  const candidate = state.leadership.candidates.get(record.candidate)
  if (!candidate) throw new Error(`no candidate ${record.candidate}`)
  candidate.present = false
  if (record.failed) rateFailure(candidate, state.nowMs)
}

export function applyLeaderResigned(state: State, record: RecordOf<'LeaderResigned'>): void {
  if (record.epoch !== state.epoch) throw new Error(`epoch ${record.epoch} resigned in epoch ${state.epoch}`)
  state.leadership.resignedTo = record.to
  candidateOf(state, state.leader).present = false
}

export function applyTimePassed(state: State, record: RecordOf<'TimePassed'>): void {
  state.nowMs = Math.max(state.nowMs, record.nowMs)
  wakeDelayed(state)
}

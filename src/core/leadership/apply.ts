// Owns what the facts about leaders and time do to the state. Must not read a clock.
import type { RecordOf } from '../../protocol/index.ts'
import { wakeDelayed } from '../jobs/apply.ts'
import type { State } from '../state.ts'

export function applyLeaderClaimed(state: State, record: RecordOf<'LeaderClaimed'>): void {
  if (record.epoch <= state.epoch) throw new Error(`epoch ${record.epoch} claimed after ${state.epoch}`)
  if (state.cluster !== '' && state.cluster !== record.cluster)
    throw new Error(`cluster ${record.cluster} claimed in the journal of ${state.cluster}`)
  state.cluster = record.cluster
  state.epoch = record.epoch
  state.leader = record.leader
  state.leaderPid = record.pid
  state.leaderAddress = record.address
  state.leaderRelease = record.release
  state.tasks.nextLane = 1
  state.nowMs = Math.max(state.nowMs, record.atMs)
  wakeDelayed(state)
}

export function applyTimePassed(state: State, record: RecordOf<'TimePassed'>): void {
  state.nowMs = Math.max(state.nowMs, record.nowMs)
  wakeDelayed(state)
}

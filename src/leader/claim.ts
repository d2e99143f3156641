// Owns the claim of a new epoch by compare-and-set. Must not lead.
import type { State } from '../core/index.ts'
import type { Store } from '../journal/index.ts'
import type { Platform } from '../platform/index.ts'
import { CoxswainError, encodeRecords, type JournalRecord, release } from '../protocol/index.ts'
import { catchUpWithJournal } from './recover.ts'

const claimsMax = 10

/** Who claims. */
export interface Claimant {
  id: string
  store: Store
  priority: number
  pid: number
  processStart: string
  /** Only the leader of this epoch is to be replaced: another one is healthy. Undefined: whoever led is gone. */
  replaces: number | undefined
  /** Id of the cluster, where it was made before anybody led. */
  cluster?: string
}

/**
 * Claims the epoch behind the one that the store knows, and resolves with the state after the claim: `applied`, with everything up to it applied, or
 * another one if rows it needs were let go meanwhile. Throws FENCED if another one was faster (again and again, where anyone is replaced), and what the store says.
 */
export async function claim(claimant: Claimant, applied: State, address: string, platform: Platform): Promise<State> {
  let state = applied
  const { id, store, priority, pid, processStart, replaces } = claimant
  for (let tries = 0; tries < claimsMax; tries++) {
    const seen = await store.leadership.view()
    if (replaces !== undefined && seen.epoch !== replaces)
      throw new CoxswainError('FENCED', `${seen.leader} was faster and leads epoch ${seen.epoch}.`, { id })
    state = await catchUpWithJournal(store, state)
    // Somebody claimed between these two looks: this claim would be of an epoch that it has not seen replaced.
    if (state.epoch > seen.epoch) continue
    const epoch = seen.epoch + 1
    const claimed: JournalRecord = {
      kind: 'LeaderClaimed',
      cluster: state.cluster || claimant.cluster || platform.random.uuid(),
      epoch,
      leader: id,
      pid,
      address,
      release,
      atMs: Math.max(state.nowMs, Math.floor(platform.clock.wallMs())),
    }
    const records = encodeRecords([claimed, { kind: 'CandidateJoined', candidate: id, priority }])
    const opening = { epoch, firstIndex: state.index + 1, count: 2, records, payloads: [], drops: [] }
    const outcome = await store.leadership.claim({ seenEpoch: seen.epoch, leader: id, pid, processStart, address, opening })
    if (outcome === 'lost') continue
    return await catchUpWithJournal(store, state)
  }
  throw new CoxswainError('FENCED', `Another candidate was faster ${claimsMax} times.`, { id })
}

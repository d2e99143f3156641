// Owns what a standby is made with. Must not hold behaviour.
import type { State } from '../core/index.ts'
import type { LeadershipView, Store } from '../journal/index.ts'
import type { NodeIdentity } from '../protocol/index.ts'

/** What a standby works with. */
export interface StandbyOptions {
  /** Name of this candidate. */
  id: string
  /** Where this candidate listens already: whoever led from there was a former life of it. */
  address?: string
  /** P0 of this candidate. */
  priority: number
  store: Store
  pid: number
  /** Its certificate, in a cluster of several machines. */
  identity?: NodeIdentity
  /** What proves to the leader that this is a node of its cluster. */
  token(): Promise<string>
  /**
   * Ends a leader that is silent and still lives, if that can be done for certain (same machine: pid and start time); without it such a leader
   * is waited for.
   */
  kill?(leader: LeadershipView): void
  /** In a journal that nobody ever led: how long to leave that to the others. */
  firstDelayMs: number
  /** It follows a leader. */
  following?(leader: LeadershipView): void
  /** Run whenever it has applied what is there, in tests. */
  check?: (state: State) => void
}

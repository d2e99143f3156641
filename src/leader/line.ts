// Owns the line in which standbys wait for a leadership: each one's place, and the end of a silent leader's lease.
// Must not claim.
import { rankStandbys, type State } from '../core/index.ts'
import type { LeadershipView } from '../journal/index.ts'

/** Each standby waits one step longer than the one that ranks before it. */
const stepMs = 200

/** How long this candidate leaves the claim to those that rank before it. */
export function placeDelayMs({ leadership, leader, nowMs }: State, id: string): number {
  if (leadership.resignedTo === id) return 0
  const ranked = rankStandbys(leadership, leader, nowMs).map(one => one.id)
  const own = ranked.indexOf(id)
  const place = own < 0 ? ranked.length : own
  return (leadership.resignedTo === '' ? place : place + 1) * stepMs
}

/**
 * Looks until the lease of this epoch has ended, at most `looks` times; `look` pauses first, and gives undefined where it is not waited any more.
 * False if the lease is kept, or another one leads: the leader may be silent only here, and is dialled again.
 */
export async function leaseEnded(epoch: number, looks: number, look: () => Promise<LeadershipView | undefined>): Promise<boolean> {
  for (let i = 0; i < looks; i++) {
    const now = await look()
    if (now?.epoch !== epoch) return false
    if (now.lease !== 'held') return true
  }
  return false
}

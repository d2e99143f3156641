// Owns waiting for a hand-over that its user asked for. Must not choose who leads.
import { CoxswainError, type StatusView } from '../protocol/index.ts'
import type { Parts } from './parts.ts'
import { pause } from './pause.ts'

/** So long a promoted standby may take to lead, and how often that is looked at. */
const promoteMsMax = 10_000
const promoteLookMs = 10

/** Resolves with the leader once it is this candidate. Rejects with NOT_FOUND or UNAVAILABLE. */
export async function promote(
  { session, clock }: Parts,
  status: () => Promise<StatusView>,
  candidate: string,
): Promise<StatusView['leader']> {
  await session.request({ kind: 'promote', candidate })
  const untilMs = clock.monotonicMs() + promoteMsMax
  for (;;) {
    const { leader } = await status()
    if (leader.id === candidate) return leader
    if (clock.monotonicMs() > untilMs)
      throw new CoxswainError('UNAVAILABLE', `Candidate ${candidate} did not take over; ${leader.id} leads.`, { id: candidate })
    await pause(clock, promoteLookMs)
  }
}

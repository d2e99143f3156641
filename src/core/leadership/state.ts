// Owns who the candidates are and how they rank. Must not hold connections or signs of life: those are observed, not facts.
//
// As in the source document's algorithm 4: priority P = P0 × (1 − r), with r the candidate's failure rate. All candidates have applied the
// same facts, so all of them come to the same ranks without asking each other.

/** A process that leads or stands by, as facts tell. */
export interface Candidate {
  id: string
  /** P0, as configured: 1 to `priorityMax`. */
  priority: number
  /** r, in millionths, as it was at `ratedAtMs` of cluster time; it halves every `rateHalfLifeMs`. Whole numbers, so that all state bytes are alike. */
  failureRate: number
  ratedAtMs: number
  /** It leads or follows. */
  present: boolean
}

/** Who may lead. */
export interface Leadership {
  candidates: Map<string, Candidate>
  /** The leader handed over to this candidate and leads no more; empty while it leads. */
  resignedTo: string
}

/** Candidates that are away are remembered for their failure rate, at most so many; the one that was rated longest ago goes first. */
export const candidatesKeptMax = 64
const rateHalfLifeMs = 600_000
/** How much one failure weighs against all before it. */
const failureWeight = 0.3
const million = 1_000_000

export function createLeadership(): Leadership {
  return { candidates: new Map(), resignedTo: '' }
}

/** r at this cluster time, 0 to 1. */
export function failureRateAt(candidate: Candidate, nowMs: number): number {
  return (candidate.failureRate / million) * 2 ** (-Math.max(0, nowMs - candidate.ratedAtMs) / rateHalfLifeMs)
}

/** Counts a failure of the candidate. */
export function rateFailure(candidate: Candidate, nowMs: number): void {
  const rate = failureRateAt(candidate, nowMs)
  candidate.failureRate = Math.round((rate + (1 - rate) * failureWeight) * million)
  candidate.ratedAtMs = nowMs
}

/** P = P0 × (1 − r) at this cluster time. */
export function priorityAt(candidate: Candidate, nowMs: number): number {
  return candidate.priority * (1 - failureRateAt(candidate, nowMs))
}

/** Those who stand by, the one that should lead next first: by P, equal ones by name. */
export function rankStandbys(leadership: Leadership, leader: string, nowMs: number): Candidate[] {
  const standbys = [...leadership.candidates.values()].filter(one => one.present && one.id !== leader)
  return standbys.sort((a, b) => priorityAt(b, nowMs) - priorityAt(a, nowMs) || (a.id < b.id ? -1 : 1))
}

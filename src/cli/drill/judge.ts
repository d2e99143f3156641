// Owns what a drill's history comes to: the table's rows, attempts that ran again, and whether every promise was kept.
// Must not talk to a cluster: it judges what was written down.
import type { Fault, FaultKind } from './faults.ts'
import type { LoadCounts } from './load.ts'

/** An attempt that began this long before a fault is known to the journal: it must not run again because of it. */
export const knownAfterMs = 250

/** What one kind of fault cost. */
export interface Row {
  kind: FaultKind
  times: number
  p50Ms: number
  p99Ms: number
  maxMs: number
}

/** What was judged. */
export interface Verdict {
  kept: boolean
  rows: Row[]
  /** Attempts that ran again, and those of them that a journaled attempt's survival should have spared. */
  rerun: number
  survivorsRerun: number
}

/** A row for each kind of fault that there was. */
function rowsOf(faults: readonly Fault[]): Row[] {
  return (['kill', 'freeze', 'promote'] as const).flatMap(kind => {
    const gaps = faults
      .filter(fault => fault.kind === kind)
      .map(fault => fault.gapMs)
      .sort((a, b) => a - b)
    const at = (share: number): number => gaps[Math.min(gaps.length - 1, Math.floor(gaps.length * share))]!
    return gaps.length === 0 ? [] : [{ kind, times: gaps.length, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: gaps.at(-1)! }]
  })
}

/**
 * Counts in the lines of the calls how many ran again, and how many of those must not: what began from a moment before a fault until the next
 * leader wrote may be unknown to the journal, everything else is not.
 */
function rerunsOf(trace: string, faults: readonly Pick<Fault, 'atMs' | 'gapMs'>[]): { rerun: number; survivorsRerun: number } {
  const starts = new Map<string, number[]>()
  for (const line of trace.split('\n').filter(Boolean)) {
    const [key = '', , at] = line.split(' ')
    starts.set(key, [...(starts.get(key) ?? []), Number(at)])
  }
  let rerun = 0
  let survivorsRerun = 0
  for (const [first = 0, ...again] of starts.values()) {
    const unknown = faults.some(({ atMs, gapMs }) => first >= atMs - knownAfterMs && first <= atMs + gapMs + knownAfterMs)
    rerun += again.length
    if (!unknown) survivorsRerun += again.length
  }
  return { rerun, survivorsRerun }
}

/** Judges counts, the lines `key attempt time` that the calls left, and the faults. */
export function judge(counts: LoadCounts, trace: string, faults: readonly Fault[]): Verdict {
  const reruns = rerunsOf(trace, faults)
  return { kept: counts.failed + counts.wrong + counts.lost + reruns.survivorsRerun === 0, rows: rowsOf(faults), ...reruns }
}

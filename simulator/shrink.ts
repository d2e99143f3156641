// Owns making a failing scenario small: faults, then workloads, then nodes are left out as long as the same rule breaks.
// Must not accept another failure for the one that is looked for.
import { run } from './run.ts'
import type { Scenario } from './scenario.ts'

/** Delta debugging: the smallest list found for which `fails` still holds. */
export async function minimise<T>(items: readonly T[], fails: (items: readonly T[]) => Promise<boolean>): Promise<readonly T[]> {
  let kept = items
  let parts = 2
  while (kept.length > 0) {
    const size = Math.ceil(kept.length / parts)
    let smaller: readonly T[] | undefined
    for (let from = 0; from < kept.length && !smaller; from += size) {
      const rest = [...kept.slice(0, from), ...kept.slice(from + size)]
      if (await fails(rest)) smaller = rest
    }
    if (smaller) {
      kept = smaller
      parts = Math.max(2, parts - 1)
    } else if (size === 1) return kept
    else parts = Math.min(kept.length, parts * 2)
  }
  return kept
}

/** The smallest scenario found that breaks the same rule. */
export async function shrink(scenario: Scenario, rule: string): Promise<Scenario> {
  let best = scenario
  const breaks = async (candidate: Scenario): Promise<boolean> => {
    const { violations } = await run(candidate)
    const same = violations.some(one => one.rule === rule)
    if (same) best = candidate
    return same
  }
  await minimise(scenario.faults, faults => breaks({ ...best, faults: [...faults] }))
  await minimise(best.workloads, workloads => breaks({ ...best, workloads: [...workloads] }))
  for (const noun of ['candidates', 'workers', 'clients'] as const) {
    while (best[noun] > 1 && (await breaks({ ...best, [noun]: best[noun] - 1 })));
  }
  await breaks({ ...best, drift: 0 })
  return best
}

// Owns the choice of a worker for a new lane: it must fit; then locality, then load, spread or packed by policy.
// Must not write state. Costs the same with 10 and with 10,000 workers.
import { fits } from '../membership/resources.ts'
import { freeBuckets, type Worker } from '../membership/state.ts'
import { loadOf, type Observed } from '../observed/observed.ts'
import type { State } from '../state.ts'
import type { SchedulingClass } from '../tasks/state.ts'

export type PlacementPolicy = 'spread' | 'pack'

/** Workers looked at per bucket, and of those that fit, how many are compared by load. */
const looksMax = 32
const comparedMax = 4

function usable(state: State, observed: Observed, schedulingClass: SchedulingClass, worker: Worker): boolean {
  return (
    !worker.draining &&
    observed.workers.has(worker.id) &&
    state.membership.workers.get(worker.id) === worker &&
    fits(schedulingClass.plan.resources, worker.free)
  )
}

/** The worker for a new lane of the class, or undefined if none has room. `preferred` holds the data; `avoid` is where the task died last. */
export function chooseWorker(
  state: State,
  observed: Observed,
  schedulingClass: SchedulingClass,
  policy: PlacementPolicy,
  preferred: string | undefined,
  avoid: string,
): Worker | undefined {
  const local = preferred === undefined || preferred === avoid ? undefined : state.membership.workers.get(preferred)
  if (local && usable(state, observed, schedulingClass, local)) return local
  let avoided: Worker | undefined
  for (let step = 0; step < freeBuckets; step++) {
    const bucket = state.membership.byFree[policy === 'spread' ? freeBuckets - 1 - step : step]!
    let best: Worker | undefined
    let looks = 0
    let compared = 0
    for (const worker of bucket) {
      if (++looks > looksMax || compared >= comparedMax) break
      if (!usable(state, observed, schedulingClass, worker)) continue
      if (worker.id === avoid) {
        avoided = worker
        continue
      }
      compared++
      if (!best || loadOf(worker, observed) < loadOf(best, observed)) best = worker
    }
    if (best) return best
  }
  return avoided
}

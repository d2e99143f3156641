// Owns the choice of a worker for a new lane: it must fit; then locality, then load, spread or packed by policy.
// Must not write state. Costs the same with 10 and with 10,000 workers, as long as there is room or nothing changes.
import { fits } from '../membership/resources.ts'
import { bucketsOf, freeBuckets, type Worker } from '../membership/state.ts'
import { loadOf, type Observed } from '../observed/observed.ts'
import type { State } from '../state.ts'
import type { SchedulingClass } from '../tasks/state.ts'

export type PlacementPolicy = 'spread' | 'pack'

/** Workers looked at per bucket, and of those that fit, how many are compared by load. */
const looksMax = 32
const comparedMax = 4

/** Where a task's data is, and where it died last. */
export interface Wish {
  preferred: string | undefined
  avoid: string
}

/** True if the worker is kept for another class. One of higher priority may take what is kept for one of a lower. */
export function keptForOther(observed: Observed, schedulingClass: SchedulingClass, worker: Worker): boolean {
  const kept = observed.reserved.get(worker.id)
  return kept !== undefined && kept.owner !== schedulingClass && schedulingClass.waiting.priority <= kept.priority
}

/** Work can be handed to it now: it is connected, stays, is not kept for others, and has room. */
function hasRoom(observed: Observed, schedulingClass: SchedulingClass, worker: Worker): boolean {
  return (
    !worker.draining &&
    observed.workers.has(worker.id) &&
    !keptForOther(observed, schedulingClass, worker) &&
    fits(schedulingClass.plan.resources, worker.free)
  )
}

/** True if the worker could run the class if nothing else ran there. */
export function couldRun(observed: Observed, schedulingClass: SchedulingClass, worker: Worker): boolean {
  return !worker.draining && observed.workers.has(worker.id) && fits(schedulingClass.plan.resources, worker.capacity)
}

/**
 * The worker for a new lane of the class, or undefined if none has room. `roomier` holds those with more room than at the last call: where
 * all workers were found full before, only they are looked at, and those without room for the class are taken out: until the turn is over
 * they get none.
 */
export function chooseWorker(
  state: State,
  observed: Observed,
  schedulingClass: SchedulingClass,
  policy: PlacementPolicy,
  wish: Wish,
  roomier: Set<Worker>,
): Worker | undefined {
  const shortage = observed.short.get(schedulingClass)
  const { priority } = schedulingClass.waiting
  if (shortage && shortage.priority >= priority) {
    // With this priority it passes by what it might take with a higher one.
    shortage.priority = priority
    if (!shortage.couldRun) for (const worker of roomier) shortage.couldRun ||= couldRun(observed, schedulingClass, worker)
    return firstWithRoom(observed, schedulingClass, roomier, wish, worker => roomier.delete(worker))
  }
  const { preferred, avoid } = wish
  const local = preferred === undefined || preferred === avoid ? undefined : state.membership.workers.get(preferred)
  if (local && hasRoom(observed, schedulingClass, local)) return local
  const found = fromBuckets(state, observed, schedulingClass, policy, avoid)
  if (found && found.id !== avoid) return found
  // Few of many were looked at: that nobody has room must be known for certain before the class is left waiting.
  const certain = firstWithRoom(observed, schedulingClass, state.membership.workers.values(), wish)
  if (certain) observed.short.delete(schedulingClass)
  else {
    const couldRun = anyCouldRun(state, observed, schedulingClass)
    observed.short.set(schedulingClass, { couldRun, priority })
  }
  return certain
}

function anyCouldRun(state: State, observed: Observed, schedulingClass: SchedulingClass): boolean {
  for (const worker of state.membership.workers.values()) if (couldRun(observed, schedulingClass, worker)) return true
  return false
}

/** The first worker that fits; the avoided one only if it is the only one. Those passed by because they do not fit are told. */
function firstWithRoom(
  observed: Observed,
  schedulingClass: SchedulingClass,
  workers: Iterable<Worker>,
  wish: Wish,
  full: (worker: Worker) => void = () => {},
): Worker | undefined {
  let avoided: Worker | undefined
  for (const worker of workers) {
    if (!hasRoom(observed, schedulingClass, worker)) {
      full(worker)
      continue
    }
    if (worker.id !== wish.avoid) return worker
    avoided = worker
  }
  return avoided
}

/** A good worker among a few of each bucket, in the order of the policy; the avoided one only if it is the only one found. */
function fromBuckets(
  state: State,
  observed: Observed,
  schedulingClass: SchedulingClass,
  policy: PlacementPolicy,
  avoid: string,
): Worker | undefined {
  let avoided: Worker | undefined
  const buckets = bucketsOf(state.membership)
  for (let step = 0; step < freeBuckets; step++) {
    const bucket = buckets[policy === 'spread' ? freeBuckets - 1 - step : step]!
    let best: Worker | undefined
    let looks = 0
    let compared = 0
    for (const worker of bucket) {
      if (++looks > looksMax || compared >= comparedMax) break
      if (!hasRoom(observed, schedulingClass, worker)) continue
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

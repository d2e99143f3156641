// Owns keeping a worker for a class that found no room anywhere: its lanes run out instead of being filled, until the class fits.
// Must not hand out work.
//
// Without it a task that needs a whole worker would wait for as long as there are small ones: they take every bit of room that comes free.
import { usedShare } from '../membership/resources.ts'
import type { Worker } from '../membership/state.ts'
import type { Observed } from '../observed/observed.ts'
import type { State } from '../state.ts'
import type { SchedulingClass } from '../tasks/state.ts'
import { couldRun, keptForOther } from './workers.ts'

/** Workers looked at for one reservation. */
const candidatesMax = 64

/** Lets go of what is kept for classes that wait no longer, or that have a lane by now; says which workers are free for all again. */
export function releaseReservations(state: State, observed: Observed): Worker[] {
  const released: Worker[] = []
  for (const [id, { owner, priority }] of observed.reserved) {
    const worker = state.membership.workers.get(id)
    const needed = owner.readyCount > 0 && owner.lanes === 0 && observed.short.has(owner) && owner.waiting.priority >= priority
    if (worker && needed && couldRun(observed, owner, worker)) continue
    observed.reserved.delete(id)
    if (worker) released.push(worker)
  }
  return released
}

/** Keeps the emptiest worker that could run the class for it, if it has no lane and none is kept yet. Half of the workers stay free for all. */
export function reserve(state: State, observed: Observed, schedulingClass: SchedulingClass): void {
  if (schedulingClass.lanes > 0 || !observed.short.get(schedulingClass)?.couldRun) return
  for (const { owner } of observed.reserved.values()) if (owner === schedulingClass) return
  if (observed.reserved.size >= Math.max(1, state.membership.workers.size >> 1)) return
  let best: Worker | undefined
  let bestUsed = Number.POSITIVE_INFINITY
  let looks = 0
  for (const worker of state.membership.workers.values()) {
    if (keptForOther(observed, schedulingClass, worker) || !couldRun(observed, schedulingClass, worker)) continue
    const used = usedShare(worker.capacity, worker.free)
    if (used < bestUsed) {
      best = worker
      bestUsed = used
    }
    if (++looks === candidatesMax) break
  }
  if (best) observed.reserved.set(best.id, { owner: schedulingClass, priority: schedulingClass.waiting.priority })
}

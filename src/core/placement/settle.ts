// Owns the last step of a turn: handing out work, once, after all commands were applied. Every choice becomes a fact.
// Must not write state but through `emit`, which applies each fact before the next choice.
import { type JournalRecord, laneId, type Run } from '../../protocol/index.ts'
import { finalState } from '../jobs/decide.ts'
import type { CoreLimits } from '../limits.ts'
import { fits } from '../membership/resources.ts'
import type { Worker } from '../membership/state.ts'
import type { Observed } from '../observed/observed.ts'
import type { State } from '../state.ts'
import { type Lane, outstanding, type SchedulingClass } from '../tasks/state.ts'
import { firstBite, takeBite, tasksAhead } from './bite.ts'
import { retire } from './retention.ts'
import { chooseWorker, type PlacementPolicy } from './workers.ts'

export interface SettleOptions {
  limits: CoreLimits
  policy: PlacementPolicy
}

type Emit = (record: JournalRecord) => void

/** Workers looked at when asking whether anyone else could take a task that just died. */
const alternativesMax = 64

function assign(lane: number, worker: Worker, runs: Run[], emit: Emit): void {
  emit({ kind: 'TasksAssigned', lane, worker: worker.id, incarnation: worker.incarnation, runs, adopted: false })
}

/** True if a connected worker other than this one could ever run the class. */
function othersCan(state: State, observed: Observed, schedulingClass: SchedulingClass, worker: string): boolean {
  let looks = 0
  for (const other of state.membership.workers.values()) {
    if (++looks > alternativesMax) return false
    if (other.id !== worker && !other.draining && observed.workers.has(other.id) && fits(schedulingClass.plan.resources, other.capacity))
      return true
  }
  return false
}

/** Opens lanes for the class until nothing waits or no worker has room. True: something still waits for room. */
function openLanes(state: State, observed: Observed, schedulingClass: SchedulingClass, options: SettleOptions, emit: Emit): boolean {
  while (schedulingClass.readyCount > 0) {
    const [stage] = schedulingClass.waiting
    const head = stage!.ready[0]!
    const preferred = stage!.inputBlocks.get(head.first)?.holder
    const worker = chooseWorker(state, observed, schedulingClass, options.policy, preferred, head.avoid)
    if (!worker) return true
    const lanes = schedulingClass.lanes.size + Math.max(1, state.membership.workers.size)
    const runs = takeBite(
      schedulingClass,
      firstBite(observed, schedulingClass, lanes, options.limits),
      worker.id,
      othersCan(state, observed, schedulingClass, worker.id),
      options.limits,
    )
    // All that waits died on this worker last, and the others have no room now.
    if (runs.length === 0) return true
    assign(laneId(state.epoch, state.tasks.nextLane), worker, runs, emit)
  }
  return false
}

/** Gives more tasks to the class's lanes that have less than half of what they should have ahead. */
function extendLanes(state: State, observed: Observed, schedulingClass: SchedulingClass, options: SettleOptions, emit: Emit): void {
  const hungry = observed.hungry.get(schedulingClass)
  if (!hungry) return
  const ahead = tasksAhead(observed, schedulingClass, options.limits)
  for (const lane of hungry) {
    const gone = state.tasks.lanes.get(lane.id) !== lane || lane.closing
    if (gone || outstanding(lane) * 2 > ahead) {
      hungry.delete(lane)
      continue
    }
    if (schedulingClass.readyCount === 0) return
    fill(state, observed, lane, ahead, options, emit)
    if (outstanding(lane) * 2 > ahead) hungry.delete(lane)
  }
}

function fill(state: State, observed: Observed, lane: Lane, ahead: number, options: SettleOptions, emit: Emit): void {
  while (outstanding(lane) < ahead && lane.class.readyCount > 0) {
    // What waits is shared: with less than a full load for everyone, each lane takes its part only.
    const share = Math.max(1, Math.ceil(lane.class.readyCount / Math.max(1, lane.class.lanes.size)))
    const runs = takeBite(
      lane.class,
      Math.min(ahead - outstanding(lane), Math.max(share, ahead >> 2)),
      lane.worker.id,
      othersCan(state, observed, lane.class, lane.worker.id),
      options.limits,
    )
    if (runs.length === 0) return
    assign(lane.id, lane.worker, runs, emit)
  }
}

/** Hands out what can be handed out, ends what is complete, forgets what is too old. */
export function settle(state: State, observed: Observed, options: SettleOptions, emit: Emit): void {
  for (const job of [...state.jobs.complete]) emit({ kind: 'JobFinished', job: job.plan.job, state: finalState(job) })
  retire(state, options.limits, emit)
  const { waiting } = state.tasks
  if (waiting.size === 0) return
  const classes =
    waiting.size === 1
      ? [...waiting]
      : [...waiting].sort((a, b) => (b.waiting.priority ?? 0) - (a.waiting.priority ?? 0) || a.lanes.size - b.lanes.size)
  const short: { schedulingClass: SchedulingClass; priority: number }[] = []
  for (const schedulingClass of classes) {
    const priority = schedulingClass.waiting.priority ?? 0
    if (openLanes(state, observed, schedulingClass, options, emit)) short.push({ schedulingClass, priority })
  }
  // Where classes compete for room, one that has more lanes than its share lets them run out, unless it goes first by priority.
  const share = Math.max(1, Math.ceil(state.tasks.lanes.size / Math.max(1, classes.length)))
  for (const schedulingClass of classes) {
    if (schedulingClass.readyCount === 0) continue
    const priority = schedulingClass.waiting.priority ?? 0
    const yields = short.some(
      other =>
        other.schedulingClass !== schedulingClass &&
        other.schedulingClass.lanes.size < share &&
        (other.priority > priority || (other.priority === priority && schedulingClass.lanes.size > share)),
    )
    if (!yields) extendLanes(state, observed, schedulingClass, options, emit)
  }
}

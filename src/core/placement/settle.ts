// Owns the last step of a turn: handing out work, once, after all commands were applied. Every choice becomes a fact.
// Must not write state but through `emit`, which applies each fact before the next choice.
import { type JournalRecord, laneId, type Run } from '../../protocol/index.ts'
import { isAwaited } from '../deadlines/state.ts'
import { finalState } from '../jobs/decide.ts'
import type { CoreLimits } from '../limits.ts'
import type { Worker } from '../membership/state.ts'
import type { Observed } from '../observed/observed.ts'
import type { State } from '../state.ts'
import { type Lane, outstanding, type SchedulingClass } from '../tasks/state.ts'
import { firstBite, takeBite, tasksAhead } from './bite.ts'
import { releaseReservations, reserve } from './reserve.ts'
import { retire } from './retention.ts'
import { chooseWorker, couldRun, keptForOther, type PlacementPolicy } from './workers.ts'

/** How work is handed out. */
export interface SettleOptions {
  limits: CoreLimits
  policy: PlacementPolicy
}

type Emit = (record: JournalRecord) => void

/** Everything that handing out work needs. */
interface Turn {
  state: State
  observed: Observed
  options: SettleOptions
  emit: Emit
  /** Workers that have more room than in the turn before. */
  roomier: Set<Worker>
}

/** Workers looked at when asking whether anyone else could take a task that just died. */
const alternativesMax = 64

function assign(turn: Turn, lane: number, worker: Worker, runs: Run[]): void {
  turn.emit({ kind: 'TasksAssigned', lane, worker: worker.id, incarnation: worker.incarnation, runs, adopted: false })
}

/** True if a connected worker other than this one could ever run the class. */
function othersCan({ state, observed }: Turn, schedulingClass: SchedulingClass, worker: string): boolean {
  let looks = 0
  for (const other of state.membership.workers.values()) {
    if (++looks > alternativesMax) return false
    if (other.id !== worker && couldRun(observed, schedulingClass, other)) return true
  }
  return false
}

/** Tasks for this worker, at most `tasksMax`. */
function bite(turn: Turn, schedulingClass: SchedulingClass, worker: Worker, tasksMax: number): Run[] {
  const others = othersCan(turn, schedulingClass, worker.id)
  return takeBite(schedulingClass, tasksMax, worker.id, others, turn.options.limits)
}

/** Opens lanes for the class until nothing waits or no worker has room. True: something still waits for room. */
function openLanes(turn: Turn, schedulingClass: SchedulingClass): boolean {
  const { state, observed, options } = turn
  const roomier = observed.short.has(schedulingClass) ? new Set(turn.roomier) : turn.roomier
  while (schedulingClass.readyCount > 0) {
    const [stage] = schedulingClass.waiting
    const head = stage!.ready.head!
    const wish = { preferred: stage!.inputBlocks.get(head.first)?.holder, avoid: head.avoid }
    const worker = chooseWorker(state, observed, schedulingClass, options.policy, wish, roomier)
    if (!worker) return true
    const lanes = schedulingClass.lanes + state.membership.workers.size
    const runs = bite(turn, schedulingClass, worker, firstBite(observed, schedulingClass, lanes, options.limits))
    if (runs.length === 0) {
      // All that waits died on this worker last, and the others have no room now; for what comes next this one has.
      observed.short.delete(schedulingClass)
      return true
    }
    assign(turn, laneId(state.epoch, state.tasks.nextLane), worker, runs)
  }
  return false
}

/** Gives more tasks to the class's lanes that have less than half of what they should have ahead. */
function extendLanes(turn: Turn, schedulingClass: SchedulingClass): void {
  const { observed, options } = turn
  const hungry = observed.hungry.get(schedulingClass)
  if (!hungry) return
  const ahead = tasksAhead(observed, schedulingClass, options.limits)
  for (const lane of hungry) {
    // An open lane is never empty, so an empty one is closed.
    if (lane.runs.length === 0 || lane.closing || outstanding(lane) * 2 > ahead) {
      hungry.delete(lane)
      continue
    }
    if (schedulingClass.readyCount === 0) return
    if (keptForOther(observed, schedulingClass, lane.worker)) continue
    fill(turn, lane, ahead)
    if (outstanding(lane) * 2 > ahead) hungry.delete(lane)
  }
}

function fill(turn: Turn, lane: Lane, ahead: number): void {
  while (outstanding(lane) < ahead && lane.class.readyCount > 0) {
    // What waits is shared: with less than a full load for everyone, each lane takes its part only.
    const share = Math.max(1, Math.ceil(lane.class.readyCount / lane.class.lanes))
    const tasksMax = Math.min(ahead - outstanding(lane), Math.max(share, ahead >> 2))
    const runs = bite(turn, lane.class, lane.worker, tasksMax)
    if (runs.length === 0) return
    assign(turn, lane.id, lane.worker, runs)
  }
}

/** Classes in the order in which they are served: by priority, then those with fewer lanes first. */
function inOrder(waiting: Set<SchedulingClass>): SchedulingClass[] {
  const classes = [...waiting]
  if (classes.length === 1) return classes
  return classes.sort((a, b) => b.waiting.priority - a.waiting.priority || a.lanes - b.lanes)
}

/** Opens lanes for all classes; says which of them wait for room that there could be. */
function openAll(turn: Turn, classes: readonly SchedulingClass[]): SchedulingClass[] {
  const { state, observed } = turn
  let short = classes
  for (;;) {
    short = short.filter(schedulingClass => openLanes(turn, schedulingClass))
    // A worker that was kept for a class which has its lane now may have room left for the others.
    const released = releaseReservations(state, observed)
    // What can never run here competes with nobody.
    if (released.length === 0) return short.filter(schedulingClass => observed.short.get(schedulingClass)?.couldRun !== false)
    for (const worker of released) turn.roomier.add(worker)
  }
}

/** What is remembered of classes that wait no longer goes: it would be wrong when they wait again, and in the way until then. */
function forgetServed(observed: Observed): void {
  for (const schedulingClass of observed.hungry.keys()) if (schedulingClass.readyCount === 0) observed.hungry.delete(schedulingClass)
  for (const schedulingClass of observed.short.keys()) if (schedulingClass.readyCount === 0) observed.short.delete(schedulingClass)
}

/** The workers with more room than at the last call: from facts, from connecting, from what was kept for others. */
function takeRoomier(state: State, observed: Observed): Set<Worker> {
  const { membership } = state
  const roomier = membership.roomier
  membership.roomier = new Set()
  for (const id of observed.arrived) {
    const worker = membership.workers.get(id)
    if (worker) roomier.add(worker)
  }
  observed.arrived.clear()
  for (const worker of releaseReservations(state, observed)) roomier.add(worker)
  return roomier
}

/** True if the class has to leave room to another one, which has less than its share. */
function yieldsTo(schedulingClass: SchedulingClass, other: SchedulingClass, share: number): boolean {
  if (other === schedulingClass || other.lanes >= share) return false
  const ahead = other.waiting.priority - schedulingClass.waiting.priority
  return ahead > 0 || (ahead === 0 && schedulingClass.lanes > share)
}

function handOut(turn: Turn): void {
  const { state, observed } = turn
  const classes = inOrder(state.tasks.waiting)
  const short = openAll(turn, classes)
  for (const schedulingClass of short) reserve(state, observed, schedulingClass)
  // Where classes compete for room, one that has more lanes than its share lets them run out, unless it goes first by priority.
  // With fewer lanes than classes no share is a whole lane: all of them run out, and the next class in turn has its own.
  const lanes = state.tasks.lanes.size / classes.length
  const share = lanes < 1 ? lanes : Math.ceil(lanes)
  for (const schedulingClass of classes) {
    if (schedulingClass.readyCount === 0) continue
    if (!short.some(other => yieldsTo(schedulingClass, other, share))) extendLanes(turn, schedulingClass)
  }
}

/** Hands out what can be handed out, ends what is complete, forgets what is too old. */
export function settle(state: State, observed: Observed, options: SettleOptions, emit: Emit): void {
  for (const deadline of [...state.deadlines.due]) {
    const { job, step } = deadline
    // What ended in the same turn has ended in time.
    if (!isAwaited(deadline)) continue
    emit(step < 0 ? { kind: 'JobTimedOut', job: job.plan.job } : { kind: 'StepTimedOut', job: job.plan.job, step })
  }
  // The end of one may be the turn of another, which has nothing to do.
  for (const job of state.jobs.complete) emit({ kind: 'JobFinished', job: job.plan.job, state: finalState(job) })
  retire(state, options.limits, emit)
  const roomier = takeRoomier(state, observed)
  if (state.tasks.waiting.size > 0) handOut({ state, observed, options, emit, roomier })
  forgetServed(observed)
}

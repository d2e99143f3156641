// Owns how the tasks of a workflow's steps begin, wait for one another and end. What follows for other steps is steps.ts.
// Must not choose anything.
import type { Range } from '../../protocol/index.ts'
import { cancelTasks, cancelWaiting } from '../jobs/accounts.ts'
import type { Stage } from '../jobs/state.ts'
import type { State } from '../state.ts'
import { pushReady } from '../tasks/ready.ts'
import { endsAs, type Flowing, type Part, sinceMs, stageOf } from './flowing.ts'
import { foldParent } from './fold.ts'

/** The tasks of a step that have ended by now, counted from its first one. */
export function* partsEnded(on: Flowing, step: number): Generator<Part> {
  const stage = stageOf(on, step)
  const first = on.flow.first(step)
  const width = on.flow.width(step)
  for (const segment of stage.results.overlapping(first, width)) {
    const from = Math.max(segment.first, first)
    yield { first: from - first, count: Math.min(segment.first + segment.count, first + width) - from, outcome: 'succeeded' }
  }
  for (const part of stage.lost.within(first, width)) yield { first: part.first - first, count: part.count, outcome: 'cancelled' }
}

/** Tasks of steps are handed out: the first of each is when its step began. */
export function stepsBegin(state: State, stage: Stage, { first, count, attempt }: Range & { attempt: number }): void {
  const { job, wide, owners } = stage
  const flow = job.flow!
  const nowMs = sinceMs(state, job)
  const begin = (step: number): void => {
    flow.times.begin(step, nowMs)
    if (attempt > 1) flow.attempts.set(step, Math.max(attempt, flow.attempts.get(step) ?? 1))
  }
  if (wide >= 0) begin(wide)
  else for (let task = first; task < first + count; task++) begin(owners[task]!)
}

/** The step's stage, which is its own, gets tasks: all of them wait. */
export function widen(on: Flowing, step: number, count: number): void {
  const stage = stageOf(on, step)
  on.flow.setTasks(step, stage.added, count)
  stage.wide = step
  stage.held.add(stage.added, count)
  stage.added += count
  stage.heldCount += count
  on.state.jobs.openTasks += count
}

/** Tasks of a step, from its task `from` on, may run: those of them that still wait. */
export function release(on: Flowing, step: number, from: number, count: number): void {
  const { state, flow } = on
  if (count === 0 || flow.left(step) === 0) return
  const stage = stageOf(on, step)
  const first = flow.first(step) + from
  const attempt = flow.firstAttempts.get(step) ?? 1
  for (const part of stage.wide >= 0 ? stage.held.within(first, count) : [{ first, count }]) {
    stage.heldCount -= part.count
    if (stage.wide >= 0) stage.held.remove(part.first, part.count)
    pushReady(state, stage, { ...part, attempt, avoid: '' })
  }
}

/** Tasks that wait for others, in this range of their stage, will never run. */
export function cancelHeld({ state }: Flowing, stage: Stage, range: Range): void {
  for (const part of stage.held.within(range.first, range.count)) {
    stage.held.remove(part.first, part.count)
    stage.heldCount -= part.count
    cancelTasks(state, stage, part)
  }
}

/** What has not begun of a step never will. */
function beginNothing(on: Flowing, step: number): void {
  const { state, flow } = on
  const stage = stageOf(on, step)
  const range = { first: flow.first(step), count: flow.width(step) }
  if (stage.wide >= 0) cancelHeld(on, stage, range)
  else if (flow.status(step) === 'waiting') {
    stage.heldCount--
    cancelTasks(state, stage, range)
  }
  cancelWaiting(state, stage, range.first, range.count)
}

/** A step is not to run any more: what has not begun never will; what runs may end, and counts for nothing. */
export function abandon(on: Flowing, step: number, why: 'failed' | 'cancelled' | 'skipped'): void {
  const { flow } = on
  if (flow.settled(step)) return
  const before = flow.damage(step)
  flow.setDamage(step, why)
  // It was given up for another reason already, and its end is on its way.
  if (before !== undefined && flow.status(step) === 'waiting') return
  if (flow.left(step) === 0) return endsAs(on, step, why)
  beginNothing(on, step)
}

/**
 * A step is to begin nothing any more; what of it runs may end, and the step comes to what its tasks do. One that has not begun is given up, a choice
 * waits for its options, which have their ends.
 */
export function letEnd(on: Flowing, step: number): void {
  const { flow } = on
  if (flow.kind(step) === 'choice') return
  if (flow.kind(step) !== 'tasks' || flow.status(step) === 'waiting') return abandon(on, step, 'cancelled')
  beginNothing(on, step)
}

/** Tasks of a stage have ended. */
export function tasksEnded(on: Flowing, stage: Stage, part: Part): void {
  if (stage.wide >= 0) return countDown(on, stage, stage.wide, part)
  for (let first = part.first; first < part.first + part.count; first++)
    countDown(on, stage, stage.owners[first]!, { first, count: 1, outcome: part.outcome })
}

function countDown(on: Flowing, stage: Stage, step: number, part: Part): void {
  const { flow } = on
  const { outcome } = part
  // Tasks of a step that was given up are cancelled: why it was, stands already.
  if (outcome === 'failed' || (outcome === 'cancelled' && flow.damage(step) === undefined)) flow.setDamage(step, outcome)
  const left = flow.addLeft(step, -part.count)
  if (left < 0) throw new Error(`step ${step} of ${on.job.plan.job} has more ends than tasks`)
  const own = { ...part, first: part.first - flow.first(step) }
  if (flow.folds.has(step)) foldOwn(on, step, own)
  if (flow.edges.followed.has(step))
    flow.edges.eachUse(step, (kind, follower) => {
      if (kind !== 'each' && kind !== 'fold') return
      if (outcome !== 'succeeded') stage.lost.add(part.first, part.count)
      if (flow.status(follower) === 'open') hear(on, kind, follower, own)
    })
  if (left === 0 && !flow.expanded.has(step)) endsAs(on, step, flow.damage(step) ?? 'succeeded')
}

/** Tasks of the step before this one have ended: those here that need exactly them move on. */
export function hear(on: Flowing, kind: 'each' | 'fold', step: number, part: Part): void {
  const { flow } = on
  const stage = stageOf(on, step)
  const first = flow.first(step)
  if (kind === 'fold') {
    if (part.outcome !== 'succeeded') return abandon(on, step, 'cancelled')
    const { fanIn } = flow.folds.get(step)!
    for (let task = part.first; task < part.first + part.count; task++) feed(on, step, Math.floor(task / fanIn))
  } else if (part.outcome !== 'succeeded') cancelHeld(on, stage, { first: first + part.first, count: part.count })
  // Those that were cancelled one by one wait no more.
  else release(on, step, part.first, part.count)
}

/** Tasks of a fold have ended: those of its next level get their results. */
export function foldOwn(on: Flowing, step: number, part: Part): void {
  if (part.outcome !== 'succeeded') return abandon(on, step, 'cancelled')
  for (let task = part.first; task < part.first + part.count; task++) {
    const parent = foldParent(on.flow.folds.get(step)!, task)
    if (parent !== undefined) feed(on, step, parent)
  }
}

/** One more result for this task of a fold; with the last one it may run. */
function feed(on: Flowing, step: number, task: number): void {
  const { waits } = on.flow.folds.get(step)!
  waits[task]!--
  if (waits[task] === 0 && !on.flow.damage(step)) release(on, step, task, 1)
}

// Owns the waiting tasks of a stage: putting them in line, taking them out, and the class's account of them.
// Must not decide who runs them.
import type { ReadyRun, Stage } from '../jobs/state.ts'
import type { State } from '../state.ts'

function account(state: State, stage: Stage, change: number): void {
  const { class: schedulingClass } = stage
  stage.readyCount += change
  // Tasks of a stage that waits for others are in line, but nobody may be told of them yet.
  if (stage.blockedBy > 0) return
  schedulingClass.readyCount += change
  if (stage.readyCount > 0) schedulingClass.waiting.add(stage)
  else schedulingClass.waiting.delete(stage)
  if (schedulingClass.readyCount > 0) state.tasks.waiting.add(schedulingClass)
  else state.tasks.waiting.delete(schedulingClass)
}

/** Puts tasks at the end of the line. */
export function pushReady(state: State, stage: Stage, run: ReadyRun): void {
  const last = stage.ready[stage.ready.length - 1]
  if (last && last.first + last.count === run.first && last.attempt === run.attempt && last.avoid === run.avoid) last.count += run.count
  else stage.ready.push({ ...run })
  account(state, stage, run.count)
}

/** Puts tasks at the front of the line: they were given to someone before. */
export function unshiftReady(state: State, stage: Stage, run: ReadyRun): void {
  const head = stage.ready[0]
  if (head && run.first + run.count === head.first && head.attempt === run.attempt && head.avoid === run.avoid) {
    head.first = run.first
    head.count += run.count
  } else stage.ready.unshift({ ...run })
  account(state, stage, run.count)
}

/** The runs of the line that hold exactly these tasks at this attempt, or undefined if one of them is not in line. */
export function findReady(stage: Stage, first: number, count: number, attempt: number): ReadyRun | undefined {
  return stage.ready.find(run => run.attempt === attempt && run.first <= first && first + count <= run.first + run.count)
}

/** Takes tasks out of the line, wherever they stand. They must be in one run. */
export function takeReady(state: State, stage: Stage, first: number, count: number, attempt: number): void {
  const at = stage.ready.findIndex(run => run.attempt === attempt && run.first <= first && first + count <= run.first + run.count)
  const run = stage.ready[at]
  if (!run) throw new Error(`tasks ${first}+${count} of ${stage.job.plan.job} are not ready at attempt ${attempt}`)
  const before = { ...run, count: first - run.first }
  const after = { ...run, first: first + count, count: run.first + run.count - first - count }
  if (before.count === 0 && after.count > 0) {
    run.first = after.first
    run.count = after.count
  } else if (after.count === 0 && before.count > 0) run.count = before.count
  else if (before.count === 0) {
    if (at === 0) stage.ready.shift()
    else stage.ready.splice(at, 1)
  } else stage.ready.splice(at, 1, before, after)
  account(state, stage, -count)
}

/** Takes from the line all tasks of `first` … `first + count - 1` that are in it, at any attempt; says how many. */
export function dropReady(state: State, stage: Stage, first: number, count: number): { first: number; count: number }[] {
  const dropped: { first: number; count: number }[] = []
  for (const run of [...stage.ready]) {
    const from = Math.max(run.first, first)
    const end = Math.min(run.first + run.count, first + count)
    if (from >= end) continue
    takeReady(state, stage, from, end - from, run.attempt)
    dropped.push({ first: from, count: end - from })
  }
  return dropped
}

/** A producer of the stage is complete; with the last one its tasks may be handed out. */
export function unblock(state: State, stage: Stage): void {
  stage.blockedBy--
  if (stage.blockedBy > 0 || stage.readyCount === 0) return
  const waiting = stage.readyCount
  stage.readyCount = 0
  account(state, stage, waiting)
}

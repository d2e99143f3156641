// Owns the waiting tasks of a stage: putting them in line, taking them out, and the class's account of them.
// Must not decide who runs them.
import type { Range } from '../../protocol/index.ts'
import type { Job, Stage } from '../jobs/state.ts'
import { accountKeyed } from '../keys/apply.ts'
import type { Delayed, State } from '../state.ts'
import type { ReadyRun } from './line.ts'

function account(state: State, stage: Stage, change: number): void {
  const { class: schedulingClass } = stage
  stage.readyCount += change
  // Tasks of a stage that waits for others, or whose job is paused, are in line, but nobody may be told of them.
  if (stage.blockedBy > 0 || stage.job.paused) return
  if (stage.key) return accountKeyed(state, stage, stage.key, change)
  const { job } = stage
  schedulingClass.readyCount += change
  if (stage.readyCount > 0) schedulingClass.waiting.add(stage, job.plan.priority, job)
  else schedulingClass.waiting.delete(stage, job.plan.priority, job)
  if (schedulingClass.readyCount > 0) state.tasks.waiting.add(schedulingClass)
  else state.tasks.waiting.delete(schedulingClass)
}

/** Puts tasks at the end of the line. */
export function pushReady(state: State, stage: Stage, run: ReadyRun): void {
  stage.ready.push(run)
  account(state, stage, run.count)
}

/** Puts tasks at the front of the line: they were given to someone before. */
export function unshiftReady(state: State, stage: Stage, run: ReadyRun): void {
  stage.ready.unshift(run)
  account(state, stage, run.count)
}

/** Accounts for the line that a stage was restored with. */
export function accountRestored(state: State, stage: Stage): void {
  let count = 0
  for (const run of stage.ready) count += run.count
  if (count > 0) account(state, stage, count)
}

/** Takes tasks out of the line, wherever they stand. They must be in one run. */
export function takeReady(state: State, stage: Stage, first: number, count: number, attempt: number): void {
  if (!stage.ready.take(first, count, attempt))
    throw new Error(`tasks ${first}+${count} of ${stage.job.plan.job} are not ready at attempt ${attempt}`)
  account(state, stage, -count)
}

/** True if all of these tasks wait for the time of this attempt. */
export function waitDelayed(state: State, stage: Stage, first: number, count: number, attempt: number): boolean {
  if (stage.delayedCount < count) return false
  let found = 0
  for (const { item } of state.delayed) if (isDelayed(item, stage, first, count, attempt)) found++
  return found === count
}

/** Takes tasks from among those that wait for their time. They must all be there. */
export function takeDelayed(state: State, stage: Stage, first: number, count: number, attempt: number): void {
  const taken = state.delayed.remove(item => isDelayed(item, stage, first, count, attempt))
  if (taken.length !== count) throw new Error(`tasks ${first}+${count} of ${stage.job.plan.job} do not wait for attempt ${attempt}`)
  stage.delayedCount -= count
}

function isDelayed(item: Delayed, stage: Stage, first: number, count: number, attempt: number): boolean {
  return 'stage' in item && item.stage === stage && item.attempt === attempt && item.index >= first && item.index < first + count
}

/** Takes from the line all tasks of `first` … `first + count - 1` that are in it, at any attempt; says which they were. */
export function dropReady(state: State, stage: Stage, first: number, count: number): Range[] {
  const dropped = stage.ready.drop(first, count)
  const total = dropped.reduce((sum, range) => sum + range.count, 0)
  if (total > 0) account(state, stage, -total)
  return dropped
}

/** Whether tasks of the job that are in line may be handed out. */
export function setPaused(state: State, job: Job, paused: boolean): void {
  const lines = job.stages.map(stage => stage.readyCount)
  const recount = (sign: 1 | -1): void => {
    for (const [number, count] of lines.entries()) if (count > 0) account(state, job.stages[number]!, sign * count)
  }
  recount(-1)
  job.paused = paused
  recount(1)
}

/** A producer of the stage is complete; with the last one its tasks may be handed out. True: it waits for nobody any more. */
export function unblock(state: State, stage: Stage): boolean {
  stage.blockedBy--
  if (stage.blockedBy > 0) return false
  const waiting = stage.readyCount
  stage.readyCount = 0
  if (waiting > 0) account(state, stage, waiting)
  return true
}

// Owns which compensations of a workflow are due, and which steps have that open when all else is given up. Must not run them: that is steps.ts.
import type { Job } from '../jobs/state.ts'
import type { StepTable } from './state.ts'

/** A compensation has its turn if what it takes back was done, and all that it names is there. */
export function mayUndo(flow: StepTable, undo: number): boolean {
  for (const { step } of flow.needs(undo)) if (flow.status(step) !== 'succeeded') return false
  return true
}

/**
 * True if what the step, which has been told to stop, comes to is taken: a compensation goes by it. What it did is there if it succeeds all the same, and
 * has to be taken back.
 */
export function countsStill(flow: StepTable, step: number): boolean {
  return flow.undoable.has(step) && !flow.settled(step) && flow.damage(step) === undefined
}

/** True if the step succeeded, or may yet if all else is given up now: something of it runs, or of what a choice has open. */
function mayHaveDone({ stages }: Job, flow: StepTable, step: number): boolean {
  const looked = [step]
  // The list grows while it is walked.
  for (const one of looked) {
    if (flow.status(one) === 'succeeded') return true
    if (!countsStill(flow, one) || flow.expanded.has(one)) continue
    if (flow.kind(one) === 'choice') for (const { kind, step: option } of flow.needs(one)) if (kind === 'option') looked.push(option)
    if (flow.kind(one) === 'tasks' && flow.times.began(one) !== undefined && stages[flow.stage(one)]!.runningCount > 0) return true
  }
  return false
}

/** How many compensations run, or may, if all else of the workflow is given up now. */
export function undosDue(job: Job, flow: StepTable): number {
  let due = 0
  // Where a frame has its end, its compensations have theirs.
  for (const { undos, undone } of flow.frames)
    for (let at = undone; at < undos.length; at++) {
      const undo = undos[at]!
      if (
        flow.status(undo) === 'open' ||
        (flow.status(undo) === 'waiting' && flow.needs(undo).every(need => mayHaveDone(job, flow, need.step)))
      )
        due++
    }
  return due
}

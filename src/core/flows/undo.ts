// Owns which compensations of a workflow are due. Must not run them: that is steps.ts.
import type { StepTable } from './state.ts'

/** A compensation has its turn if what it takes back was done, and all that it names is there. */
export function mayUndo(flow: StepTable, undo: number): boolean {
  for (const { step } of flow.needs(undo)) if (flow.status(step) !== 'succeeded') return false
  return true
}

/** How many compensations run, or will, if all else of the workflow is given up now. */
export function undosDue(flow: StepTable): number {
  let due = 0
  // Where a frame has its end, its compensations have theirs.
  for (const { undos, undone } of flow.frames)
    for (let at = undone; at < undos.length; at++) {
      const undo = undos[at]!
      if (flow.status(undo) === 'open' || (flow.status(undo) === 'waiting' && mayUndo(flow, undo))) due++
    }
  return due
}

// Owns what the parts of a workflow's moving on share: the job at hand, and the ends that are still to be told.
// Must not decide what follows from anything.
import type { Range } from '../../protocol/index.ts'
import type { Job, Stage } from '../jobs/state.ts'
import type { State } from '../state.ts'
import type { StepTable } from './state.ts'

/** How a step or task ended. */
export type Ended = 'succeeded' | 'failed' | 'cancelled' | 'skipped'

/** Tasks that ended alike, counted from the first one of their step, or of their stage. */
export type Part = Range & { outcome: Ended }

/** A workflow that moves on. */
export interface Flowing {
  state: State
  job: Job
  flow: StepTable
  /** Steps that have their end, and what they tell others is still to come: one after the other, however long a chain is. */
  ends: { step: number; status: Ended }[]
}

/** The stage of a step. */
export function stageOf({ job, flow }: Flowing, step: number): Stage {
  return job.stages[flow.stage(step)]!
}

/** How long ago the job was submitted: what times of its steps are told in. */
export function sinceMs(state: State, job: Job): number {
  return state.nowMs - job.submittedAtMs
}

/** The step has its end, which is told when its turn comes. */
export function endsAs(on: Flowing, step: number, status: Ended): void {
  on.ends.push({ step, status })
}

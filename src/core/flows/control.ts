// Owns what a snapshot holds of the control of runs: which jobs are paused, and when steps began and ended.
// Must not hold derived things.
import { type Infer, list, string, struct, varint } from '../../protocol/index.ts'
import type { State } from '../state.ts'

const countMax = 2 ** 31
const name = string(4096)

/** Of all jobs, what of it there is. */
export const controlState = struct({
  paused: list(name, countMax),
  /** Of each workflow, step by step. */
  times: list(struct({ job: name, steps: list(struct({ began: varint, ended: varint }), countMax) }), countMax),
})
type ControlState = Infer<typeof controlState>

/** As it is written. */
export function controlValue(state: State): ControlState {
  const jobs = [...state.jobs.byId.values()]
  return {
    paused: jobs.filter(job => job.paused).map(job => job.plan.job),
    times: jobs.flatMap(({ plan, flow }) =>
      flow ? [{ job: plan.job, steps: Array.from({ length: flow.count }, (_, step) => flow.times.written(step)) }] : [],
    ),
  }
}

/** Jobs are there, and paused where they are. */
export function restoreControl(state: State, { times }: ControlState): void {
  for (const { job, steps } of times)
    for (const [step, written] of steps.entries()) state.jobs.byId.get(job)!.flow!.times.restore(step, written)
}

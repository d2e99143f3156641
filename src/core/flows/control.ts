// Owns what a snapshot holds of the control of runs: which jobs are paused or being cancelled, when steps began and ended, and what a rerun goes on from.
// Must not hold derived things.
import { type Infer, list, string, struct, varint } from '../../protocol/index.ts'
import type { State } from '../state.ts'
import type { StepTable } from './state.ts'

const countMax = 2 ** 31
const name = string(4096)

const stepAttempt = struct({ step: varint, attempt: varint })

/** Of all jobs, what of it there is. */
export const controlState = struct({
  paused: list(name, countMax),
  cancelling: list(name, countMax),
  /** Of each workflow, step by step. */
  times: list(
    struct({
      job: name,
      steps: list(struct({ began: varint, ended: varint }), countMax),
      reruns: varint,
      rerun: name,
      attempts: list(stepAttempt, countMax),
      firstAttempts: list(stepAttempt, countMax),
    }),
    countMax,
  ),
})
type ControlState = Infer<typeof controlState>

/** As it is written. */
export function controlValue(state: State): ControlState {
  const jobs = [...state.jobs.byId.values()]
  return {
    paused: jobs.filter(job => job.paused).map(job => job.plan.job),
    cancelling: jobs.filter(job => job.cancelling).map(job => job.plan.job),
    times: jobs.flatMap(({ plan, flow }) => (flow ? [{ job: plan.job, ...flowValue(flow) }] : [])),
  }
}

function flowValue(flow: StepTable): Omit<ControlState['times'][number], 'job'> {
  const attempts = (of: ReadonlyMap<number, number>): Infer<typeof stepAttempt>[] => [...of].map(([step, attempt]) => ({ step, attempt }))
  return {
    steps: Array.from({ length: flow.count }, (_, step) => flow.times.written(step)),
    reruns: flow.reruns,
    rerun: flow.rerun,
    attempts: attempts(flow.attempts),
    firstAttempts: attempts(flow.firstAttempts),
  }
}

/** Jobs are there, and paused where they are. */
export function restoreControl(state: State, { cancelling, times }: ControlState): void {
  for (const job of cancelling) state.jobs.byId.get(job)!.cancelling = true
  for (const { job, steps, reruns, rerun, attempts, firstAttempts } of times) {
    const flow = state.jobs.byId.get(job)!.flow!
    for (const [step, written] of steps.entries()) flow.times.restore(step, written)
    Object.assign(flow, { reruns, rerun })
    for (const { step, attempt } of attempts) flow.attempts.set(step, attempt)
    for (const { step, attempt } of firstAttempts) flow.firstAttempts.set(step, attempt)
  }
}

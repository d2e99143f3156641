// Owns what a row of the history holds of a job: what people see of it, and where its results are. Bounded, however large the job was.
// Must not write state.
import type { FlowView, JobView, PayloadId, Range, StepView, TaskFailure } from '../../protocol/index.ts'
import type { Job, Stage } from '../jobs/state.ts'
import type { Segment } from '../segments.ts'
import { rangeOf, viewSteps } from '../views/flow.ts'
import { failureOfTask, viewJob } from '../views/jobs.ts'

/** Pieces of results of one job that are kept. Of a job with more, only those of the stage that has a workflow's result, if they are so few. */
export const piecesKeptMax = 1000
/** Steps, and failures of tasks with what each says, that are kept of one job. */
export const stepsKeptMax = 200
export const failuresKeptMax = 20
const failureTextMax = 2000

/** A stage in the history. */
export interface KeptStage {
  /** Payloads with the results of the tasks from `first` on. `from`: the first one's item in it. */
  results: { first: number; count: number; payload: PayloadId; from: number }[]
  /** Tasks whose results were given up before. */
  released: Range[]
  failures: TaskFailure[]
}

/** What a row's body says (`layout.ts` has its bytes). */
export interface KeptJob {
  view: JobView
  stages: KeptStage[]
  /** Only of a workflow: its first steps. */
  steps?: StepView[]
  /** Where the results of these steps are, by their numbers: of those that succeeded, where tasks gave them. */
  stepResults?: Record<number, NonNullable<FlowView['output']>>
}

/** Stages whose results stay when the job goes into the history. Whoever applies that and whoever writes the row must say the same. */
export function keptStages(job: Job): Set<Stage> {
  let pieces = 0
  for (const stage of job.stages) pieces += stage.results.length
  if (pieces <= piecesKeptMax) return new Set(job.stages)
  const output = job.flow && viewJob(job).flow?.output
  const stage = output && job.stages[output.stage]
  return new Set(stage && stage.results.length <= piecesKeptMax ? [stage] : [])
}

/** What is kept of a finished job. */
export function keptJob(job: Job): KeptJob {
  const kept = keptStages(job)
  let failures = failuresKeptMax
  const stages = job.stages.map((stage): KeptStage => {
    const some = failuresOf(stage, failures)
    failures -= some.length
    const results = kept.has(stage) ? [...stage.results].map(keptPiece) : []
    return { results, released: kept.has(stage) ? stage.released.ranges.slice(0, piecesKeptMax) : [], failures: some }
  })
  const view: JobView = { ...viewJob(job), archived: true }
  const steps = job.flow ? viewSteps(job, { job: job.plan.job, limit: stepsKeptMax }).steps : undefined
  return { view, stages, ...(steps && { steps, stepResults: rangesOf(job, steps) }) }
}

function keptPiece({ first, count, payload, from }: Segment): KeptStage['results'][number] {
  return { first, count, payload, from }
}

function rangesOf(job: Job, steps: readonly StepView[]): NonNullable<KeptJob['stepResults']> {
  const ranges: NonNullable<KeptJob['stepResults']> = {}
  const flow = job.flow!
  for (const { step, status } of steps) {
    const source = flow.source(step)
    if (status === 'succeeded' && flow.kind(source) === 'tasks' && !flow.spreads.has(source)) ranges[step] = rangeOf(job, flow, step)
  }
  return ranges
}

function failuresOf(stage: Stage, most: number): TaskFailure[] {
  const failures: TaskFailure[] = []
  for (const index of stage.troubles.keys()) {
    if (failures.length >= most) break
    const failure = failureOfTask(stage, index)
    if (failure) failures.push(shortened(failure))
  }
  return failures.sort((a, b) => a.index - b.index)
}

function shortened(failure: TaskFailure): TaskFailure {
  const cut = (text: string): string => (text.length > failureTextMax ? `${text.slice(0, failureTextMax)}…` : text)
  const attempts = failure.attempts.slice(-1).map(attempt => ({ ...attempt, message: cut(attempt.message) }))
  return { ...failure, message: cut(failure.message), stack: cut(failure.stack), attempts }
}

/** The payloads that go with the row. */
export function payloadsOf(kept: KeptJob): PayloadId[] {
  return [...new Set(kept.stages.flatMap(({ results }) => results.map(({ payload }) => payload)))]
}

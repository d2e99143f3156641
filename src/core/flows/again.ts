// Owns which steps wait again when a workflow that has ended goes on, and why one cannot. Must not write state.
//
// Back from the steps that broke it: whatever they needed and did not get waits again, so far as it did not succeed. What failed and was caught, and what
// was passed over by a branch, stays as it is: nobody waits for it.
import { CoxswainError, type ProgramId, type Range } from '../../protocol/index.ts'
import { answer, type CommandOf, type Decision, refuse } from '../commands.ts'
import { archived, missing, overload } from '../jobs/decide.ts'
import type { Job, Stage } from '../jobs/state.ts'
import { limitAgain } from '../keys/decide.ts'
import type { CoreLimits } from '../limits.ts'
import { runLimitAgain } from '../queues/decide.ts'
import { RangeSet } from '../ranges.ts'
import type { State } from '../state.ts'
import type { Frame, StepTable } from './state.ts'

/** Tasks of a step that came to nothing. */
export function tasksLost(stage: Stage, flow: StepTable, step: number): Range[] {
  if (flow.expanded.has(step) || flow.spreads.has(step)) return []
  const first = flow.first(step)
  const done = new RangeSet()
  for (const segment of stage.results.overlapping(first, flow.width(step))) done.add(segment.first, segment.count)
  return done.outside(first, flow.width(step)).filter(range => range.count > 0)
}

function lost(flow: StepTable, step: number): boolean {
  const status = flow.status(step)
  return status === 'failed' || status === 'cancelled'
}

/** The steps that wait again, compensations among them, in order. */
function stepsAgain(flow: StepTable): number[] {
  const frameOf = new Map(flow.frames.map(frame => [frame.parent, frame]))
  const again = new Set<number>()
  const want = (step: number): void => {
    if (lost(flow, step) && !flow.isUndo(step)) again.add(step)
  }
  const goOn = (frame: Frame): void => {
    for (const undo of frame.undos) again.add(undo)
    for (let step = frame.first; step < frame.first + frame.count; step++)
      if (step === frame.output || flow.uses(step).every(use => use.kind === 'undo')) want(step)
  }
  goOn(flow.frames[0]!)
  // The set grows while it is walked.
  for (const step of again) {
    if (flow.isUndo(step)) continue
    for (const need of flow.needs(step)) want(need.step)
    if (flow.expanded.has(step)) goOn(frameOf.get(step)!)
  }
  return [...again].sort((a, b) => a - b)
}

function refusal(job: Job, message: string): CoxswainError {
  return new CoxswainError('CANNOT_RERUN', `Job ${job.plan.job} ${message}`, { id: job.plan.job })
}

/** Why these steps cannot wait again, or undefined. */
function flawOf(job: Job, flow: StepTable, steps: readonly number[]): CoxswainError | undefined {
  const id = job.plan.job
  if (job.stages.some(stage => stage.released.ranges.length > 0))
    return new CoxswainError('RESULT_GONE', `Results of job ${id} were let go: it cannot go on from there.`, { id })
  for (const step of steps) {
    if (flow.kind(step) !== 'tasks') continue
    const stage = job.stages[flow.stage(step)]!
    // Told by its tasks: a job may have been brought here by a release that kept no times.
    if (flow.isUndo(step) && (flow.status(step) === 'succeeded' || flow.status(step) === 'failed' || flow.times.began(step) !== undefined))
      return refusal(job, 'was compensated already: what it did before was taken back. Submit it anew.')
    if (flow.widthNeed(step)) continue
    for (const { first, count } of tasksLost(stage, flow, step)) {
      const kept = [...stage.inputs.overlapping(first, count)]
      const there = kept.reduce((sum, one) => sum + Math.min(first + count, one.first + one.count) - Math.max(first, one.first), 0)
      if (there < count) return new CoxswainError('RESULT_GONE', `Inputs of step ${step} of job ${id} were not kept.`, { id })
    }
  }
  return undefined
}

/** Why this job cannot go on, or its steps that can. */
function wanted(job: Job): CoxswainError | number[] {
  const { flow, finishedAtMs } = job
  if (!flow) return refusal(job, 'is no workflow: only the steps of one can be run again. Submit it anew.')
  if (job.state === 'running' || finishedAtMs === 0) return refusal(job, 'has not ended yet.')
  if (job.state === 'succeeded') return refusal(job, 'succeeded: there is nothing to run again.')
  // A submit that did not come further than its first facts.
  if (flow.count === 0) return refusal(job, 'has no steps. Submit it anew.')
  const steps = stepsAgain(flow)
  return flawOf(job, flow, steps) ?? steps
}

/** The programs that are needed and not known. */
function programMissing(state: State, job: Job, program: ProgramId | undefined): CoxswainError | undefined {
  const needed = program === undefined ? job.stages.map(stage => stage.plan.program) : [program]
  const unknown = needed.find(one => !state.programs.byId.has(one))
  if (unknown === undefined) return undefined
  const advice = program === undefined ? ' any more: give the workflow, so that it is sent again' : ''
  return new CoxswainError('PROGRAM_MISSING', `The program ${unknown} is not known here${advice}.`, { id: unknown })
}

export function decideRerunJob(state: State, command: CommandOf<'rerunJob'>, limits: CoreLimits): Decision {
  const { job: id } = command
  const job = state.jobs.byId.get(id)
  if (!job && archived(state, id))
    return refuse(
      new CoxswainError('JOB_ARCHIVED', `Job ${id} is only in the history: what it could go on from is not kept there.`, { id }),
    )
  if (!job) return refuse(missing(id))
  // Asked again, as after a lost answer.
  if (job.flow && job.flow.rerun === command.rerun) return answer({ kind: 'done' })
  const found = wanted(job)
  if (found instanceof CoxswainError) return refuse(found)
  const flow = job.flow!
  const sum = (of: readonly number[]): number => of.reduce((total, one) => total + one, 0)
  const tasks = found.flatMap(step =>
    flow.kind(step) === 'tasks' ? tasksLost(job.stages[flow.stage(step)]!, flow, step).map(range => range.count) : [],
  )
  const bytes = job.stages.flatMap(stage => [...stage.inputs].map(segment => segment.bytes))
  const no = programMissing(state, job, command.program) ?? overload(state, sum(tasks), sum(bytes), 1, limits)
  const limited = no ?? runLimitAgain(state, job) ?? limitAgain(state, job, found)
  if (limited) return refuse(limited)
  const steps = new RangeSet()
  for (const step of found) steps.add(step, 1)
  const record = { kind: 'JobRerun' as const, job: command.job, rerun: command.rerun, steps: [...steps.ranges], program: command.program }
  return { ...answer({ kind: 'done' }), records: [record] }
}

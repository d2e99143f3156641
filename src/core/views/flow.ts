// Owns the answers about workflows. Reads state, in pieces of bounded size.
// Must not write anything.
import { CoxswainError, type FlowView, type StepsQuery, type StepView, type TaskCounts } from '../../protocol/index.ts'
import { causeOfFlow, failureOfStep } from '../flows/inputs.ts'
import { type StepTable, stepStatuses } from '../flows/state.ts'
import { mayUndo } from '../flows/undo.ts'
import type { Job, Stage } from '../jobs/state.ts'

/** What people call a step: its own name, or its task's. */
function stepName(job: Job, flow: StepTable, step: number): string {
  if (flow.name(step) !== '') return flow.name(step)
  return flow.kind(step) === 'tasks' ? job.stages[flow.stage(step)]!.plan.task : flow.kind(step)
}

/** Where the result of a workflow is that succeeded; undefined for any other. */
export function outputOf(job: Job, flow: StepTable): FlowView['output'] {
  const root = flow.frames[0]!
  return !flow.ended || root.broken || job.state === 'cancelled' ? undefined : rangeOf(job, flow, root.output)
}

/** Where the result of a step stands, if tasks gave it. */
export function rangeOf(job: Job, flow: StepTable, step: number): NonNullable<FlowView['output']> {
  const source = flow.source(step)
  const stage = flow.stage(source)
  const width = flow.width(source)
  // The last task of a fold has what is left.
  const last = flow.folds.has(source)
  return {
    stage,
    first: last ? flow.first(source) + Math.max(0, width - 1) : flow.first(source),
    count: last ? Math.min(1, width) : width,
    list: !last && job.stages[stage]!.wide >= 0,
  }
}

/** A workflow as a whole. */
export function viewFlow(job: Job, flow: StepTable): FlowView {
  const statuses: FlowView['statuses'] = {}
  for (const status of stepStatuses) if (flow.countOf(status) > 0) statuses[status] = flow.countOf(status)
  const view: FlowView = { steps: flow.count, statuses }
  const output = outputOf(job, flow)
  if (output) view.output = output
  const root = flow.frames[0]!
  const cause = root.broken ? causeOfFlow(flow) : undefined
  if (cause !== undefined) {
    const { code, message, task } = failureOfStep(job.stages, flow, cause)
    const [stage, index] = task.split('/').map(Number)
    view.cause = {
      step: cause,
      name: stepName(job, flow, cause),
      code,
      message,
      ...(task !== '' && { task: { stage: stage!, index: index! } }),
    }
  }
  return view
}

/** Why a workflow failed, in one line; empty while it did not. */
export function reasonOfFlow(job: Job, flow: StepTable): string {
  const { cause } = viewFlow(job, flow)
  if (!cause) return ''
  const where = cause.task ? ` (task ${cause.task.stage}/${cause.task.index})` : ''
  return `step ${cause.name}${where} failed: ${cause.code}: ${cause.message}`
}

const stepsMax = 1000
const stepsShownMax = 5

/** Steps of a workflow, in order. Throws NOT_FOUND for a job that is none. */
export function viewSteps(job: Job, query: StepsQuery): { steps: StepView[]; next?: number } {
  const { flow } = job
  if (!flow) throw new CoxswainError('NOT_FOUND', `Job ${job.plan.job} is no workflow: it has no steps.`, { id: job.plan.job })
  const first = Number.isSafeInteger(query.first) ? Math.max(0, query.first!) : 0
  const limit = Number.isSafeInteger(query.limit) ? Math.min(Math.max(query.limit!, 1), stepsMax) : stepsMax
  const end = Math.min(flow.count, first + limit)
  const steps: StepView[] = []
  for (let step = first; step < end; step++) steps.push(viewStep(job, flow, step))
  return { steps, ...(end < flow.count && { next: end }) }
}

function viewStep(job: Job, flow: StepTable, step: number): StepView {
  const { parent } = flow.frame(step)
  const untilMs = flow.pauses.get(step)?.key
  const kind = flow.kind(step)
  const began = flow.times.began(step)
  const ended = flow.times.ended(step)
  return {
    step,
    name: stepName(job, flow, step),
    kind,
    status: flow.status(step),
    ...(parent >= 0 && { parent }),
    needs: [...flow.needs(step)],
    ...(kind === 'tasks' && {
      stage: flow.stage(step),
      first: flow.first(step),
      tasks: countsOf(job.stages[flow.stage(step)]!, flow, step),
    }),
    ...(began !== undefined && { beganAtMs: job.submittedAtMs + began }),
    ...(ended !== undefined && flow.settled(step) && { endedAtMs: job.submittedAtMs + ended }),
    ...(untilMs !== undefined && { untilMs }),
  }
}

/** How far the tasks of a step are. A single one has its step's status, or runs. */
function countsOf(stage: Stage, flow: StepTable, step: number): TaskCounts {
  const { succeeded, failed, cancelled, runningCount } = stage
  const total = flow.width(step)
  if (stage.wide >= 0)
    return { total, waiting: total - succeeded - failed - cancelled - runningCount, running: runningCount, succeeded, failed, cancelled }
  const counts: TaskCounts = { total, waiting: 0, running: 0, succeeded: 0, failed: 0, cancelled: 0 }
  const status = flow.status(step)
  if (status === 'succeeded' || status === 'failed') counts[status] = total
  else if (status === 'cancelled' || status === 'skipped') counts.cancelled = total
  else if (flow.left(step) === 0) counts.succeeded = total
  else if (status === 'waiting' || stage.ready.find(flow.first(step))) counts.waiting = total
  else counts.running = total
  return counts
}

/** What a step that waits is waiting for: the rule and its words. */
export function whyStep(job: Job, flow: StepTable, step: number): { rule: string; text: string } | undefined {
  if (flow.status(step) === 'open') {
    if (flow.kind(step) === 'signal')
      return { rule: 'signal', text: `waits for the signal ${flow.name(step)}: cox signal ${job.plan.job} ${flow.name(step)}` }
    if (flow.kind(step) === 'event')
      return { rule: 'event', text: `waits for the event ${flow.name(step).replace('#', ' with the key ')}: cox emit` }
    return flow.kind(step) === 'sleep' ? { rule: 'sleep', text: `sleeps for ${flow.amount(step)} ms in all` } : undefined
  }
  if (flow.isUndo(step)) {
    const text = flow.frame(step).broken
      ? mayUndo(flow, step)
        ? 'has its turn when all else has ended, and the compensations that were named after it'
        : 'is to be passed over: what it takes back was not done'
      : 'runs only if the workflow fails, or is cancelled with compensation'
    return { rule: 'compensation', text }
  }
  const missing = [...flow.needs(step)].filter(need => !flow.settled(need.step)).slice(0, stepsShownMax)
  const names = missing.map(need => `${stepName(job, flow, need.step)} (step ${need.step}, ${flow.status(need.step)})`)
  return { rule: 'dependency', text: `waits for ${names.join(', ')}` }
}

// Owns the answers about workflows. Reads state, in pieces of bounded size.
// Must not write anything.
import type { FlowView } from '../../protocol/index.ts'
import { causeOfFlow, failureOfStep } from '../flows/inputs.ts'
import type { StepTable } from '../flows/state.ts'
import type { Job } from '../jobs/state.ts'

/** What people call a step: its own name, or its task's. */
function stepName(job: Job, flow: StepTable, step: number): string {
  if (flow.name(step) !== '') return flow.name(step)
  return flow.kind(step) === 'tasks' ? job.stages[flow.stage(step)]!.plan.task : flow.kind(step)
}

/** A workflow as a whole. */
export function viewFlow(job: Job, flow: StepTable): FlowView {
  const statuses: FlowView['statuses'] = {}
  for (let step = 0; step < flow.count; step++) {
    const status = flow.status(step)
    statuses[status] = (statuses[status] ?? 0) + 1
  }
  const view: FlowView = { steps: flow.count, statuses }
  const root = flow.frames[0]!
  if (flow.ended && !root.broken && job.state !== 'cancelled') {
    const source = flow.source(root.output)
    const stage = flow.stage(source)
    const width = flow.width(source)
    const last = flow.folds.has(source)
    view.output = {
      stage,
      first: last ? flow.first(source) + width - 1 : flow.first(source),
      count: last ? Math.min(1, width) : width,
      list: !last && job.stages[stage]!.wide >= 0,
    }
  }
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

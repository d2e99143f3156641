// Owns showing what a workflow would do, without a cluster. Must not send or run anything.
import { CoxswainError, type StepView } from '../../protocol/index.ts'
import { checkInput } from '../schema.ts'
import { assemble } from './assemble.ts'
import { isWorkflow, type WorkflowOf } from './workflow.ts'

/**
 * Builds a workflow for this input and gives its steps, as they would be submitted, all waiting: nothing is sent, and no cluster is needed. What is found only
 * at run time (widths of maps over results, workflows as steps) is not in it. Rejects with INVALID_WORKFLOW, SCHEMA_VIOLATION or VALUE_CANNOT_TRAVEL.
 */
export async function dryRun<Input>(
  workflow: WorkflowOf<Input, unknown>,
  ...call: undefined extends Input ? [input?: Input] : [input: Input]
): Promise<StepView[]> {
  if (!isWorkflow(workflow))
    throw new CoxswainError('INVALID_WORKFLOW', 'The first argument is no workflow: pass what workflow() returned.')
  const [input] = call
  if (workflow.input) await checkInput(workflow.name, workflow.input, input)
  const { stages, plan } = assemble(workflow.plan(input, true))
  const next = stages.map(() => 0)
  return plan.steps.map(({ kind, stage, count, name, needs }, step): StepView => {
    if (kind !== 'tasks') return { step, name: name === '' ? kind : name, kind, status: 'waiting', needs }
    const first = next[stage]!
    next[stage] = first + count
    const tasks = { total: count, waiting: count, running: 0, succeeded: 0, failed: 0, cancelled: 0 }
    return { step, name: name === '' ? stages[stage]!.task : name, kind, status: 'waiting', needs, stage, first, tasks }
  })
}

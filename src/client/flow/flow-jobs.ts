// Owns making a job out of a workflow: its plan is built here, its program made, large inputs stored.
// Must not send it.
import { createHash } from 'node:crypto'
import {
  type FlowPlan,
  type Inputs,
  itemInline,
  type JobPlan,
  limits,
  type StagePlan,
  type TaskBlock,
  Writer,
  writeBlockItem,
} from '../../protocol/index.ts'
import { checkJobOptions, type JobOptions, newJobId, type Parts } from '../parts.ts'
import { orAborted } from '../pause.ts'
import { parseRunLimits, type RunLimits } from '../policies.ts'
import { checkInput } from '../schema.ts'
import type { Submission } from '../submitter.ts'
import { assemble, packed } from './assemble.ts'
import type { WorkflowOf } from './workflow.ts'

/** A workflow's job, ready to be sent. Rejects with INVALID_WORKFLOW and what is wrong with its input. */
export async function prepareFlow(
  parts: Parts,
  workflow: WorkflowOf<unknown, unknown>,
  given: unknown,
  options: JobOptions & RunLimits,
  detached: boolean,
): Promise<Omit<Submission, 'patienceMs'>> {
  const { signal } = options
  checkJobOptions(options)
  signal?.throwIfAborted()
  const checking = workflow.input && checkInput(workflow.name, workflow.input, given)
  if (checking) await orAborted(checking, signal)
  const run = parseRunLimits(options)
  const { stages, items, plan: flow, policies } = assemble(workflow.plan(given, true))
  const program = await parts.programs.get(workflow.module, workflow.external)
  for (const stage of stages) stage.program = program.id
  const inputs: Inputs[] = []
  for (const [stage, own] of items.entries()) inputs.push(...packed(stage, own, await storeLarge(parts, own, signal)))
  const job = options.id ?? newJobId(parts.platform)
  const plan: JobPlan = {
    job,
    name: workflow.name,
    // An id that was made for exactly this content says as much as a hash.
    contentHash: options.id === undefined ? job : contentHash(workflow.name, stages, flow, inputs, run ? [policies, run] : policies),
    labels: [...(options.labels ?? [])],
    priority: options.priority ?? 0,
    session: parts.session.id,
    detached: options.detached ?? detached,
    stages,
  }
  return { plan, inputs, flow, policies, run, prepared: { program, stage: stages[0]! }, watch: false, signal }
}

/** Items that are too large for a message become the names of blocks. */
async function storeLarge(parts: Parts, items: Uint8Array[], signal: AbortSignal | undefined): Promise<TaskBlock[]> {
  const blocks: TaskBlock[] = []
  for (const [index, item] of items.entries()) {
    if (item.length <= limits.inlineBytesMax) continue
    // A template is stored as it is, an ordinary value without the byte that says so.
    const block = { index, ...(await parts.blocks.store([item[0] === itemInline ? item.subarray(1) : item], signal)) }
    const writer = new Writer()
    writeBlockItem(writer, block)
    items[index] = writer.finish()
    blocks.push(block)
  }
  return blocks
}

/** What the job asks for: names, policies, steps and inputs, but not the program, so that a corrected program is no other job. */
function contentHash(
  name: string,
  stages: readonly StagePlan[],
  flow: FlowPlan,
  inputs: readonly Inputs[],
  limited: readonly unknown[],
): string {
  const digest = createHash('sha256')
  const policies = stages.map(({ task, resources, retry, timeoutMs }) => [task, resources, retry, timeoutMs])
  digest.update(JSON.stringify(['workflow', name, policies, flow, ...(limited.length > 0 ? [limited] : [])]))
  for (const one of inputs) digest.update(one.items)
  return digest.digest('hex')
}

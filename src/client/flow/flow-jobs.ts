// Owns submitting workflows: the plan is built here, its program made, large inputs stored, and all of it sent as one job.
// Must not wait for results: JobHandle does.
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
import { JobHandle } from '../job-handle.ts'
import { checkJobOptions, type JobOptions, newJobId, type Parts } from '../parts.ts'
import { orAborted } from '../pause.ts'
import { checkInput } from '../schema.ts'
import type { Submitter } from '../submitter.ts'
import { assemble, packed } from './assemble.ts'
import type { WorkflowOf } from './workflow.ts'

/** So long a full leader is asked again before the caller is told. */
const patienceMs = 60_000

/** The workflows of one connection. */
export class FlowJobs {
  readonly #parts: Parts
  readonly #submitter: Submitter

  constructor(parts: Parts, submitter: Submitter) {
    this.#parts = parts
    this.#submitter = submitter
  }

  /** Builds and submits a workflow; resolves when it is durable. */
  async submit<Input, Output>(
    workflow: WorkflowOf<Input, Output>,
    given: unknown,
    options: JobOptions,
    detached: boolean,
  ): Promise<JobHandle<Output>> {
    const { signal } = options
    checkJobOptions(options)
    signal?.throwIfAborted()
    const checking = workflow.input && checkInput(workflow.name, workflow.input, given)
    if (checking) await orAborted(checking, signal)
    const { stages, items, plan: flow } = assemble(workflow.plan(given, true))
    const program = await this.#parts.programs.get(workflow.module, workflow.external)
    for (const stage of stages) stage.program = program.id
    const inputs: Inputs[] = []
    for (const [stage, own] of items.entries()) inputs.push(...packed(stage, own, await this.#storeLarge(own, signal)))
    const plan: JobPlan = {
      job: options.id ?? newJobId(this.#parts.platform),
      name: workflow.name,
      contentHash: contentHash(workflow.name, stages, flow, inputs),
      labels: [...(options.labels ?? [])],
      priority: options.priority ?? 0,
      session: this.#parts.session.id,
      detached: options.detached ?? detached,
      stages,
    }
    const prepared = { program, stage: stages[0]! }
    await orAborted(this.#submitter.submit({ plan, inputs, flow, prepared, watch: false, signal, patienceMs }), signal)
    return new JobHandle<Output>(this.#parts, plan.job, 'workflow')
  }

  /** Items that are too large for a message become the names of blocks. */
  async #storeLarge(items: Uint8Array[], signal: AbortSignal | undefined): Promise<TaskBlock[]> {
    const blocks: TaskBlock[] = []
    for (const [index, item] of items.entries()) {
      if (item.length <= limits.inlineBytesMax) continue
      // A template is stored as it is, an ordinary value without the byte that says so.
      const block = { index, ...(await this.#parts.blocks.store([item[0] === itemInline ? item.subarray(1) : item], signal)) }
      const writer = new Writer()
      writeBlockItem(writer, block)
      items[index] = writer.finish()
      blocks.push(block)
    }
    return blocks
  }
}

/** What the job asks for: names, policies, steps and inputs, but not the program, so that a corrected program is no other job. */
function contentHash(name: string, stages: readonly StagePlan[], flow: FlowPlan, inputs: readonly Inputs[]): string {
  const digest = createHash('sha256')
  digest.update(
    JSON.stringify(['workflow', name, stages.map(({ task, resources, retry, timeoutMs }) => [task, resources, retry, timeoutMs]), flow]),
  )
  for (const one of inputs) digest.update(one.items)
  return digest.digest('hex')
}

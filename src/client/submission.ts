// Owns making a job out of a task or workflow and its input: checked, its plan, its program, its large inputs stored.
// Must not send it.
import { ChunkWriter, encodeValue, type TaskBlock, writeBlockItem } from '../protocol/index.ts'
import { copiedSegments } from './blocks/segments.ts'
import type { TaskOf } from './define.ts'
import { prepareFlow } from './flow/flow-jobs.ts'
import { isWorkflow, type WorkflowOf } from './flow/workflow.ts'
import { addInline } from './items.ts'
import { ContentHash, checkJobOptions, checkTask, type JobOptions, jobPlan, newJobId, type Parts } from './parts.ts'
import { orAborted } from './pause.ts'
import { parseRunLimits, type RunLimits } from './policies.ts'
import { checkInput } from './schema.ts'
import type { Submission } from './submitter.ts'

/** So long a full leader is asked again before the caller is told. */
const patienceMs = 60_000

/** A job of a task or workflow, ready to be sent. Rejects with what is wrong with its input or options. */
export async function prepareJob(
  parts: Parts,
  definition: TaskOf<unknown, unknown> | WorkflowOf<unknown, unknown>,
  input: unknown,
  options: JobOptions & RunLimits,
  detached: boolean,
): Promise<Submission> {
  if (isWorkflow(definition)) return { ...(await prepareFlow(parts, definition, input, options, detached)), patienceMs }
  checkTask(definition)
  checkJobOptions(options)
  const run = parseRunLimits(options)
  const { signal } = options
  signal?.throwIfAborted()
  const checking = definition.input && checkInput(definition.name, definition.input, input)
  if (checking) await orAborted(checking, signal)
  const chunk = new ChunkWriter()
  const blocks: TaskBlock[] = []
  if (!addInline(chunk, input)) {
    const reference = await parts.blocks.store(copiedSegments(encodeValue(input)), signal)
    blocks.push({ index: 0, ...reference })
    writeBlockItem(chunk.beginItem(), reference)
    chunk.endItem()
  }
  const prepared = parts.plans.find(definition) ?? (await parts.plans.get(definition))
  const items = chunk.finish()
  const hash = new ContentHash('task', prepared.stage, run)
  const contentHash = (blocks[0] ? hash.addBlock(blocks[0]) : hash.add(items)).finish()
  const plan = jobPlan(options.id ?? newJobId(parts.platform), prepared.stage, contentHash, parts.session.id, options, detached)
  return { plan, inputs: [{ stage: 0, first: 0, items, blocks, seal: true }], run, prepared, watch: false, signal, patienceMs }
}

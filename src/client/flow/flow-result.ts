// Owns what a workflow comes to once it has ended: its result, or the error of the step that it failed for.
// Must not wait for its end: who does so has it.
import { Chunk, decodeValue, errorFromWire, type JobView } from '../../protocol/index.ts'
import { blockOf, inlineValue, isBlock } from '../items.ts'
import { type End, jobView, outcomesInOrder, valuesInOrder } from '../job-waiting.ts'
import { endedError } from '../outcomes.ts'
import type { Parts } from '../parts.ts'
import type { FlowResult } from '../session.ts'

/** The result of a workflow that has ended. Throws its error if it has none. */
export async function flowResult(parts: Parts, job: string, end: End, signal: AbortSignal | undefined): Promise<unknown> {
  if (end.result) return await told(parts, end.result, signal)
  if (end.state === 'cancelled') throw endedError(job, end.state, end.reason)
  const { flow, state, reason } = await jobView(parts, job)
  if (!flow?.output) throw await flowError(parts, job, flow?.cause, state, reason ?? '')
  const values = await valuesInOrder(parts, job, flow.output, signal)
  return flow.output.list ? values : values[0]
}

/** A result that came with the end. */
async function told(parts: Parts, { list, items }: FlowResult, signal: AbortSignal | undefined): Promise<unknown> {
  const chunk = new Chunk(items)
  const values: unknown[] = []
  for (let position = 0; position < chunk.count; position++) {
    const block = isBlock(chunk, position)
    values.push(block ? decodeValue(await parts.blocks.fetch(blockOf(chunk, position), signal)) : inlineValue(chunk, position))
  }
  return list ? values : values[0]
}

/** Why a workflow failed: the error of the first step that nobody caught. */
async function flowError(
  parts: Parts,
  job: string,
  cause: NonNullable<JobView['flow']>['cause'],
  state: JobView['state'],
  reason: string,
): Promise<Error> {
  // What it came to besides is not why it ended.
  if (reason.startsWith('RUN_TIMEOUT')) return endedError(job, state, reason)
  const task = cause?.task
  if (task) for await (const outcome of outcomesInOrder(parts, job, task.stage, task.index, 1)) if ('error' in outcome) return outcome.error
  return cause ? errorFromWire(cause.code, cause.message, { id: job }) : endedError(job, state, reason)
}

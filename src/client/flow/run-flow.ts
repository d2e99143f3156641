// Owns a workflow that is run and waited for: its end comes by itself, and brings a small result along.
// Must not send it: it is told how.
import type { JobHandle } from '../job-handle.ts'
import { JobWaiting } from '../job-waiting.ts'
import type { Parts } from '../parts.ts'
import { orAborted } from '../pause.ts'
import type { RunOptions } from '../run-batch.ts'
import { prepareJob } from '../submission.ts'
import type { Submission } from '../submitter.ts'
import { flowResult } from './flow-result.ts'
import type { WorkflowOf } from './workflow.ts'

/** Runs a workflow that ends with this client, and gives its result. */
export async function runFlow<Output>(
  parts: Parts,
  workflow: WorkflowOf<unknown, unknown>,
  input: unknown,
  options: RunOptions,
  submit: (submission: Submission) => Promise<JobHandle<Output>>,
): Promise<Output> {
  const { signal } = options
  const submission = await prepareJob(parts, workflow, input, options, false)
  const { job } = submission.plan
  const waiting = new JobWaiting(parts, job, 0, false, true)
  try {
    const handle = await submit({ ...submission, watch: true })
    parts.session.establish(job)
    try {
      return (await flowResult(parts, job, await orAborted(waiting.end(), signal), signal)) as Output
    } catch (error) {
      if (signal?.aborted) await handle.cancel('its caller gave it up')
      throw error
    }
  } finally {
    waiting.close()
  }
}

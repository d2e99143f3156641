// Owns how what is kept of a finished job goes into the bytes of a row of the history, and comes out of them.
// Must not say what is kept, nor how the bytes lie.
import {
  decodeMessage,
  encodeMessage,
  type JobView,
  type StepView,
  type StoredJob,
  storedJob,
  storedStatuses,
} from '../../protocol/index.ts'
import { addCounts } from '../views/jobs.ts'
import type { KeptJob } from './kept.ts'

/** What may be undefined in bytes is missing in a view. */
function defined<T extends object>(value: T): T {
  for (const key in value) if (value[key] === undefined) delete value[key]
  return value
}

/** The bytes of a row. */
export function encodeKept({ view, stages, steps, stepResults }: KeptJob): Buffer {
  const { flow } = view
  const layout = {
    ...view,
    stages: stages.map(({ results, released, failures }, number) => ({
      ...view.stages[number]!,
      results,
      released,
      failures,
    })),
    flow: flow && {
      ...flow,
      statuses: storedStatuses.filter(status => flow.statuses[status]).map(status => ({ status, count: flow.statuses[status]! })),
    },
    steps,
    stepResults: Object.entries(stepResults ?? {}).map(([step, output]) => ({ step: Number(step), output })),
  } as StoredJob
  return encodeMessage(storedJob, { ...layout, kind: 'v1' })
}

/** What is in such bytes, of whatever version; throws FRAME_MALFORMED on anything else. */
export function decodeKept(body: Uint8Array): KeptJob {
  const { kind: _, stages, flow, steps, stepResults, ...rest } = decodeMessage(storedJob, body)
  const view = defined({
    ...rest,
    tasks: addCounts(stages),
    stages: stages.map(({ results: _results, released: _released, failures: _failures, ...stage }) => stage),
    flow: flow && defined({ ...flow, statuses: Object.fromEntries(flow.statuses.map(({ status, count }) => [status, count])) }),
    archived: true,
  }) as JobView
  if (view.flow?.cause) defined(view.flow.cause)
  return {
    view,
    stages: stages.map(({ results, released, failures }) => ({ results, released, failures })),
    ...(steps && {
      steps: steps.map(defined) as StepView[],
      stepResults: Object.fromEntries(stepResults.map(({ step, output }) => [step, output])),
    }),
  }
}

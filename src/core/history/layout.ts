// Owns the bytes of what a row of the history holds of a job, with a version of their own.
// Must not follow the messages: those may change with the protocol, and what is stored is read for ever.
import {
  boolean,
  decodeMessage,
  encodeMessage,
  enumeration,
  type Infer,
  type JobView,
  limits,
  list,
  need,
  optional,
  resources,
  type StepView,
  string,
  struct,
  union,
  varint,
} from '../../protocol/index.ts'
import { addCounts } from '../views/jobs.ts'
import { failuresKeptMax, type KeptJob, piecesKeptMax, stepsKeptMax } from './kept.ts'

/** Of any length: whatever stood in the state is to be read back. */
const text = string(limits.frameBytesMax)
const statuses = ['waiting', 'open', 'succeeded', 'failed', 'cancelled', 'skipped'] as const
const stepKinds = ['tasks', 'sleep', 'signal', 'choice', 'event'] as const
const tasks = struct({ total: varint, waiting: varint, running: varint, succeeded: varint, failed: varint, cancelled: varint })
const range = struct({ first: varint, count: varint })
const output = struct({ stage: varint, first: varint, count: varint, list: boolean })
const attempt = struct({ attempt: varint, worker: text, code: text, message: text, atMs: varint })

const flow = struct({
  steps: varint,
  statuses: list(struct({ status: enumeration(...statuses), count: varint }), statuses.length),
  output: optional(output),
  cause: optional(
    struct({ step: varint, name: text, code: text, message: text, task: optional(struct({ stage: varint, index: varint })) }),
  ),
})

const step = struct({
  step: varint,
  name: text,
  kind: enumeration(...stepKinds),
  status: enumeration(...statuses),
  parent: optional(varint),
  needs: list(need, limits.needsMax),
  stage: optional(varint),
  first: optional(varint),
  tasks: optional(tasks),
  beganAtMs: optional(varint),
  endedAtMs: optional(varint),
  untilMs: optional(varint),
})

const first = struct({
  id: text,
  name: text,
  state: enumeration('running', 'succeeded', 'failed', 'cancelled'),
  submittedAtMs: varint,
  finishedAtMs: optional(varint),
  reason: optional(text),
  paused: boolean,
  cancelling: boolean,
  labels: list(text),
  priority: varint,
  detached: boolean,
  stages: list(
    struct({
      task: text,
      program: text,
      sealed: boolean,
      tasks,
      resources,
      results: list(struct({ first: varint, count: varint, payload: varint, from: varint }), piecesKeptMax),
      released: list(range, piecesKeptMax),
      failures: list(struct({ index: varint, code: text, message: text, stack: text, attempts: list(attempt) }), failuresKeptMax),
    }),
    limits.stagesMax,
  ),
  flow: optional(flow),
  steps: optional(list(step, stepsKeptMax)),
  stepResults: list(struct({ step: varint, output }), stepsKeptMax),
})

/** A new layout gets a new case and number; old ones are read for ever. */
const layouts = union({ v1: [1, first] })
type Layout = Infer<typeof first>

/** What may be undefined in bytes is missing in a view. */
function defined<T extends object>(value: T): T {
  for (const key in value) if (value[key] === undefined) delete value[key]
  return value
}

/** The bytes of a row. */
export function encodeKept({ view, stages, steps, stepResults }: KeptJob): Buffer {
  const { flow, paused, cancelling } = view
  const layout = {
    ...view,
    paused: paused === true,
    cancelling: cancelling === true,
    stages: stages.map(({ results, released, failures }, number) => ({
      ...view.stages[number]!,
      results: results.map(piece => ({ ...piece, from: piece.from ?? 0 })),
      released,
      failures,
    })),
    flow: flow && {
      ...flow,
      statuses: statuses.filter(status => flow.statuses[status]).map(status => ({ status, count: flow.statuses[status]! })),
    },
    steps,
    stepResults: Object.entries(stepResults ?? {}).map(([step, output]) => ({ step: Number(step), output })),
  } as Layout
  return encodeMessage(layouts, { ...layout, kind: 'v1' })
}

/** What is in such bytes, of whatever version; throws FRAME_MALFORMED on anything else. */
export function decodeKept(body: Uint8Array): KeptJob {
  const { kind: _, stages, flow, steps, stepResults, paused, cancelling, ...rest } = decodeMessage(layouts, body)
  const view = defined({
    ...rest,
    ...(paused && { paused }),
    ...(cancelling && { cancelling }),
    tasks: addCounts(stages),
    stages: stages.map(({ results: _results, released: _released, failures: _failures, ...stage }) => stage),
    flow: flow && defined({ ...flow, statuses: Object.fromEntries(flow.statuses.map(({ status, count }) => [status, count])) }),
    archived: true,
  }) as JobView
  if (view.flow?.cause) defined(view.flow.cause)
  return {
    view,
    stages: stages.map(({ results, released, failures }) => ({
      results: results.map(({ from, ...piece }) => ({ ...piece, ...(from > 0 && { from }) })),
      released,
      failures,
    })),
    ...(steps && {
      steps: steps.map(defined) as StepView[],
      stepResults: Object.fromEntries(stepResults.map(({ step, output }) => [step, output])),
    }),
  }
}

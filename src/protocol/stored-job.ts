// Owns the bytes of what a row of the history holds of a job, with a version of their own.
// Must not follow the messages: those may change with the protocol, and what is stored is read for ever.
import { boolean, enumeration, type Infer, list, optional, string, struct, union, varint } from './codec.ts'
import { need, stepKinds } from './flow.ts'
import { limits } from './limits.ts'
import { resources } from './plan.ts'

/** Of any length: whatever stood in the state is to be read back. */
const text = string(limits.frameBytesMax)
/** Those of a step, in their order in the bytes: only append. */
export const storedStatuses = ['waiting', 'open', 'succeeded', 'failed', 'cancelled', 'skipped'] as const
const tasks = struct({ total: varint, waiting: varint, running: varint, succeeded: varint, failed: varint, cancelled: varint })
const range = struct({ first: varint, count: varint })
const output = struct({ stage: varint, first: varint, count: varint, list: boolean })
const attempt = struct({ attempt: varint, worker: text, code: text, message: text, atMs: varint })

const flow = struct({
  steps: varint,
  statuses: list(struct({ status: enumeration(...storedStatuses), count: varint }), storedStatuses.length),
  output: optional(output),
  cause: optional(
    struct({ step: varint, name: text, code: text, message: text, task: optional(struct({ stage: varint, index: varint })) }),
  ),
})

const step = struct({
  step: varint,
  name: text,
  kind: enumeration(...stepKinds),
  status: enumeration(...storedStatuses),
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
      results: list(struct({ first: varint, count: varint, payload: varint, from: varint })),
      released: list(range),
      failures: list(struct({ index: varint, code: text, message: text, stack: text, attempts: list(attempt) })),
    }),
    limits.stagesMax,
  ),
  flow: optional(flow),
  steps: optional(list(step)),
  stepResults: list(struct({ step: varint, output })),
})

/** A job that has ended, as a row of the history has it. A new layout gets a new case and number; old ones are read for ever. */
export const storedJob = union({ v1: [1, first] })
/** What it is made of, as this release has it. */
export type StoredJob = Infer<typeof first>

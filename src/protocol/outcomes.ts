// Owns how tasks end, as workers tell it, and the inputs that they are given. Inputs and results are opaque chunks in them.
// Must not hold behaviour but for sizes and times.
import { boolean, bytes, type Infer, integer, list, optional, string, struct, union, varint } from './codec.ts'
import { flowPlan } from './flow.ts'
import { exchange } from './grants.ts'
import { limits } from './limits.ts'
import { hashField, jobIdField, nameField, stagePlan, taskBlock } from './plan.ts'
import { stagePolicy } from './policies.ts'

const chunk = bytes(limits.frameBytesMax)

/** Inputs of tasks `first` … of a stage, as a chunk; those of them that are blocks are listed too. */
export const inputs = struct({ stage: varint, first: varint, items: chunk, blocks: list(taskBlock), seal: boolean })
export type Inputs = Infer<typeof inputs>

const finished = struct({ count: varint, items: chunk, blocks: list(taskBlock), elapsedMicros: varint })
/** One task whose result is a list, as a chunk of its items: each may become the input of a task. */
const spread = struct({ items: chunk, blocks: list(taskBlock), elapsedMicros: varint })
/** One task that was a workflow as a step: its steps are its outcome. Their stages run the same program. */
const expanded = struct({
  stages: list(stagePlan, limits.stagesMax),
  inputs: list(inputs, limits.inputsMax),
  flow: flowPlan,
  policies: list(stagePolicy, limits.stagesMax),
  elapsedMicros: varint,
})
/** A job that a task submits with its result. It runs the same program. */
const committedJob = struct({
  job: jobIdField,
  name: nameField,
  contentHash: hashField,
  labels: list(string(200), limits.labelsMax),
  priority: integer,
  stages: list(stagePlan, limits.stagesMax),
  inputs: list(inputs, limits.inputsMax),
  flow: optional(flowPlan),
  policies: list(stagePolicy, limits.stagesMax),
})

/** How tasks of a lane ended. */
export const outcome = union({
  finished: [1, finished],
  /** One task failed. `retryable`: false where a further attempt cannot help (bad input, no such task). */
  failed: [
    2,
    struct({ code: nameField, message: string(4096), stack: string(limits.errorBytesMax), retryable: boolean, elapsedMicros: varint }),
  ],
  skipped: [3, struct({ count: varint })],
  spread: [4, spread],
  expanded: [5, expanded],
  /** One task that ended well, and what is done with its result, or the result is not taken. */
  committed: [
    6,
    struct({
      outcome: union({ finished: [1, finished], spread: [4, spread], expanded: [5, expanded] }),
      exchange,
      jobs: list(committedJob, limits.transactionJobsMax),
    }),
  ],
})
export type Outcome = Infer<typeof outcome>

/** How many tasks an outcome is of. */
export function outcomeTasks(outcome: Outcome): number {
  return 'count' in outcome ? outcome.count : 1
}

function commitBytes({ exchange, jobs }: Extract<Outcome, { kind: 'committed' }>): number {
  const entries = [...exchange.writes, ...exchange.signals].reduce((sum, { item }) => sum + 64 + (item?.length ?? 0), 0)
  return jobs.reduce((sum, job) => job.inputs.reduce((part, one) => part + one.items.length, sum + 512), entries)
}

/** About how many bytes an outcome takes. */
export function outcomeBytes(outcome: Outcome): number {
  switch (outcome.kind) {
    case 'finished':
    case 'spread':
      return 64 + outcome.items.length + outcome.blocks.length * 128
    case 'expanded':
      return outcome.inputs.reduce((sum, one) => sum + one.items.length, 256) + outcome.flow.steps.length * 64
    case 'failed':
      return 64 + outcome.message.length + outcome.stack.length
    case 'skipped':
      return 16
    case 'committed':
      return outcomeBytes(outcome.outcome) + commitBytes(outcome)
  }
}

/** Blocks that an outcome's results are kept in. */
export function outcomeBlocks(outcome: Outcome): readonly Infer<typeof taskBlock>[] {
  const own = outcome.kind === 'committed' ? outcome.outcome : outcome
  return own.kind === 'finished' || own.kind === 'spread' ? own.blocks : []
}

/** How long the tasks of an outcome took; undefined where they did not run to an end. */
export function outcomeMicros(outcome: Outcome): number | undefined {
  if (outcome.kind === 'committed') return outcome.outcome.elapsedMicros
  return outcome.kind === 'skipped' ? undefined : outcome.elapsedMicros
}

/** An attempt that failed, as it is told to the client. */
export const failedAttempt = struct({ attempt: varint, worker: nameField, code: nameField, message: string(4096), atMs: varint })
export type AttemptFields = Infer<typeof failedAttempt>

/** How a task failed for good, as it is told to the client. */
export const taskFailure = struct({
  index: varint,
  code: nameField,
  message: string(4096),
  stack: string(limits.errorBytesMax),
  attempts: list(failedAttempt, 100),
})
export type TaskFailure = Infer<typeof taskFailure>

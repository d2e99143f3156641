// Owns the bytes of a stage in a snapshot. Must not hold derived things: they are made anew.
import {
  boolean,
  failedAttempt,
  type Infer,
  list,
  optional,
  range,
  type StagePlan,
  type StagePolicy,
  string,
  struct,
  taskBlock,
  varint,
} from '../../protocol/index.ts'
import { joinKey } from '../keys/apply.ts'
import { limitsTasks } from '../keys/state.ts'
import { RangeSet } from '../ranges.ts'
import { SegmentList } from '../segments.ts'
import type { State } from '../state.ts'
import { classOf, forgetClassIfUnused } from '../tasks/classes.ts'
import { ReadyLine } from '../tasks/line.ts'
import { accountRestored } from '../tasks/ready.ts'
import { needBlock } from './accounts.ts'
import { createStage, type Job, type Stage } from './state.ts'

const countMax = 2 ** 31
const name = string(4096)

const segment = struct({ first: varint, count: varint, payload: varint, bytes: varint, needed: varint })
const readyRun = struct({ first: varint, count: varint, attempt: varint, avoid: name })
const trouble = struct({
  index: varint,
  attempts: list(failedAttempt, 100),
  counted: varint,
  deaths: varint,
  final: optional(struct({ code: name, message: string(8192), stack: string(1 << 20) })),
})

/** A stage in a snapshot. */
export const stageState = struct({
  sealed: boolean,
  added: varint,
  blockedBy: varint,
  abandoned: boolean,
  inputs: list(segment, countMax),
  ready: list(readyRun, countMax),
  delayedCount: varint,
  runningCount: varint,
  succeeded: varint,
  failed: varint,
  cancelled: varint,
  results: list(segment, countMax),
  released: list(range, countMax),
  cancelling: list(range, countMax),
  troubles: list(trouble, countMax),
  inputBlocks: list(taskBlock, countMax),
  resultBlocks: list(taskBlock, countMax),
})

/** A stage as it is written. */
export function stageValue(stage: Stage): Infer<typeof stageState> {
  return {
    ...stage,
    inputs: [...stage.inputs],
    ready: [...stage.ready],
    results: [...stage.results],
    released: [...stage.released.ranges],
    cancelling: [...stage.cancelling.ranges],
    troubles: [...stage.troubles].map(([index, one]) => ({ index, ...one })),
    inputBlocks: [...stage.inputBlocks.values()],
    resultBlocks: [...stage.resultBlocks.values()],
  }
}

/** What is known of a stage besides its accounts. */
interface StageGiven {
  plan: StagePlan
  policy: StagePolicy | undefined
}

/** A stage of a job, which it is added to by the caller. */
export function restoreStage(state: State, job: Job, number: number, { plan, policy }: StageGiven, value: Infer<typeof stageState>): Stage {
  const limited = limitsTasks(policy)
  const schedulingClass = classOf(state, plan, limited)
  const stage = createStage(job, number, plan, schedulingClass)
  stage.policy = policy
  if (limited && job.finishedAtMs === 0) joinKey(state, stage)
  const { sealed, added, blockedBy, abandoned, delayedCount, runningCount, succeeded, failed, cancelled } = value
  Object.assign(stage, { sealed, added, blockedBy, abandoned, delayedCount, runningCount, succeeded, failed, cancelled })
  stage.inputs = new SegmentList(value.inputs)
  stage.results = new SegmentList(value.results)
  stage.released = new RangeSet(value.released)
  stage.cancelling = new RangeSet(value.cancelling)
  for (const { index, ...one } of value.troubles) stage.troubles.set(index, one)
  for (const block of value.inputBlocks) stage.inputBlocks.set(block.index, block)
  for (const block of value.resultBlocks) stage.resultBlocks.set(block.index, block)
  for (const block of [...value.inputBlocks, ...value.resultBlocks]) needBlock(state, block.block, block.holder)
  for (const one of value.inputs) state.jobs[job.finishedAtMs === 0 ? 'inputBytes' : 'resultBytes'] += one.bytes
  for (const one of value.results) state.jobs.resultBytes += one.bytes
  state.jobs.openTasks += added - succeeded - failed - cancelled
  stage.ready = new ReadyLine(value.ready)
  accountRestored(state, stage)
  if (job.finishedAtMs === 0) schedulingClass.stages++
  else forgetClassIfUnused(state, schedulingClass)
  return stage
}

/** Since version 3: where the results of a stage begin in the payloads that they share with others. `from`: of each of its segments. */
export const sharedResults = list(struct({ job: name, stage: varint, from: list(varint, countMax) }), countMax)

/** Of the stages that have such results. */
export function sharedValue(state: State): Infer<typeof sharedResults> {
  const shared: Infer<typeof sharedResults> = []
  for (const job of state.jobs.byId.values()) {
    for (const stage of job.stages) {
      if (stage.results.startWhole) continue
      shared.push({ job: job.plan.job, stage: stage.number, from: [...stage.results].map(segment => segment.from) })
    }
  }
  return shared
}

/** Jobs are there already. */
export function restoreShared(state: State, value: Infer<typeof sharedResults>): void {
  for (const { job, stage, from } of value) {
    const segments = [...state.jobs.byId.get(job)!.stages[stage]!.results]
    for (const [position, one] of from.entries()) segments[position]!.from = one
  }
}

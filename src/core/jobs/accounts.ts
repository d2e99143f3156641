// Owns the accounts that several facts change alike: inputs let go, blocks let go, a stage or job that became complete.
// Must not choose anything.
import { blockHolding, type PayloadId, type Range, type TaskBlock } from '../../protocol/index.ts'
import type { Ending, State } from '../state.ts'
import { dropReady, unblock } from '../tasks/ready.ts'
import { type Job, type Stage, stageDone } from './state.ts'

/** These tasks have an outcome: their inputs are not needed again. Those of a workflow are kept with its results, so that it can go on from a failure. */
export function settleInputs(state: State, stage: Stage, range: Range): void {
  if (!stage.job.flow) dropInputs(state, stage, range)
}

/** What inputs of the job count among: those of jobs that run, or with results what is kept of those that have ended. */
function addInputBytes(state: State, job: Job, bytes: number): void {
  if (job.finishedAtMs === 0) state.jobs.inputBytes += bytes
  else state.jobs.resultBytes += bytes
}

/** Bytes of the inputs that a job still has. */
export function inputBytesOf(job: Job): number {
  let bytes = 0
  for (const stage of job.stages) for (const segment of stage.inputs) bytes += segment.bytes
  return bytes
}

/** The job ended, or goes on, by `change`: what is kept of its inputs counts among others from then on. */
export function changeEnd(state: State, job: Job, change: () => void): void {
  const bytes = inputBytesOf(job)
  addInputBytes(state, job, -bytes)
  change()
  addInputBytes(state, job, bytes)
}

/** The inputs of these tasks are let go. */
export function dropInputs(state: State, stage: Stage, range: Range): void {
  const end = range.first + range.count
  for (const segment of stage.inputs.overlapping(range.first, range.count)) {
    segment.needed -= Math.min(end, segment.first + segment.count) - Math.max(range.first, segment.first)
    if (segment.needed > 0) continue
    stage.inputs.remove(segment)
    addInputBytes(state, stage.job, -segment.bytes)
    dropPayload(state, segment.payload)
  }
  takeBlocks(state, stage.inputBlocks, range)
}

/** Lets go of the blocks of these tasks; costs the smaller of the range and the blocks there are. */
function takeBlocks(state: State, blocks: Map<number, TaskBlock>, range: Range): void {
  if (blocks.size === 0) return
  const end = range.first + range.count
  const indices = range.count < blocks.size ? Array.from({ length: range.count }, (_, i) => range.first + i) : [...blocks.keys()]
  for (const index of indices) {
    const block = blocks.get(index)
    if (!block || index < range.first || index >= end) continue
    blocks.delete(index)
    dropBlock(state, block.block, block.holder)
  }
}

/** A fact names the payload: the first that does brought it with it, and others may share it. */
export function namePayload(state: State, payload: PayloadId): void {
  const fresh = payload >= state.nextPayload
  if (fresh) state.nextPayload = payload + 1
  else state.payloadUses.set(payload, (state.payloadUses.get(payload) ?? 1) + 1)
}

/** One fact less names the payload; with the last it may go. */
export function dropPayload(state: State, payload: PayloadId): void {
  const uses = (state.payloadUses.get(payload) ?? 1) - 1
  if (uses > 1) state.payloadUses.set(payload, uses)
  else if (uses === 1) state.payloadUses.delete(payload)
  else state.payloadDrops.push(payload)
}

/** One more fact names the block. */
export function needBlock(state: State, block: string, holder: string): void {
  const holding = blockHolding(block, holder)
  const uses = state.blockUses.get(holding) ?? 0
  state.blockUses.set(holding, uses + 1)
  if (uses > 0) return
  const holders = state.blockHolders.get(block)
  if (holders === undefined) state.blockHolders.set(block, holder)
  else if (typeof holders === 'string') state.blockHolders.set(block, new Set([holders, holder]))
  else holders.add(holder)
}

/** The workers on which facts name the block. */
export function holdersOfBlock(state: State, block: string): ReadonlySet<string> {
  const holders = state.blockHolders.get(block)
  return typeof holders === 'object' ? holders : new Set(holders === undefined ? [] : [holders])
}

/** One fact less names the block; with the last it may be deleted where it is held. */
export function dropBlock(state: State, block: string, holder: string): void {
  const holding = blockHolding(block, holder)
  const uses = (state.blockUses.get(holding) ?? 0) - 1
  if (uses > 0) state.blockUses.set(holding, uses)
  else {
    state.blockUses.delete(holding)
    const holders = state.blockHolders.get(block)
    if (typeof holders === 'object') holders.delete(holder)
    if (typeof holders !== 'object' || holders.size === 0) state.blockHolders.delete(block)
    state.blockDrops.push({ block, holder })
  }
}

/** These tasks of the stage have an outcome. */
export function finishTasks(state: State, stage: Stage, range: Range, outcome: Ending['outcome']): void {
  state.jobs.openTasks -= range.count
  if (stage.job.flow) state.endings.push({ stage, first: range.first, count: range.count, outcome })
  else completeIfDone(state, stage)
}

/** Tells those that wait for the stage when it is complete, and notes a job whose stages all are. */
export function completeIfDone(state: State, stage: Stage): void {
  if (!stageDone(stage)) return
  const { job } = stage
  if (job.state === 'running') {
    for (const consumer of job.stages) {
      if (!consumer.plan.edges.some(edge => edge.producer === stage.number)) continue
      if (stage.succeeded < stage.added || stage.abandoned) abandon(state, consumer)
      else if (unblock(state, consumer)) completeIfDone(state, consumer)
    }
  }
  if (!job.flow && job.finishedAtMs === 0 && job.stages.every(stageDone)) state.jobs.complete.add(job)
}

/** A stage can never start because one before it did not succeed: its tasks are cancelled. */
function abandon(state: State, stage: Stage): void {
  if (stage.abandoned) return
  stage.abandoned = true
  stage.sealed = true
  const waited = stage.readyCount > 0
  cancelWaiting(state, stage, 0, stage.added)
  // With tasks it was completed by the last of them.
  if (!waited) completeIfDone(state, stage)
}

/** What of these tasks is in lanes counts as cancelled when it has stopped. */
export function stopRunning(state: State, stage: Stage, ranges: readonly Range[]): void {
  if (stage.runningCount === 0) return
  for (const lane of state.tasks.lanes.values()) {
    for (const run of lane.runs) {
      if (run.stage !== stage) continue
      for (const range of ranges) {
        const from = Math.max(run.first, range.first)
        const end = Math.min(run.first + run.count, range.first + range.count)
        if (from < end) stage.cancelling.add(from, end - from)
      }
    }
  }
}

/** Cancels what waits in line or for its next attempt; what runs counts as cancelled when its worker says that it has stopped. */
export function cancelWaiting(state: State, stage: Stage, first: number, count: number): void {
  const ranges = dropReady(state, stage, first, count)
  if (stage.delayedCount > 0) {
    const delayed = state.delayed.remove(
      item => 'stage' in item && item.stage === stage && item.index >= first && item.index < first + count,
    )
    stage.delayedCount -= delayed.length
    for (const item of delayed) if ('stage' in item) ranges.push({ first: item.index, count: 1 })
  }
  for (const range of ranges) cancelTasks(state, stage, range)
}

/** These tasks, which are neither in line nor in a lane, are cancelled. */
export function cancelTasks(state: State, stage: Stage, range: Range): void {
  stage.cancelled += range.count
  settleInputs(state, stage, range)
  finishTasks(state, stage, range, 'cancelled')
}

/** Nothing of the stage will be asked for again: its job is forgotten. */
export function forgetResults(state: State, stage: Stage): void {
  for (const segment of stage.results) {
    state.jobs.resultBytes -= segment.bytes
    dropPayload(state, segment.payload)
  }
  takeBlocks(state, stage.resultBlocks, { first: 0, count: stage.added })
}

/** The results of these tasks will not be asked for again. */
export function releaseResults(state: State, stage: Stage, range: Range): void {
  const end = range.first + range.count
  for (const segment of stage.results.overlapping(range.first, range.count)) {
    const from = Math.max(range.first, segment.first)
    const to = Math.min(end, segment.first + segment.count)
    const fresh = stage.released.outside(from, to - from).reduce((sum, part) => sum + part.count, 0)
    stage.released.add(from, to - from)
    segment.needed -= fresh
    if (segment.needed > 0) continue
    stage.results.remove(segment)
    state.jobs.resultBytes -= segment.bytes
    dropPayload(state, segment.payload)
  }
  takeBlocks(state, stage.resultBlocks, range)
  for (const index of stage.troubles.keys()) {
    const trouble = stage.troubles.get(index)!
    if (trouble.final && index >= range.first && index < end) {
      stage.troubles.delete(index)
      stage.released.add(index, 1)
    }
  }
}

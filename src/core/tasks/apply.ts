// Owns what the facts about lanes and attempts do to the state. Must not choose anything.
import { laneEpoch, laneId, type Range, type RecordOf, type TaskBlock } from '../../protocol/index.ts'
import { stepsBegin } from '../flows/tasks.ts'
import { cancelTasks, finishTasks, namePayload, needBlock, settleInputs } from '../jobs/accounts.ts'
import type { Stage, Trouble } from '../jobs/state.ts'
import { releaseKey, rotate, takeKey } from '../keys/apply.ts'
import { change } from '../membership/resources.ts'
import { markMoved, type Worker } from '../membership/state.ts'
import type { State } from '../state.ts'
import { forgetClassIfUnused } from './classes.ts'
import { takeDelayed, takeReady, unshiftReady, waitDelayed } from './ready.ts'
import { takeOff } from './runs.ts'
import { type Lane, type LaneRun, outstanding } from './state.ts'

/** Failed attempts remembered per task. */
export const attemptsKeptMax = 20

/** The stage a run belongs to; it must be there. */
export function stageOf(state: State, job: string, number: number): Stage {
  const stage = state.jobs.byId.get(job)?.stages[number]
  if (!stage) throw new Error(`no stage ${number} of job ${job}`)
  return stage
}

function openLane(state: State, record: RecordOf<'TasksAssigned'>, worker: Worker): Lane {
  const stage = stageOf(state, record.runs[0]!.job, record.runs[0]!.stage)
  const lane: Lane = {
    id: record.lane,
    worker,
    class: stage.class,
    runs: [],
    assigned: 0,
    done: 0,
    closing: worker.draining,
    vacated: false,
  }
  state.tasks.lanes.set(lane.id, lane)
  if (laneEpoch(lane.id) === state.epoch) state.tasks.nextLane = Math.max(state.tasks.nextLane, (lane.id % 2 ** 32) + 1)
  lane.class.lanes++
  // Of classes with equally many lanes the one that was served last goes last.
  if (state.tasks.waiting.delete(lane.class)) state.tasks.waiting.add(lane.class)
  worker.lanes = [...worker.lanes, lane]
  change(worker.free, stage.plan.resources, -1)
  markMoved(state.membership, worker)
  return lane
}

/** The lane has no unfinished tasks: its reservation ends, exactly once, here or when it was vacated. */
export function closeLane(state: State, lane: Lane): void {
  if (!state.tasks.lanes.delete(lane.id)) throw new Error(`lane ${lane.id} was closed twice`)
  lane.class.lanes--
  lane.worker.lanes = lane.worker.lanes.filter(other => other !== lane)
  if (!lane.vacated) endReservation(state, lane)
  forgetClassIfUnused(state, lane.class)
}

function endReservation(state: State, lane: Lane): void {
  change(lane.worker.free, lane.class.plan.resources, 1)
  markMoved(state.membership, lane.worker)
  state.membership.roomier.add(lane.worker)
}

export function applyLaneVacated(state: State, record: RecordOf<'LaneVacated'>): void {
  const lane = laneOf(state, record.lane)
  if (lane.vacated) throw new Error(`lane ${lane.id} was vacated twice`)
  lane.vacated = true
  lane.closing = true
  endReservation(state, lane)
}

export function applyTasksAssigned(state: State, record: RecordOf<'TasksAssigned'>): void {
  // Most are new lanes, whose numbers say so: a look into a map of 10,000 costs as much as all the rest.
  const isNew = record.lane >= laneId(state.epoch, state.tasks.nextLane)
  const known = isNew ? undefined : state.tasks.lanes.get(record.lane)
  const worker = known?.worker ?? state.membership.workers.get(record.worker)
  if (worker?.id !== record.worker || worker.incarnation !== record.incarnation)
    throw new Error(`tasks assigned to unknown worker ${record.worker}`)
  const lane = known ?? openLane(state, record, worker)
  for (const run of record.runs) {
    const stage = stageOf(state, run.job, run.stage)
    // A leader whose clock was ahead had waited for the attempt's time already.
    if (record.adopted && waitDelayed(state, stage, run.first, run.count, run.attempt))
      takeDelayed(state, stage, run.first, run.count, run.attempt)
    else takeReady(state, stage, run.first, run.count, run.attempt)
    stage.runningCount += run.count
    if (stage.job.flow) stepsBegin(state, stage, run)
    takeKey(state, stage, run.count)
    const added = { stage, first: run.first, count: run.count, attempt: run.attempt }
    // Most lanes never hold more than one: an array made with it is smaller than one that grew.
    if (lane.runs.length === 0) lane.runs = [added]
    else lane.runs.push(added)
    lane.assigned += run.count
    rotate(stage)
  }
}

/** Moves the lane on by `count` tasks, and says which they were: parts of its runs, in order. */
function advance(state: State, lane: Lane, count: number): LaneRun[] {
  if (outstanding(lane) < count) throw new Error(`lane ${lane.id} has no ${count} tasks`)
  const done = takeOff(lane.runs, count)
  for (const part of done) {
    part.stage.runningCount -= part.count
    releaseKey(state, part.stage, part.count)
  }
  lane.done += count
  return done
}

function laneOf(state: State, id: number): Lane {
  const lane = state.tasks.lanes.get(id)
  if (!lane) throw new Error(`no lane ${id}`)
  return lane
}

/** Keeps what tasks came to, which stands from item `from` of the record's payload on. Each has its share of the bytes. */
function keepResults(state: State, record: RecordOf<'TasksFinished'>, { stage, first, count }: LaneRun, from: number): void {
  const before = (item: number): number => Math.floor((record.bytes * item) / record.count)
  const bytes = before(from + count) - before(from)
  stage.results.insert({ first, count, payload: record.payload, from, bytes, needed: count })
  state.jobs.resultBytes += bytes
  namePayload(state, record.payload)
  // Those with blocks are of one run.
  for (const block of record.blocks) keepBlock(state, stage.resultBlocks, block)
}

/** Remembers a block of a task and that one more fact names it. */
export function keepBlock(state: State, blocks: Map<number, TaskBlock>, block: TaskBlock): void {
  blocks.set(block.index, block)
  needBlock(state, block.block, block.holder)
}

/** The next task of a lane succeeded: which it was, and `close` that ends the lane if it was its last. */
export function finishHead(state: State, lane: number): { done: LaneRun; close(): void } {
  const found = laneOf(state, lane)
  const done = advance(state, found, 1)[0]!
  done.stage.troubles.delete(done.first)
  done.stage.cancelling.remove(done.first, 1)
  done.stage.succeeded++
  return {
    done,
    close() {
      if (found.runs.length === 0) closeLane(state, found)
    },
  }
}

/** Payloads are numbered in the order of the facts that name them. */
export function takePayload(state: State, payload: number): void {
  state.nextPayload = Math.max(state.nextPayload, payload + 1)
}

export function applyTasksFinished(state: State, record: RecordOf<'TasksFinished'>): void {
  const lane = laneOf(state, record.lane)
  let from = 0
  const parts = advance(state, lane, record.count)
  for (const done of parts) {
    keepResults(state, record, done, from)
    from += done.count
  }
  if (lane.runs.length === 0) closeLane(state, lane)
  // Counted part by part: a stage is complete with the last of them, and that is noticed once.
  for (const done of parts) {
    const { stage } = done
    if (stage.troubles.size > 0) for (let task = done.first; task < done.first + done.count; task++) stage.troubles.delete(task)
    // Though they were told to stop.
    stage.cancelling.remove(done.first, done.count)
    stage.succeeded += done.count
    settleInputs(state, stage, done)
    finishTasks(state, stage, done, 'succeeded')
  }
}

/** What is remembered of a task's failures, made where there is nothing yet. */
function troubleOf(stage: Stage, task: number): Trouble {
  let trouble = stage.troubles.get(task)
  if (!trouble) {
    trouble = { attempts: [], counted: 0, deaths: 0, final: undefined }
    stage.troubles.set(task, trouble)
  }
  return trouble
}

/** What is no fault of the task does not count against `retries`: it is always tried again, where workers were lost up to quarantine. */
export const freeCodes: ReadonlySet<string> = new Set(['WORKER_LOST', 'WORKER_DISK_FAILED'])

/** Failures that came with the death of an executor or worker. */
export const deathCodes: ReadonlySet<string> = new Set(['TASK_CRASHED', 'TASK_OUT_OF_MEMORY', 'WORKER_LOST', 'TASK_POISONED'])

export function applyTaskFailed(state: State, record: RecordOf<'TaskFailed'>): void {
  const lane = laneOf(state, record.lane)
  const done = advance(state, lane, 1)[0]!
  const { stage } = done
  const trouble = troubleOf(stage, done.first)
  const died = deathCodes.has(record.code)
  if (died) trouble.deaths++
  const free = freeCodes.has(record.code)
  if (!free) trouble.counted++
  trouble.attempts.push({ attempt: done.attempt, worker: lane.worker.id, code: record.code, message: record.message, atMs: state.nowMs })
  if (trouble.attempts.length > attemptsKeptMax) trouble.attempts.shift()
  if (record.retryAtMs === undefined) {
    trouble.final = { code: record.code, message: record.message, stack: record.stack }
    stage.failed++
    settleInputs(state, stage, done)
  } else {
    const next = { index: done.first, attempt: done.attempt + 1, avoid: died || free ? lane.worker.id : '' }
    if (record.retryAtMs > state.nowMs) {
      stage.delayedCount++
      state.delayed.push(record.retryAtMs, { stage, ...next })
    } else unshiftReady(state, stage, { first: next.index, count: 1, attempt: next.attempt, avoid: next.avoid })
  }
  if (lane.runs.length === 0) closeLane(state, lane)
  if (record.retryAtMs === undefined) finishTasks(state, stage, done, 'failed')
}

/** Puts tasks that a lane gives up where they belong now: back in line, or among the cancelled. */
function giveUp(state: State, run: LaneRun): void {
  const { stage } = run
  if (stage.job.state !== 'running') return cancelTasks(state, stage, run)
  const cancelled = stage.cancelling.within(run.first, run.count)
  for (const part of cancelled) {
    stage.cancelling.remove(part.first, part.count)
    cancelTasks(state, stage, part)
  }
  const free = cancelled.length === 0 ? [run] : subtract(run, cancelled)
  for (const part of free.reverse()) unshiftReady(state, stage, { first: part.first, count: part.count, attempt: run.attempt, avoid: '' })
}

function subtract(run: Range, parts: readonly Range[]): Range[] {
  const rest: Range[] = []
  let from = run.first
  for (const part of parts) {
    if (part.first > from) rest.push({ first: from, count: part.first - from })
    from = part.first + part.count
  }
  if (from < run.first + run.count) rest.push({ first: from, count: run.first + run.count - from })
  return rest
}

export function applyTasksSkipped(state: State, record: RecordOf<'TasksSkipped'>): void {
  const lane = laneOf(state, record.lane)
  // The last ones first, so that they stand in line in their old order.
  for (const done of advance(state, lane, record.count).reverse()) giveUp(state, done)
  if (lane.runs.length === 0) closeLane(state, lane)
}

export function applyTasksReturned(state: State, record: RecordOf<'TasksReturned'>): void {
  const lane = laneOf(state, record.lane)
  lane.closing = true
  returnTail(state, lane, record.keep)
  if (lane.runs.length === 0) closeLane(state, lane)
}

/**
 * Takes all but the next `keep` tasks out of the lane, the last ones first, so that they stand in line in their old order. `lost`: nobody
 * knows how far they came there, or may yet come: what runs next of them is another attempt, with a fencing token of its own.
 */
export function returnTail(state: State, lane: Lane, keep: number, lost = false): void {
  let surplus = lane.assigned - lane.done - keep
  while (surplus > 0) {
    const last = lane.runs[lane.runs.length - 1]!
    const count = Math.min(surplus, last.count)
    const part: LaneRun = { ...last, first: last.first + last.count - count, count, attempt: last.attempt + (lost ? 1 : 0) }
    last.count -= count
    if (last.count === 0) lane.runs.pop()
    lane.assigned -= count
    surplus -= count
    part.stage.runningCount -= count
    releaseKey(state, part.stage, count)
    giveUp(state, part)
  }
}

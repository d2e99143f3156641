// Owns what follows from a worker's report or its giving back of tasks. Must not write state.
//
// A report may hold many outcomes of a lane in order. Each is judged against the state as it will be after the ones before it, so
// the positions are counted along here: nothing is applied before all records of the command are made.
import {
  Chunk,
  CoxswainError,
  type Exchange,
  type JournalRecord,
  type Outcome,
  outcomeTasks,
  type PayloadId,
  type TaskBlock,
} from '../../protocol/index.ts'
import { answer, type CommandOf, type Decision, refuse } from '../commands.ts'
import { stepOf } from '../flows/apply.ts'
import { branchesOf, decideExpanded } from '../flows/decide.ts'
import { countsStill } from '../flows/undo.ts'
import { checkBlocks, checkedCount } from '../items.ts'
import type { Job, Stage } from '../jobs/state.ts'
import type { CoreLimits } from '../limits.ts'
import { addRest, exchangeFlaw, writesOf } from '../spaces/decide.ts'
import type { State } from '../state.ts'
import { type Failure, failureOf } from './failures.ts'
import { RunCursor } from './runs.ts'
import type { Lane, LaneRun } from './state.ts'

/** The lane if it is this incarnation's, or undefined: then the report is of a life that is over. */
function ownLane(state: State, command: { worker: string; incarnation: number; lane: number }): Lane | 'dismissed' | undefined {
  const lane = state.tasks.lanes.get(command.lane)
  const worker = lane?.worker.id === command.worker ? lane.worker : state.membership.workers.get(command.worker)
  if (worker?.incarnation !== command.incarnation) return 'dismissed'
  return lane?.worker === worker ? lane : undefined
}

const dismissal = answer({ kind: 'dismissed', reason: 'this incarnation was declared lost' })

export function decideReport(state: State, command: CommandOf<'report'>, limits: CoreLimits): Decision {
  const lane = ownLane(state, command)
  if (lane === 'dismissed') return dismissal
  // A lane that is closed has all its outcomes recorded: this is a repetition.
  if (!lane) return answer({ kind: 'done' })
  const decision: Decision = { records: [], payloads: [], reply: { kind: 'done' } }
  const cursor = new RunCursor(lane.runs)
  let number = command.from
  if (number > lane.done) return refuse(gap(lane, `outcomes from task ${number} on, where ${lane.done} is next`))
  let nextPayload = state.nextPayload
  for (const outcome of command.outcomes) {
    const count = outcomeTasks(outcome)
    const repeated = number + count <= lane.done
    number += count
    if (repeated) continue
    if (count === 0 || number - count < lane.done || number > lane.assigned)
      return refuse(gap(lane, `an outcome of ${count} tasks that it was not given`))
    const parts = cursor.take(count)
    const success = outcome.kind === 'committed' ? outcome.outcome : outcome
    const results = success.kind === 'finished' ? new Chunk(success.items) : undefined
    if (success.kind === 'finished') {
      if (success.count !== count || results!.count !== count)
        return refuse(gap(lane, `${count} tasks as finished without a result for each`))
      // Which task a block is of is only clear among those of one run.
      if (success.blocks.length > 0) checkBlocks(success.blocks, parts.length === 1 ? parts[0]! : { first: 0, count: 0 })
    }
    const turn = { state, lane, head: parts[0]!, parts, results, jitter: command.jitter, limits }
    nextPayload = outcome.kind === 'committed' ? commit(turn, outcome, decision, nextPayload) : judge(turn, outcome, decision, nextPayload)
  }
  return decision
}

function gap(lane: Lane, what: string): CoxswainError {
  return new CoxswainError('FRAME_MALFORMED', `Worker ${lane.worker.id} reported ${what}, in lane ${lane.id}.`, { id: lane.worker.id })
}

/** What an outcome is judged by: where its lane is, and what the command brought. */
interface Judgement {
  state: State
  lane: Lane
  /** Its tasks; and the first of these parts of runs, which holds all of them but where many finished. */
  parts: readonly LaneRun[]
  head: LaneRun
  /** What they came to, where they finished. */
  results: Chunk | undefined
  jitter: number
  limits: CoreLimits
}

/** A task that ended well, with changes: all of it is taken, or the attempt has failed. */
function commit(on: Judgement, outcome: Extract<Outcome, { kind: 'committed' }>, decision: Decision, nextPayload: PayloadId): PayloadId {
  const { state, lane, head, limits } = on
  const made: Decision = { records: [], payloads: [], reply: { kind: 'done' } }
  const before = decision.records.length
  const next = judge(on, outcome.outcome, decision, nextPayload)
  // It was cancelled, or it failed all the same.
  if (decision.records.slice(before).some(record => record.kind === 'TasksSkipped' || record.kind === 'TaskFailed')) return next
  const { program } = head.stage.plan
  const jobs = outcome.jobs.map(({ inputs, flow, policies, stages, ...plan }) => ({
    plan: { ...plan, session: '', detached: true, stages: stages.map(stage => ({ ...stage, program })) },
    inputs,
    flow,
    policies,
  }))
  // What stands before it in this report is not in the state yet.
  const flaw = meets(decision.records, outcome) ?? exchangeFlaw(state, outcome.exchange, limits)
  const { record, payloads } = writesOf(outcome.exchange, { session: '', number: 0, before: 0 }, next)
  if (record.writes.length > 0) made.records.push(record)
  made.payloads.push(...payloads)
  const refused = flaw ? { error: flaw } : addRest(state, made, { signals: outcome.exchange.signals, jobs }, limits, next, decision.records)
  if (!refused) {
    decision.records.push(...made.records)
    decision.payloads.push(...made.payloads)
    return next + made.payloads.length
  }
  const { code, message } = refused.error
  decision.records.length = before
  decision.payloads = decision.payloads.filter(({ payload }) => payload < nextPayload)
  const retryable = code === 'TRANSACTION_CONFLICT' || code === 'OVERLOADED'
  decision.records.push(failureOf(lane, head, { code, message, stack: '', retryable }, state.nowMs, on.jitter, limits))
  return nextPayload
}

/** Why changes cannot be judged beside those of the same report: they touch the same entries, signals or jobs. */
function meets(records: readonly JournalRecord[], { exchange, jobs }: Extract<Outcome, { kind: 'committed' }>): CoxswainError | undefined {
  for (const record of records) {
    const same = touches(record, exchange, jobs)
    if (same) return new CoxswainError('TRANSACTION_CONFLICT', 'Another task that ended at the same moment changes the same.')
  }
  return undefined
}

function touches(
  record: JournalRecord,
  { checks, writes, signals }: Exchange,
  jobs: Extract<Outcome, { kind: 'committed' }>['jobs'],
): boolean {
  switch (record.kind) {
    case 'EntriesWritten':
      return record.writes.some(({ space, key }) => [...checks, ...writes].some(one => one.space === space && one.key === key))
    case 'SignalReceived':
      return signals.some(({ job, signal }) => job === record.job && signal === record.signal)
    case 'JobSubmitted':
    case 'FlowSubmitted':
      return jobs.some(({ job }) => job === record.plan.job)
    default:
      return false
  }
}

function judge(on: Judgement, outcome: Exclude<Outcome, { kind: 'committed' }>, decision: Decision, nextPayload: PayloadId): PayloadId {
  const { state, lane, head, jitter, limits } = on
  const { records } = decision
  if (outcome.kind === 'skipped') {
    records.push({ kind: 'TasksSkipped', lane: lane.id, count: outcome.count })
    return nextPayload
  }
  if (outcome.kind === 'finished') return judgeResults(on, on.results!, outcome.blocks, decision, nextPayload)
  const fail = (failure: Failure): PayloadId => {
    records.push(failureOf(lane, head, failure, state.nowMs, jitter, limits))
    return nextPayload
  }
  const taken = head.stage.job.state === 'running' && (outcome.kind === 'spread' ? isTaken : goesOn)(head.stage, head.first)
  if (!taken) {
    records.push({ kind: 'TasksSkipped', lane: lane.id, count: 1 })
    return nextPayload
  }
  if (outcome.kind === 'failed') return fail(outcome)
  return judgeFlow(state, lane, head, outcome, decision, nextPayload, fail)
}

/** A list, or steps, as the outcome of one task. */
function judgeFlow(
  state: State,
  lane: Lane,
  head: LaneRun,
  outcome: Extract<Outcome, { kind: 'spread' | 'expanded' }>,
  decision: Decision,
  nextPayload: PayloadId,
  fail: (failure: Failure) => PayloadId,
): PayloadId {
  const { stage } = head
  if (outcome.kind === 'spread') {
    const { items, blocks } = outcome
    const width = checkedCount(items)
    checkBlocks(blocks, { first: 0, count: width })
    if (!stage.job.flow)
      return fail({
        code: 'TASK_RESULT_INVALID',
        message: 'Only a step of a workflow has a list of inputs as its result.',
        stack: '',
        retryable: false,
      })
    decision.records.push({ kind: 'TaskSpread', lane: lane.id, width, payload: nextPayload, bytes: items.length, blocks })
    decision.payloads.push({ payload: nextPayload, bytes: items })
    return nextPayload + 1
  }
  const grown = decideExpanded(state, stage, head.first, outcome, lane.id, decision, nextPayload)
  if ('code' in grown) return fail({ ...grown, stack: '', retryable: false })
  decision.records.push(...grown.records)
  decision.payloads.push(...grown.payloads)
  return nextPayload + grown.payloads.length
}

/** True if the task was not told to stop. */
function goesOn(stage: Stage, task: number): boolean {
  return !stage.cancelling.has(task)
}

/** True if a result of the task is taken: it was not told to stop, or a compensation goes by what it came to. */
function isTaken(stage: Stage, task: number): boolean {
  const { flow } = stage.job
  return goesOn(stage, task) || (flow !== undefined && countsStill(flow, stepOf(stage, task)))
}

/** Tasks in a row of a lane whose results have one fate: refused, or kept for a job. */
interface Stretch {
  count: number
  job: Job | undefined
}

/** What becomes of the results of these tasks: those of tasks that were cancelled meanwhile are refused, where nothing is to be taken back by them. */
function stretchesOf(parts: readonly LaneRun[]): Stretch[] {
  const stretches: Stretch[] = []
  const add = (count: number, job: Job | undefined): void => {
    const last = stretches[stretches.length - 1]
    if (last && last.job === job) last.count += count
    else if (count > 0) stretches.push({ count, job })
  }
  for (const { stage, first, count } of parts) {
    const { job, cancelling } = stage
    if (job.state !== 'running') add(count, undefined)
    else if (cancelling.ranges.length === 0) add(count, job)
    else for (let task = first; task < first + count; task++) add(1, isTaken(stage, task) ? job : undefined)
  }
  return stretches
}

/** Results are kept in one payload for each job: it goes with the job. */
function judgeResults(
  { lane, parts, head }: Judgement,
  results: Chunk,
  ofAll: readonly TaskBlock[],
  decision: Decision,
  nextPayload: PayloadId,
): PayloadId {
  let item = 0
  for (const { stage, first, count } of parts) {
    if (stage.job.state === 'running') decision.records.push(...branchesOf(stage, { first, count }, results, item))
    item += count
  }
  let payload = nextPayload
  let from = 0
  for (const { count, job } of stretchesOf(parts)) {
    if (job) {
      const bytes = results.slice(from, count)
      const first = head.first + from
      const blocks = ofAll.filter(block => block.index >= first && block.index < first + count)
      decision.records.push({ kind: 'TasksFinished', lane: lane.id, count, payload, bytes: bytes.length, blocks })
      decision.payloads.push({ payload: payload++, bytes })
    } else decision.records.push({ kind: 'TasksSkipped', lane: lane.id, count })
    from += count
  }
  return payload
}

export function decideReturnTasks(state: State, command: CommandOf<'returnTasks'>): Decision {
  const lane = ownLane(state, command)
  if (lane === 'dismissed') return dismissal
  if (!lane) return answer({ kind: 'done' })
  if (command.from < lane.done) return refuse(gap(lane, `tasks from ${command.from} on as not started, where ${lane.done} have outcomes`))
  const records: JournalRecord[] =
    command.from >= lane.assigned && lane.closing ? [] : [{ kind: 'TasksReturned', lane: lane.id, keep: command.from - lane.done }]
  return { records, payloads: [], reply: { kind: 'done' } }
}

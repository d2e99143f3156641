// Owns what follows from a worker's report or its giving back of tasks. Must not write state.
//
// A report may hold many outcomes of a lane in order. Each is judged against the state as it will be after the ones before it, so
// the positions are counted along here: nothing is applied before all records of the command are made.
import {
  Chunk,
  CoxswainError,
  type JournalRecord,
  type Outcome,
  outcomeTasks,
  type PayloadId,
  type Range,
  type TaskBlock,
} from '../../protocol/index.ts'
import { answer, type CommandOf, type Decision, refuse } from '../commands.ts'
import { branchesOf, decideExpanded } from '../flows/decide.ts'
import { checkBlocks, checkedCount } from '../items.ts'
import type { CoreLimits } from '../limits.ts'
import type { State } from '../state.ts'
import { type Failure, failureOf } from './failures.ts'
import type { Lane, LaneRun } from './state.ts'

/** Walks a lane's runs without changing them. */
class Cursor {
  readonly #runs: readonly LaneRun[]
  #at = 0
  #used = 0

  constructor(lane: Lane) {
    this.#runs = lane.runs
  }

  /** What is left of the run at the head, or undefined at the end of the lane. */
  get head(): LaneRun | undefined {
    const run = this.#runs[this.#at]
    return run && { ...run, first: run.first + this.#used, count: run.count - this.#used }
  }

  move(count: number): void {
    this.#used += count
    if (this.#used === this.#runs[this.#at]!.count) {
      this.#at++
      this.#used = 0
    }
  }
}

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
  const cursor = new Cursor(lane)
  let number = command.from
  if (number > lane.done) return refuse(gap(lane, `outcomes from task ${number} on, where ${lane.done} is next`))
  let nextPayload = state.nextPayload
  for (const outcome of command.outcomes) {
    const count = outcomeTasks(outcome)
    const repeated = number + count <= lane.done
    number += count
    if (repeated) continue
    const head = cursor.head
    if (!head || count > head.count || count === 0 || number - count < lane.done)
      return refuse(gap(lane, `an outcome of ${count} tasks that it was not given in a row`))
    if (outcome.kind === 'finished') {
      if (checkedCount(outcome.items) !== count) return refuse(gap(lane, `${count} tasks as finished without a result for each`))
      checkBlocks(outcome.blocks, { first: head.first, count })
    }
    nextPayload = judge(state, lane, head, outcome, decision, nextPayload, command.jitter, limits)
    cursor.move(count)
  }
  return decision
}

function gap(lane: Lane, what: string): CoxswainError {
  return new CoxswainError('FRAME_MALFORMED', `Worker ${lane.worker.id} reported ${what}, in lane ${lane.id}.`, { id: lane.worker.id })
}

function judge(
  state: State,
  lane: Lane,
  head: LaneRun,
  outcome: Outcome,
  decision: Decision,
  nextPayload: PayloadId,
  jitter: number,
  limits: CoreLimits,
): PayloadId {
  const { records } = decision
  const dead = head.stage.job.state !== 'running'
  if (outcome.kind === 'skipped' || (dead && outcome.kind === 'finished')) {
    records.push({ kind: 'TasksSkipped', lane: lane.id, count: outcome.count })
    return nextPayload
  }
  const fail = (failure: Failure): PayloadId => {
    records.push(failureOf(lane, head, failure, state.nowMs, jitter, limits))
    return nextPayload
  }
  if (outcome.kind !== 'finished') {
    if (dead || head.stage.cancelling.has(head.first)) {
      records.push({ kind: 'TasksSkipped', lane: lane.id, count: 1 })
      return nextPayload
    }
    if (outcome.kind === 'failed') return fail(outcome)
    return judgeFlow(lane, head, outcome, decision, nextPayload, fail)
  }
  records.push(...branchesOf(head.stage, head.first, outcome.count, outcome.items))
  return judgeResults(lane, head, outcome, decision, nextPayload)
}

/** A list, or steps, as the outcome of one task. */
function judgeFlow(
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
  const grown = decideExpanded(stage, head.first, outcome, lane.id, decision, nextPayload)
  if ('code' in grown) return fail({ ...grown, stack: '', retryable: false })
  decision.records.push(...grown.records)
  decision.payloads.push(...grown.payloads)
  return nextPayload + grown.payloads.length
}

/** Results of tasks that were cancelled meanwhile are refused; the others are kept, piece by piece. */
function judgeResults(
  lane: Lane,
  head: LaneRun,
  outcome: Extract<Outcome, { kind: 'finished' }>,
  decision: Decision,
  nextPayload: PayloadId,
): PayloadId {
  const { cancelling } = head.stage
  const end = head.first + outcome.count
  let payload = nextPayload
  let from = head.first
  const keep = (range: Range): void => {
    const whole = range.count === outcome.count
    const bytes = whole ? outcome.items : new Chunk(outcome.items).slice(range.first - head.first, range.count)
    const blocks = outcome.blocks.filter((block: TaskBlock) => block.index >= range.first && block.index < range.first + range.count)
    decision.records.push({ kind: 'TasksFinished', lane: lane.id, count: range.count, payload, bytes: bytes.length, blocks })
    decision.payloads.push({ payload: payload++, bytes })
  }
  for (const part of cancelling.ranges.length === 0 ? [] : cancelling.within(head.first, outcome.count)) {
    if (part.first > from) keep({ first: from, count: part.first - from })
    decision.records.push({ kind: 'TasksSkipped', lane: lane.id, count: part.count })
    from = part.first + part.count
  }
  if (from < end) keep({ first: from, count: end - from })
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

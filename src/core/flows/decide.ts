// Owns what follows when a workflow is submitted, grows, or gets a signal. Must not write state.
import {
  type Chunk,
  CoxswainError,
  type FlowPlan,
  type Inputs,
  isTrueItem,
  type JobPlan,
  type JournalRecord,
  type LaneId,
  type Outcome,
  type PayloadId,
  type Range,
  type StagePolicy,
  limits as wire,
} from '../../protocol/index.ts'
import { answer, type CommandOf, type Decision, refuse } from '../commands.ts'
import { checkBlocks, checkedCount } from '../items.ts'
import type { Job, Stage } from '../jobs/state.ts'
import { limitStages } from '../keys/decide.ts'
import type { State } from '../state.ts'
import { stepOf } from './apply.ts'
import { flowFlaw } from './plan-check.ts'
import type { StepTable } from './state.ts'

/** Signals of one workflow that no step took, and ids of signals that are remembered. */
const mailboxMax = 10_000

/** The facts by which stages, inputs and steps become part of a job. `base`: number of the first of these stages. */
function flowRecords(
  job: string,
  base: number,
  inputs: readonly Inputs[],
  flow: FlowPlan,
  parent: number | undefined,
  payload: PayloadId,
): Decision {
  const decision: Decision = { records: [], payloads: [], reply: { kind: 'done' } }
  const added = new Map<number, number>()
  for (const { stage, first, items, blocks } of inputs) {
    const count = checkedCount(items)
    if (first !== (added.get(stage) ?? 0))
      throw new CoxswainError('INVALID_ARGUMENT', `Job ${job}: inputs of stage ${stage} are not in order.`, { id: job })
    added.set(stage, first + count)
    checkBlocks(blocks, { first, count })
    const number = payload + decision.payloads.length
    decision.records.push({ kind: 'TasksAdded', job, stage: base + stage, first, count, payload: number, bytes: items.length, blocks })
    decision.payloads.push({ payload: number, bytes: items })
  }
  decision.records.push({ kind: 'StepsAdded', job, parent, flow })
  return decision
}

/** How many inputs each stage was sent. */
function tasksOf(stages: number, inputs: readonly Inputs[]): number[] {
  const tasks = Array.from({ length: stages }, () => 0)
  for (const one of inputs) {
    if (one.stage >= stages) throw new CoxswainError('INVALID_ARGUMENT', `Inputs were sent for stage ${one.stage}, which does not exist.`)
    tasks[one.stage]! += checkedCount(one.items)
  }
  return tasks
}

/** A new job that is a workflow; everything else about it was looked at before. Throws INVALID_WORKFLOW. */
export function decideFlow(plan: JobPlan, inputs: readonly Inputs[], flow: FlowPlan, payload: PayloadId): Decision {
  const flaw = flowFlaw(flow, tasksOf(plan.stages.length, inputs))
  if (flaw !== undefined) return refuse(new CoxswainError('INVALID_WORKFLOW', `Job ${plan.job}: ${flaw}.`, { id: plan.job }))
  const decision = flowRecords(plan.job, 0, inputs, flow, undefined, payload)
  decision.records.unshift({ kind: 'FlowSubmitted', plan })
  decision.reply = { kind: 'submitted', existing: false }
  return decision
}

type OutcomeOf<K> = Extract<Outcome, { kind: K }>

/** Why a task of a workflow cannot end as its worker says, or undefined. */
export interface FlowFailure {
  code: 'INVALID_ARGUMENT' | 'INVALID_WORKFLOW' | 'LIMIT_CONFLICT' | 'WORKFLOW_TOO_DEEP' | 'TASK_RESULT_INVALID'
  message: string
}

/** What a step that was built becomes part of its job as, or why not. */
export function decideExpanded(
  state: State,
  stage: Stage,
  task: number,
  outcome: OutcomeOf<'expanded'>,
  lane: LaneId,
  before: Decision,
  payload: PayloadId,
): Decision | FlowFailure {
  const { job } = stage
  const { flow } = job
  if (!flow) return { code: 'INVALID_WORKFLOW', message: 'A workflow can only be a step of a workflow.' }
  const step = stepOf(stage, task)
  if (flow.frame(step).depth + 1 > wire.workflowDepthMax) {
    return {
      code: 'WORKFLOW_TOO_DEEP',
      message: `Workflows that are steps of one another are ${wire.workflowDepthMax} deep here: does this one ever end?`,
    }
  }
  if (flow.count + outcome.flow.steps.length > wire.flowStepsMax)
    return { code: 'INVALID_WORKFLOW', message: `The workflow would have more than ${wire.flowStepsMax} steps.` }
  const stages = outcome.stages.map(one => ({ ...one, program: stage.plan.program, edges: [] }))
  const flaw = flowFlaw(outcome.flow, tasksOf(stages.length, outcome.inputs)) ?? misused(flow.uses(step))
  if (flaw !== undefined) return { code: 'INVALID_WORKFLOW', message: `The workflow that was built cannot be run: ${flaw}.` }
  const id = job.plan.job
  // Stages that the same report adds come before these.
  let base = job.stages.length
  for (const record of before.records) if (record.kind === 'StagesAdded' && record.job === id) base += record.stages.length
  const limited = limitStages(state, id, base, stages.length, outcome.policies, before.records)
  if (limited instanceof CoxswainError)
    return { code: limited.code === 'LIMIT_CONFLICT' ? 'LIMIT_CONFLICT' : 'INVALID_ARGUMENT', message: limited.message }
  const held = heldKey(job, flow, step, outcome.policies)
  if (held !== undefined)
    return { code: 'INVALID_WORKFLOW', message: `Its steps wait for the key ${held}, which it holds itself until they end.` }
  const decision = flowRecords(id, base, outcome.inputs, outcome.flow, step, payload)
  decision.records.unshift({ kind: 'StagesAdded', job: id, stages }, ...limited)
  decision.records.splice(-1, 0, { kind: 'TaskExpanded', lane })
  return decision
}

/** The key that these stages want and that the step, or one that it is part of, holds until they have ended; undefined if there is none. */
function heldKey(job: Job, flow: StepTable, step: number, policies: readonly StagePolicy[]): string | undefined {
  for (let holder = step; holder >= 0; holder = flow.frame(holder).parent) {
    const name = job.stages[flow.stage(holder)]!.key?.name
    if (name && policies.some(policy => policy.key === name)) return name
  }
  return undefined
}

/** What others want of a step that can only be had of a task. */
function misused(uses: readonly { kind: string; step: number }[]): string | undefined {
  const use = uses.find(one => ['spread', 'taken', 'untaken', 'each', 'fold'].includes(one.kind))
  return use && `step ${use.step} needs more of it than its result`
}

/** The facts by which others know what the results of finished tasks, items `from` … of these, mean for branches. Throws FRAME_MALFORMED where a list was to be told as one. */
export function branchesOf(stage: Stage, { first, count }: Range, results: Chunk, from: number): JournalRecord[] {
  const { flow } = stage.job
  if (!flow || stage.wide >= 0 || flow.edges.looked.size === 0) return []
  const records: JournalRecord[] = []
  for (let task = first; task < first + count; task++) {
    const step = stage.owners[task]!
    if (!flow.edges.looked.has(step)) continue
    const uses = flow.uses(step)
    if (uses.some(use => use.kind === 'spread'))
      throw new CoxswainError(
        'FRAME_MALFORMED',
        `Task ${stage.number}/${task} of job ${stage.job.plan.job} ended without the list that others wait for.`,
      )
    records.push({ kind: 'BranchDecided', job: stage.job.plan.job, step, taken: isTrueItem(results.item(from + task - first)) })
  }
  return records
}

export function decideSignal(state: State, command: CommandOf<'signal'>): Decision {
  return signalled(state, command, state.nextPayload)
}

/** What follows from a signal, whose payload has this number. */
export function signalled(state: State, command: Omit<CommandOf<'signal'>, 'kind'>, payload: PayloadId): Decision {
  const { name, signal, items } = command
  const job: Job | undefined = state.jobs.byId.get(command.job)
  const over = (): Decision =>
    refuse(new CoxswainError('JOB_ENDED', `Job ${command.job} has ended: it takes no signals any more.`, { id: command.job }))
  if (state.history.find(command.job) !== undefined) return over()
  if (!job) return refuse(new CoxswainError('NOT_FOUND', `There is no job ${command.job}.`, { id: command.job }))
  if (!job.flow)
    return refuse(new CoxswainError('INVALID_ARGUMENT', `Job ${command.job} is no workflow: it takes no signals.`, { id: command.job }))
  if (job.flow.mail.seen.has(signal)) return answer({ kind: 'done' })
  if (job.state !== 'running' || job.flow.ended) return over()
  if (job.flow.mail.seen.size >= mailboxMax)
    return refuse(
      new CoxswainError('OVERLOADED', `Job ${command.job} has had ${mailboxMax} signals, which is its limit.`, { id: command.job }),
    )
  if (checkedCount(items) !== 1) throw new CoxswainError('FRAME_MALFORMED', 'A signal has one value.')
  return {
    records: [{ kind: 'SignalReceived', job: command.job, name, signal, payload, bytes: items.length }],
    payloads: [{ payload, bytes: items }],
    reply: { kind: 'done' },
  }
}

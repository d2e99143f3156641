// Owns what follows when a job is submitted, fed, cancelled or let go. Must not write state.
import { CoxswainError, type Inputs, type JobPlan, type JournalRecord, OverloadedError, type PayloadId } from '../../protocol/index.ts'
import { answer, type CommandOf, type Decision, refuse } from '../commands.ts'
import { decideFlow } from '../flows/decide.ts'
import { undosDue } from '../flows/undo.ts'
import { checkBlocks, checkedCount } from '../items.ts'
import { limitStages } from '../keys/decide.ts'
import type { CoreLimits } from '../limits.ts'
import { limitRun } from '../queues/decide.ts'
import type { State } from '../state.ts'
import { goesOn, type Job, type Stage } from './state.ts'

const retryAfterMs = 100

/** There is nothing to do for it: it has ended long ago. */
export function archived(state: State, job: string): boolean {
  return state.history.find(job) !== undefined
}

/** There is no such job. */
export function missing(job: string): CoxswainError {
  return new CoxswainError('NOT_FOUND', `There is no job ${job}.`, { id: job })
}

/** Why nothing can be taken now, or undefined. */
export function overload(state: State, tasks: number, bytes: number, jobs: number, limits: CoreLimits): OverloadedError | undefined {
  const over = (what: string, number: number): OverloadedError =>
    new OverloadedError(`The cluster holds its limit of ${number} ${what}.`, { retryAfterMs })
  if (state.jobs.openTasks + tasks > limits.openTasksMax) return over('unfinished tasks', limits.openTasksMax)
  if (state.jobs.inputBytes + bytes > limits.inputBytesMax) return over('bytes of inputs of unfinished tasks', limits.inputBytesMax)
  if (state.jobs.byId.size - state.jobs.finished.size + jobs > limits.runningJobsMax) return over('running jobs', limits.runningJobsMax)
  return undefined
}

/** Why this can never be taken at once, or undefined: waiting would not help. */
function tooLarge(job: string, tasks: number, bytes: number, limits: CoreLimits): CoxswainError | undefined {
  const above = (number: number, what: string, limit: number): CoxswainError =>
    new CoxswainError(
      'INVALID_ARGUMENT',
      `Job ${job}: ${number} ${what} in one request are above the limit of ${limit}. Send them in parts.`,
      {
        id: job,
      },
    )
  if (tasks > limits.openTasksMax) return above(tasks, 'tasks', limits.openTasksMax)
  if (bytes > limits.inputBytesMax) return above(bytes, 'bytes of inputs', limits.inputBytesMax)
  return undefined
}

/** What is wrong with a plan, or undefined. The SDK never sends such a one; other clients may. */
function flaw(plan: JobPlan): CoxswainError | undefined {
  const invalid = (message: string): CoxswainError => new CoxswainError('INVALID_ARGUMENT', `Job ${plan.job}: ${message}`, { id: plan.job })
  if (plan.stages.length === 0) return invalid('it has no stages.')
  if (Math.abs(plan.priority) > 100) return invalid(`the priority ${plan.priority} is not between -100 and 100.`)
  for (const [number, stage] of plan.stages.entries()) {
    const edge = stage.edges.find(one => one.producer >= number)
    if (edge) return invalid(`stage ${number} waits for stage ${edge.producer}, which is not before it.`)
    if (new Set(stage.edges.map(one => one.producer)).size < stage.edges.length) return invalid(`stage ${number} names a producer twice.`)
    if (new Set(stage.resources.named.map(one => one.name)).size < stage.resources.named.length) {
      return new CoxswainError('INVALID_RESOURCES', `Job ${plan.job}: stage ${number} names a resource twice.`, { id: plan.job })
    }
  }
  return undefined
}

/** The records that add these inputs to a stage that holds `added` tasks, or why not. */
function addInputs(plan: JobPlan, stage: { added: number; sealed: boolean }, inputs: Inputs, payload: PayloadId): Decision {
  const count = checkedCount(inputs.items)
  const { job } = plan
  const reply = { kind: 'done' as const }
  const end = inputs.first + count
  // Sent again after a reconnect: what is there already stays as it is.
  const known = end <= stage.added
  if (!known && inputs.first !== stage.added) {
    return refuse(
      new CoxswainError('INVALID_ARGUMENT', `Job ${job}: tasks from ${inputs.first} on were sent where ${stage.added} is next.`, {
        id: job,
      }),
    )
  }
  checkBlocks(inputs.blocks, { first: inputs.first, count })
  if (!known && stage.sealed) return refuse(new CoxswainError('INVALID_ARGUMENT', `Job ${job} takes no more tasks.`, { id: job }))
  const records: JournalRecord[] = []
  if (!known)
    records.push({
      kind: 'TasksAdded',
      job,
      stage: inputs.stage,
      first: inputs.first,
      count,
      payload,
      bytes: inputs.items.length,
      blocks: inputs.blocks,
    })
  if (inputs.seal && !stage.sealed) records.push({ kind: 'StageSealed', job, stage: inputs.stage })
  return { records, payloads: known ? [] : [{ payload, bytes: inputs.items }], reply }
}

/** Whether there is, or was, a job of this id. */
function knownAs(state: State, { job, contentHash }: JobPlan): 'same' | 'another' | undefined {
  const known = state.jobs.byId.get(job)
  if (!known) return state.history.known(job, contentHash)
  return known.plan.contentHash === contentHash ? 'same' : 'another'
}

export function decideSubmitJob(
  state: State,
  command: CommandOf<'submitJob'>,
  limits: CoreLimits,
  nextPayload: PayloadId = state.nextPayload,
  before: readonly JournalRecord[] = [],
): Decision {
  const { plan } = command
  const known = knownAs(state, plan)
  if (known) {
    if (known === 'same') return answer({ kind: 'submitted', existing: true })
    return refuse(
      new CoxswainError('JOB_ID_REUSED', `There is a job ${plan.job} already, and it asks for something else.`, { id: plan.job }),
    )
  }
  const wrong = flaw(plan)
  if (wrong) return refuse(wrong)
  const unknown = plan.stages.find(stage => !state.programs.byId.has(stage.program))
  if (unknown)
    return refuse(new CoxswainError('PROGRAM_MISSING', `The program ${unknown.program} is not known here.`, { id: unknown.program }))
  const tasks = command.inputs.reduce((sum, inputs) => sum + checkedCount(inputs.items), 0)
  const bytes = command.inputs.reduce((sum, inputs) => sum + inputs.items.length, 0)
  const never = tooLarge(plan.job, tasks, bytes, limits)
  if (never) return refuse(never)
  const over = overload(state, tasks, bytes, 1, limits)
  if (over) return refuse(over)
  const limited = limitsOf(state, command, before)
  if (limited instanceof CoxswainError) return refuse(limited)
  const decision = command.flow ? decideFlow(plan, command.inputs, command.flow, nextPayload) : decideTasks(command, nextPayload)
  if (decision.reply.kind === 'refused') return decision
  // Limits are there before the first task.
  decision.records.splice(1, 0, ...limited.own)
  decision.records.unshift(...limited.first)
  return decision
}

/** The facts that limit a new job: those that come before it, and those right behind it. */
function limitsOf(
  state: State,
  { plan, policies = [], run }: CommandOf<'submitJob'>,
  before: readonly JournalRecord[],
): { first: JournalRecord[]; own: JournalRecord[] } | CoxswainError {
  const own = limitStages(state, plan.job, 0, plan.stages.length, policies, before)
  if (own instanceof CoxswainError || !run) return own instanceof CoxswainError ? own : { first: [], own }
  const limited = limitRun(state, plan.job, run, before)
  return limited instanceof CoxswainError ? limited : { first: limited.first, own: [...own, limited.own] }
}

/** A new job that is no workflow; everything else about it was looked at before. */
function decideTasks({ plan, inputs: given }: CommandOf<'submitJob'>, nextPayload: PayloadId): Decision {
  const decision: Decision = { records: [{ kind: 'JobSubmitted', plan }], payloads: [], reply: { kind: 'submitted', existing: false } }
  const stages = plan.stages.map(() => ({ added: 0, sealed: false }))
  for (const inputs of given) {
    const stage = stages[inputs.stage]
    if (!stage) return refuse(new CoxswainError('INVALID_ARGUMENT', `Job ${plan.job} has no stage ${inputs.stage}.`, { id: plan.job }))
    const added = addInputs(plan, stage, inputs, nextPayload + decision.payloads.length)
    if (added.reply.kind === 'refused') return added
    for (const record of added.records) if (record.kind === 'TasksAdded') stage.added += record.count
    stage.sealed ||= inputs.seal
    decision.records.push(...added.records)
    decision.payloads.push(...added.payloads)
  }
  return decision
}

function ended(job: string, state: string): CoxswainError {
  return new CoxswainError('TASK_CANCELLED', `Job ${job} is ${state} and takes no more tasks.`, { id: job })
}

export function decideAddTasks(state: State, command: CommandOf<'addTasks'>, limits: CoreLimits): Decision {
  const { inputs } = command
  if (archived(state, command.job)) return refuse(ended(command.job, 'over'))
  const found = findStage(state, command.job, inputs.stage)
  if (found instanceof CoxswainError) return refuse(found)
  if (found.job.state !== 'running') return refuse(ended(command.job, found.job.state))
  const decision = addInputs(found.job.plan, found, inputs, state.nextPayload)
  // What is there already costs nothing, however full the cluster is.
  const [added] = decision.records
  const over = added?.kind === 'TasksAdded' && overload(state, added.count, added.bytes, 0, limits)
  return over ? refuse(over) : decision
}

function findStage(state: State, id: string, number: number): Stage | CoxswainError {
  const job = state.jobs.byId.get(id)
  if (!job) return missing(id)
  return job.stages[number] ?? new CoxswainError('INVALID_ARGUMENT', `Job ${id} has no stage ${number}.`, { id })
}

export function decideCancelJob(state: State, command: CommandOf<'cancelJob'>): Decision {
  if (archived(state, command.job)) return answer({ kind: 'done' })
  const job = state.jobs.byId.get(command.job)
  if (!job) return refuse(missing(command.job))
  // What ended stays as it ended; cancelling twice is the same as once.
  if (job.state !== 'running' || (command.compensate && compensates(job))) return answer({ kind: 'done' })
  const kind = command.compensate && job.flow && undosDue(job, job.flow) > 0 ? 'JobCancelling' : 'JobCancelled'
  return { records: [{ kind, job: command.job, reason: command.reason }], payloads: [], reply: { kind: 'done' } }
}

/** True for a workflow that is being cancelled, or has failed: its compensations have their turn already. */
function compensates({ flow, cancelling, reason }: Job): boolean {
  // A run that did not end in its time has a reason before it ends.
  return flow !== undefined && (cancelling || reason !== '' || flow.frames[0]?.open === 0)
}

export function decidePauseJob(state: State, command: CommandOf<'pauseJob'>): Decision {
  const { job: id, paused } = command
  const job = state.jobs.byId.get(id)
  if (!job && !archived(state, id)) return refuse(missing(id))
  if (job?.state !== 'running' || state.jobs.complete.has(job))
    return refuse(new CoxswainError('JOB_ENDED', `Job ${id} has ended: it can neither be paused nor resumed.`, { id }))
  if (job.paused === paused) return answer({ kind: 'done' })
  return { records: [{ kind: 'JobPaused', job: id, paused }], payloads: [], reply: { kind: 'done' } }
}

export function decideCancelTasks(state: State, command: CommandOf<'cancelTasks'>): Decision {
  if (archived(state, command.job)) return answer({ kind: 'done' })
  const stage = findStage(state, command.job, command.stage)
  if (stage instanceof CoxswainError) return refuse(stage)
  if (stage.job.state !== 'running') return answer({ kind: 'done' })
  const ranges = command.ranges
    .filter(range => range.first < stage.added)
    .map(range => ({ first: range.first, count: Math.min(range.count, stage.added - range.first) }))
  if (ranges.length === 0) return answer({ kind: 'done' })
  return { records: [{ kind: 'TasksCancelled', job: command.job, stage: command.stage, ranges }], payloads: [], reply: { kind: 'done' } }
}

export function decideReleaseResults(state: State, command: CommandOf<'releaseResults'>): Decision {
  const stage = findStage(state, command.job, command.stage)
  // The job may be forgotten already: then there is nothing to let go.
  if (stage instanceof CoxswainError) return answer({ kind: 'done' })
  // Other steps may still need them.
  if (stage.job.flow && stage.job.finishedAtMs === 0) return answer({ kind: 'done' })
  const ranges = command.ranges
    .flatMap(range => stage.released.outside(range.first, Math.min(range.count, Math.max(0, stage.added - range.first))))
    .filter(range => range.count > 0)
  if (ranges.length === 0) return answer({ kind: 'done' })
  return { records: [{ kind: 'ResultsReleased', job: command.job, stage: command.stage, ranges }], payloads: [], reply: { kind: 'done' } }
}

/** The client is gone: jobs that asked for it end with it, and so does a job whose inputs only that client could complete. */
export function decideEndSession(state: State, command: CommandOf<'endSession'>): Decision {
  const records: JournalRecord[] = []
  for (const job of state.jobs.bySession.get(command.session) ?? []) {
    if (!goesOn(job)) continue
    const open = job.stages.some(stage => !stage.sealed)
    if (!job.plan.detached || open) records.push({ kind: 'JobCancelled', job: job.plan.job, reason: 'its client is gone' })
  }
  if (state.spaces.bySession.has(command.session)) records.push({ kind: 'SessionEnded', session: command.session })
  return { records, payloads: [], reply: { kind: 'done' } }
}

/** The final state of a job whose tasks all have outcomes. */
export function finalState(job: Job): 'succeeded' | 'failed' | 'cancelled' {
  if (job.state !== 'running') return job.state
  if (job.cancelling) return 'cancelled'
  if (job.flow) return job.flow.frames[0]!.broken ? 'failed' : 'succeeded'
  if (job.stages.some(stage => stage.failed > 0)) return 'failed'
  return job.stages.some(stage => stage.abandoned) ? 'cancelled' : 'succeeded'
}

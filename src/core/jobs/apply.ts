// Owns what the facts about jobs do to the state. Must not choose anything.
import type { RecordOf, StagePlan } from '../../protocol/index.ts'
import { forgetMet, noteDue } from '../deadlines/apply.ts'
import { cancelFlow, cancelHeldTasks, forgetFlow, wakeStep } from '../flows/events.ts'
import { goOn } from '../flows/rerun.ts'
import { completeIfEnded } from '../flows/steps.ts'
import { giveUpFlow } from '../flows/timeouts.ts'
import { joinKey, leaveKey, wakeKey } from '../keys/apply.ts'
import { limitsTasks } from '../keys/state.ts'
import { leaveProgram, useProgram } from '../programs/apply.ts'
import { endRun, giveUpTurn, runAgain } from '../queues/apply.ts'
import { runEnded } from '../schedules/apply.ts'
import type { State } from '../state.ts'
import { keepBlock, stageOf } from '../tasks/apply.ts'
import { classOf, forgetClassIfUnused } from '../tasks/classes.ts'
import { pushReady, setPaused, unshiftReady } from '../tasks/ready.ts'
import {
  cancelWaiting,
  changeEnd,
  completeIfDone,
  dropInputs,
  forgetResults,
  namePayload,
  releaseResults,
  stopRunning,
} from './accounts.ts'
import { createStage, type Job } from './state.ts'

export function applyJobSubmitted(state: State, record: RecordOf<'JobSubmitted'>): void {
  const { plan } = record
  const job: Job = {
    plan,
    number: state.index + 1,
    submittedAtMs: state.nowMs,
    state: 'running',
    finishedAtMs: 0,
    reason: '',
    paused: false,
    cancelling: false,
    stages: [],
    flow: undefined,
    run: undefined,
  }
  for (const stagePlan of plan.stages) addStage(state, job, stagePlan)
  state.jobs.byId.set(plan.job, job)
  own(state, job)
}

/** The job runs, for the session that asked for it. */
function own(state: State, job: Job): void {
  const { session } = job.plan
  const owned = state.jobs.bySession.get(session) ?? new Set()
  state.jobs.bySession.set(session, owned.add(job))
}

/** The job has one more stage. */
export function addStage(state: State, job: Job, plan: StagePlan): void {
  const schedulingClass = classOf(state, plan, false)
  schedulingClass.stages++
  useProgram(state, plan.program)
  const stage = createStage(job, job.stages.length, plan, schedulingClass)
  stage.blockedBy = plan.edges.length
  job.stages.push(stage)
}

export function applyTasksAdded(state: State, record: RecordOf<'TasksAdded'>): void {
  const stage = stageOf(state, record.job, record.stage)
  const { first, count } = record
  stage.inputs.insert({ first, count, payload: record.payload, from: 0, bytes: record.bytes, needed: count })
  stage.added += count
  namePayload(state, record.payload)
  state.jobs.inputBytes += record.bytes
  state.jobs.openTasks += count
  for (const block of record.blocks) keepBlock(state, stage.inputBlocks, block)
  // Tasks of a workflow wait for their step.
  if (stage.job.flow) stage.heldCount += count
  else pushReady(state, stage, { first, count, attempt: 1, avoid: '' })
}

export function applyStageSealed(state: State, record: RecordOf<'StageSealed'>): void {
  const stage = stageOf(state, record.job, record.stage)
  stage.sealed = true
  completeIfDone(state, stage)
}

export function applyJobCancelled(state: State, record: RecordOf<'JobCancelled'>): void {
  const job = state.jobs.byId.get(record.job)
  if (!job) throw new Error(`no job ${record.job}`)
  giveUpTurn(state, job)
  stopJob(state, job, 'cancelled', record.reason)
}

export function applyJobCancelling(state: State, record: RecordOf<'JobCancelling'>): void {
  const job = state.jobs.byId.get(record.job)
  if (!job?.flow) throw new Error(`no workflow ${record.job}`)
  job.cancelling = true
  giveUpFlow(state, job, record.reason)
}

/** The job has its end, and nothing of it begins any more; what runs ends when its workers say so. */
export function stopJob(state: State, job: Job, end: 'cancelled' | 'failed', reason: string): void {
  job.state = end
  job.cancelling = false
  job.reason = reason
  cancelFlow(state, job)
  for (const stage of job.stages) {
    stage.sealed = true
    // All of it is cancelled from here on: nothing of it needs to be known one by one.
    stage.cancelling.clear()
    cancelWaiting(state, stage, 0, stage.added)
  }
  // A job of which nothing was left to cancel.
  if (job.flow) completeIfEnded(state, job)
  else for (const stage of job.stages) completeIfDone(state, stage)
}

export function applyJobPaused(state: State, record: RecordOf<'JobPaused'>): void {
  const job = state.jobs.byId.get(record.job)
  if (!job) throw new Error(`no job ${record.job}`)
  setPaused(state, job, record.paused)
}

export function applyTasksCancelled(state: State, record: RecordOf<'TasksCancelled'>): void {
  const stage = stageOf(state, record.job, record.stage)
  stopRunning(state, stage, record.ranges)
  for (const range of record.ranges) {
    cancelHeldTasks(state, stage, range)
    cancelWaiting(state, stage, range.first, range.count)
  }
}

export function applyJobFinished(state: State, record: RecordOf<'JobFinished'>): void {
  const job = state.jobs.byId.get(record.job)
  if (!job) throw new Error(`no job ${record.job}`)
  if (job.finishedAtMs > 0) throw new Error(`job ${record.job} ended twice`)
  job.state = record.state
  changeEnd(state, job, () => {
    job.finishedAtMs = state.nowMs
  })
  job.paused = false
  job.cancelling = false
  state.jobs.complete.delete(job)
  state.jobs.finished.add(job)
  runEnded(state, record.job)
  const owned = state.jobs.bySession.get(job.plan.session)
  owned?.delete(job)
  if (owned?.size === 0) state.jobs.bySession.delete(job.plan.session)
  endRun(state, job)
  for (const stage of job.stages) {
    leaveKey(state, stage)
    stage.class.stages--
    forgetClassIfUnused(state, stage.class)
    leaveProgram(state, stage.plan.program)
  }
}

export function applyJobRerun(state: State, record: RecordOf<'JobRerun'>): void {
  const job = state.jobs.byId.get(record.job)
  if (!job?.flow || job.finishedAtMs === 0) throw new Error(`${record.job} is no workflow that has ended`)
  changeEnd(state, job, () => {
    job.finishedAtMs = 0
  })
  job.state = 'running'
  job.reason = ''
  state.jobs.finished.delete(job)
  for (const stage of job.stages) {
    if (record.program !== undefined) stage.plan = { ...stage.plan, program: record.program }
    const limited = limitsTasks(stage.policy)
    stage.class = classOf(state, stage.plan, limited)
    stage.class.stages++
    if (limited) joinKey(state, stage)
    useProgram(state, stage.plan.program)
  }
  // Whoever submitted it may be gone long since: it does not end with that client.
  job.plan = { ...job.plan, detached: true, stages: job.stages.slice(0, job.plan.stages.length).map(stage => stage.plan) }
  own(state, job)
  runAgain(state, job)
  goOn(state, job, record.rerun, record.steps)
}

export function applyResultsReleased(state: State, record: RecordOf<'ResultsReleased'>): void {
  const stage = stageOf(state, record.job, record.stage)
  for (const range of record.ranges) releaseResults(state, stage, range)
}

export function applyJobsForgotten(state: State, record: RecordOf<'JobsForgotten'>): void {
  for (const id of record.jobs) {
    const job = state.jobs.byId.get(id)
    if (!job) throw new Error(`no job ${id}`)
    for (const stage of job.stages) {
      forgetResults(state, stage)
      dropInputs(state, stage, { first: 0, count: stage.added })
    }
    forgetFlow(state, job)
    state.jobs.finished.delete(job)
    state.jobs.byId.delete(id)
  }
}

/** Puts the tasks whose pause is over back in line, and what else waited for this time has it. */
export function wakeDelayed(state: State): void {
  forgetMet(state)
  for (let next = state.delayed.nextKey; next !== undefined && next <= state.nowMs; next = state.delayed.nextKey) {
    const item = state.delayed.pop()!
    if ('key' in item) {
      wakeKey(state, item.key, item.atMs)
      continue
    }
    if ('deadline' in item) {
      noteDue(state, item.deadline)
      continue
    }
    if ('step' in item) {
      wakeStep(state, item.job, item.step)
      continue
    }
    const { stage, index, attempt, avoid } = item
    stage.delayedCount--
    unshiftReady(state, stage, { first: index, count: 1, attempt, avoid })
  }
}

// Owns the answer to "why does it wait?": the rule that holds it and its numbers. Follows the rules of placement in their order.
// Must not write anything.
import type { WhyView } from '../../protocol/index.ts'
import { stepOf } from '../flows/apply.ts'
import type { StepTable } from '../flows/state.ts'
import { undosDue } from '../flows/undo.ts'
import { type Job, type Stage, stageDone } from '../jobs/state.ts'
import { type Key, keyText, roomOf } from '../keys/state.ts'
import { fits, shortage } from '../membership/resources.ts'
import type { Worker } from '../membership/state.ts'
import type { Observed } from '../observed/observed.ts'
import { keptForOther } from '../placement/workers.ts'
import { isQueued } from '../queues/state.ts'
import type { State } from '../state.ts'
import { whyStep } from './flow.ts'
import { findDelayed, jobOf, viewTask } from './jobs.ts'
import { whySchedule } from './schedules.ts'

/** Steps of one workflow that are told of at once. */
const stepsMax = 20
/** Holders of a key that are told of. */
const holdersMax = 5

/** The largest of the workers that lack something for the stage, and what it lacks. */
function nearest(stage: Stage, workers: readonly Worker[], of: 'capacity' | 'free'): { worker: Worker; lacks: string } | undefined {
  let best: { worker: Worker; lacks: string } | undefined
  for (const worker of workers) {
    const lacks = shortage(stage.plan.resources, worker[of])
    if (lacks !== undefined && (!best || worker[of].cpuMillis > best.worker[of].cpuMillis)) best = { worker, lacks }
  }
  return best
}

/** What of the cluster as it is keeps every task of the stage from running, or the workers that could run it. */
function whyNowhere(state: State, observed: Observed, stage: Stage): Rule | Worker[] {
  const workers = [...state.membership.workers.values()]
  const connected = workers.filter(worker => observed.workers.has(worker.id))
  if (workers.length === 0) return { rule: 'no-workers', text: 'the cluster has no worker: start one with `cox up`' }
  if (connected.length === 0) return { rule: 'workers-silent', text: `none of the ${workers.length} workers is connected at the moment` }
  const large = connected.filter(worker => fits(stage.plan.resources, worker.capacity))
  if (large.length === 0) {
    const { worker, lacks } = nearest(stage, connected, 'capacity')!
    return { rule: 'resources-too-large', text: `${lacks} on ${worker.id}, the largest worker: it can never run here as it is` }
  }
  const staying = large.filter(worker => !worker.draining)
  return staying.length > 0 ? staying : { rule: 'workers-draining', text: 'every worker that is large enough is draining' }
}

/** The pause before the next attempt of a task, or of all that is left of a stage. */
function whyPaused(state: State, stage: Stage, index: number | undefined): Rule | undefined {
  if (index !== undefined) {
    const delayed = findDelayed(state, stage, index)
    return delayed && { rule: 'retry-pause', text: `it failed and will be tried again in ${delayed.key - state.nowMs} ms` }
  }
  if (stage.readyCount > 0 || stage.delayedCount === 0) return undefined
  let nextMs = Number.POSITIVE_INFINITY
  for (const { key, item } of state.delayed) if ('stage' in item && item.stage === stage) nextMs = Math.min(nextMs, key)
  const text = `${stage.delayedCount} failed and will be tried again, the first in ${nextMs - state.nowMs} ms`
  return { rule: 'retry-pause', text }
}

/** Why none of the workers that could run the stage has room for it now. */
function whyBusy(state: State, observed: Observed, stage: Stage, workers: readonly Worker[]): Rule {
  const roomy = workers.filter(worker => fits(stage.plan.resources, worker.free))
  const open = roomy.filter(worker => !keptForOther(observed, stage.class, worker))
  const avoid = stage.ready.head?.avoid
  if (open.some(worker => worker.id !== avoid))
    return { rule: 'being-placed', text: `there is room on ${open[0]!.id}: it is handed out in the next turn` }
  if (open.length > 0)
    return { rule: 'avoids-worker', text: `there is room on ${avoid} only, where its last attempt died: it waits for another worker` }
  const full = nearest(stage, workers, 'free')
  const lacks = full ? `${full.lacks} free on ${full.worker.id}` : `there is room on ${roomy[0]!.id} only`
  if (roomy.length > 0)
    return { rule: 'kept-for-other', text: `the room on ${roomy[0]!.id} is kept for a task that needs more of it; elsewhere it ${lacks}` }
  const ahead = [...stage.class.waiting].filter(other => other.job.plan.priority > stage.job.plan.priority)
  if (ahead.length > 0) return { rule: 'priority', text: `${ahead.length} jobs of higher priority go first; ${lacks}` }
  return { rule: 'resources-busy', text: `${lacks}, the emptiest; ${state.tasks.lanes.size} lanes run` }
}

/** What of its key keeps a task from being handed out; undefined if that has room. */
function whyKey(state: State, key: Key): Rule | undefined {
  if (roomOf(key) > 0) return undefined
  const text = keyText(key)
  if (key.concurrency > 0 && key.holding >= key.concurrency)
    return { rule: 'key', text: `${text} is held by ${holdersOf(state, key).join(', ')}${key.holding > holdersMax ? ' and others' : ''}` }
  return { rule: 'rate', text: `${text} has room again in ${Math.max(0, key.wakeAtMs - state.nowMs)} ms` }
}

/** Some of the tasks that hold a key. */
function holdersOf(state: State, key: Key): string[] {
  const holders: string[] = []
  for (const lane of state.tasks.lanes.values()) {
    for (const { stage, first } of lane.runs) {
      if (stage.key === key) holders.push(`${stage.job.plan.job}/${stage.number}/${first} on ${lane.worker.id}`)
      if (holders.length === holdersMax) return holders
    }
  }
  for (const { flow, stages, plan } of state.jobs.byId.values()) {
    for (const step of flow?.holding ?? []) {
      if (stages[flow!.stage(step)]!.key === key) holders.push(`step ${step} of ${plan.job}`)
      if (holders.length === holdersMax) return holders
    }
  }
  return holders
}

/** Why a job as a whole waits: others have its key. */
function whyQueued(job: Job): Rule | undefined {
  const queue = job.run?.queue
  if (!queue || !isQueued(job)) return undefined
  const { key, concurrency, running, line } = queue
  let before = 0
  for (const other of line.items()) {
    if (other === job) break
    before++
  }
  const holders = [...running].slice(0, holdersMax).map(one => one.plan.job)
  const held = `${holders.join(', ')}${running.size > holdersMax ? ' and others' : ''}`
  return { rule: 'queued', text: `waits for the key ${key} (${concurrency} runs at once): held by ${held}; ${before} are before it` }
}

interface Rule {
  rule: string
  text: string
}

function whyStage(state: State, observed: Observed, stage: Stage, index: number | undefined): Rule {
  const queued = whyQueued(stage.job)
  if (queued) return queued
  const step = index !== undefined && stage.job.flow ? stepOf(stage, index) : undefined
  const held = step !== undefined && stage.job.flow!.status(step) === 'waiting' ? whyStep(stage.job, stage.job.flow!, step) : undefined
  if (held) return held
  const { job } = stage
  if (job.paused) return { rule: 'paused', text: `its job is paused: cox resume ${job.plan.job}` }
  if (stage.blockedBy > 0) {
    const producers = stage.plan.edges.filter(edge => !stageDone(stage.job.stages[edge.producer]!)).map(edge => edge.producer)
    return { rule: 'dependency', text: `waits for stage ${producers.join(', ')} of the same job` }
  }
  const paused = whyPaused(state, stage, index)
  if (paused) return paused
  const key = stage.key && whyKey(state, stage.key)
  if (key) return key
  const workers = whyNowhere(state, observed, stage)
  if (!Array.isArray(workers)) return workers
  return whyBusy(state, observed, stage, workers)
}

/** Why a job or a task (`job`, `job/index`, `job/stage/index`) waits, one answer per stage that does; or what a schedule waits for. Throws NOT_FOUND. */
export function why(state: State, observed: Observed, id: string): WhyView[] {
  const task = parseTask(state, id)
  if (task) {
    const view = viewTask(state, task.job, task.stage, task.index)
    const stage = jobOf(state, task.job).stages[task.stage]!
    if (view.state === 'waiting') return [{ id, ...whyStage(state, observed, stage, task.index) }]
    return [{ id, rule: view.state, text: `does not wait: it is ${view.state}${view.worker ? ` on ${view.worker}` : ''}` }]
  }
  const schedule = state.jobs.byId.has(id) ? undefined : state.schedules.byName.get(id)
  if (schedule) return [whySchedule(schedule)]
  const job = jobOf(state, id)
  if (job.state !== 'running')
    return [{ id, rule: job.state, text: `does not wait: it has ${job.state === 'cancelled' ? 'been cancelled' : job.state}` }]
  const queued = whyQueued(job)
  if (queued) return [{ id, ...queued }]
  const steps = job.flow ? whySteps(job, job.flow) : []
  const cancelling = job.flow && job.cancelling ? [whyCancelling(job, job.flow)] : []
  const waiting = job.stages.filter(stage => stage.readyCount + stage.delayedCount > 0)
  const held = waiting.map(stage => {
    const name = job.stages.length === 1 ? id : `${id}/${stage.number}`
    return { id: name, ...whyStage(state, observed, stage, undefined) }
  })
  if (job.paused) {
    const running = job.stages.reduce((sum, stage) => sum + stage.runningCount, 0)
    const text = `is paused: nothing more of it begins, and ${running} of its tasks run on: cox resume ${id}`
    return [{ id, rule: 'paused', text }, ...cancelling, ...steps]
  }
  const reasons = [...cancelling, ...held, ...steps]
  if (reasons.length > 0) return reasons
  if (job.stages.some(stage => stage.runningCount > 0)) return [{ id, rule: 'running', text: 'does not wait: all its tasks are running' }]
  return [{ id, rule: 'inputs', text: 'all tasks so far are done; its client has not sent the rest yet' }]
}

/** That a workflow is being cancelled, and what keeps it from its end. */
function whyCancelling(job: Job, flow: StepTable): WhyView {
  const { plan, reason } = job
  const due = undosDue(job, flow)
  const text = `is being cancelled (${reason}): it ends when what runs has stopped, and ${due} compensation${due === 1 ? ' has' : 's have'} run; another cox cancel ends it at once`
  return { id: plan.job, rule: 'cancelling', text }
}

/** Why steps of a workflow wait, as many as people read. */
function whySteps(job: Job, flow: StepTable): WhyView[] {
  const views: WhyView[] = []
  for (let step = 0; step < flow.count && views.length < stepsMax; step++) {
    const held = flow.settled(step) ? undefined : whyStep(job, flow, step)
    if (held) views.push({ id: `${job.plan.job} step ${step}`, ...held })
  }
  return views
}

/** Reads `job/index` or `job/stage/index`; undefined if the text names no task of a known job. */
function parseTask(state: State, id: string): { job: string; stage: number; index: number } | undefined {
  const [job, ...rest] = id.split('/')
  const numbers = rest.map(Number)
  if (!state.jobs.byId.has(job!) || numbers.length === 0 || numbers.length > 2) return undefined
  if (numbers.some(number => !Number.isSafeInteger(number) || number < 0)) return undefined
  return { job: job!, stage: numbers.length === 2 ? numbers[0]! : 0, index: numbers[numbers.length - 1]! }
}

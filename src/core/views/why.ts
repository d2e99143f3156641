// Owns the answer to "why does it wait?": the rule that holds it and its numbers. Follows the rules of placement in their order.
// Must not write anything.
import { taskText, type WhyView } from '../../protocol/index.ts'
import type { Stage } from '../jobs/state.ts'
import { fits, shortage } from '../membership/resources.ts'
import type { Worker } from '../membership/state.ts'
import type { Observed } from '../observed/observed.ts'
import type { State } from '../state.ts'
import { jobOf, viewTask } from './jobs.ts'

/** The worker of which the stage asks least beyond what it has. */
function nearest(stage: Stage, workers: readonly Worker[], of: 'capacity' | 'free'): { worker: Worker; lacks: string } | undefined {
  let best: { worker: Worker; lacks: string } | undefined
  for (const worker of workers) {
    const lacks = shortage(stage.plan.resources, worker[of])
    if (lacks !== undefined && (!best || worker[of].cpuMillis > best.worker[of].cpuMillis)) best = { worker, lacks }
  }
  return best
}

function whyStage(state: State, observed: Observed, stage: Stage, id: string): WhyView {
  const workers = [...state.membership.workers.values()]
  const usable = workers.filter(worker => observed.workers.has(worker.id))
  if (stage.blockedBy > 0) {
    const producers = stage.plan.edges.filter(edge => !isComplete(stage.job.stages[edge.producer]!)).map(edge => edge.producer)
    return { id, rule: 'dependency', text: `waits for stage ${producers.join(', ')} of the same job` }
  }
  if (usable.length === 0) {
    return workers.length === 0
      ? { id, rule: 'no-workers', text: 'the cluster has no worker: start one with `cox up`' }
      : { id, rule: 'workers-silent', text: `none of the ${workers.length} workers is connected at the moment` }
  }
  if (!usable.some(worker => fits(stage.plan.resources, worker.capacity))) {
    const { worker, lacks } = nearest(stage, usable, 'capacity')!
    return { id, rule: 'resources-too-large', text: `${lacks} on ${worker.id}, the largest worker: it can never run here as it is` }
  }
  const undrained = usable.filter(worker => !worker.draining && fits(stage.plan.resources, worker.capacity))
  if (undrained.length === 0) return { id, rule: 'workers-draining', text: 'every worker that is large enough is draining' }
  if (stage.readyCount === 0 && stage.delayedCount > 0) {
    const next = Math.min(...[...state.delayed].filter(({ item }) => item.stage === stage).map(({ key }) => key))
    return {
      id,
      rule: 'retry-pause',
      text: `${stage.delayedCount} failed and will be tried again, the first in ${Math.max(0, next - state.nowMs)} ms`,
    }
  }
  const room = undrained.find(worker => fits(stage.plan.resources, worker.free))
  if (room) return { id, rule: 'being-placed', text: `there is room on ${room.id}: it is handed out in the next turn` }
  const full = nearest(stage, undrained, 'free')
  const ahead = [...stage.class.waiting].filter(other => other.job.plan.priority > stage.job.plan.priority)
  if (ahead.length > 0)
    return { id, rule: 'priority', text: `${ahead.length} jobs of higher priority go first; ${full?.lacks ?? 'no room'} free now` }
  return {
    id,
    rule: 'resources-busy',
    text: `${full?.lacks ?? 'asks for more than is free'} free on ${full?.worker.id ?? 'any worker'}, the emptiest; ${state.tasks.lanes.size} lanes run`,
  }
}

function isComplete(stage: Stage): boolean {
  return stage.sealed && stage.succeeded + stage.failed + stage.cancelled === stage.added
}

/** Why a job or a task (`job`, `job/index`, `job/stage/index`) waits; one answer per stage that does. Throws NOT_FOUND. */
export function why(state: State, observed: Observed, id: string): WhyView[] {
  const task = parseTask(state, id)
  if (task) {
    const view = viewTask(state, task.job, task.stage, task.index)
    const stage = jobOf(state, task.job).stages[task.stage]!
    if (view.state === 'waiting') return [whyStage(state, observed, stage, id)]
    return [{ id, rule: view.state, text: `does not wait: it is ${view.state}${view.worker ? ` on ${view.worker}` : ''}` }]
  }
  const job = jobOf(state, id)
  if (job.state !== 'running')
    return [{ id, rule: job.state, text: `does not wait: it has ${job.state === 'cancelled' ? 'been cancelled' : job.state}` }]
  const waiting = job.stages.filter(stage => stage.readyCount + stage.delayedCount > 0)
  if (waiting.length > 0)
    return waiting.map(stage => whyStage(state, observed, stage, job.stages.length === 1 ? id : `${id}/${stage.number}`))
  if (job.stages.some(stage => stage.runningCount > 0)) return [{ id, rule: 'running', text: 'does not wait: all its tasks are running' }]
  return [{ id, rule: 'inputs', text: 'all tasks so far are done; its client has not sent the rest yet' }]
}

/** Reads `job/index` or `job/stage/index`; undefined if the text names no task of a known job. */
export function parseTask(state: State, id: string): { job: string; stage: number; index: number; text: string } | undefined {
  const parts = id.split('/')
  const numbers = parts.slice(1).map(Number)
  const job = state.jobs.byId.get(parts[0]!)
  if (!job || numbers.length === 0 || numbers.length > 2 || numbers.some(number => !Number.isSafeInteger(number) || number < 0))
    return undefined
  const stage = numbers.length === 2 ? numbers[0]! : 0
  const index = numbers[numbers.length - 1]!
  return { job: parts[0]!, stage, index, text: taskText(parts[0]!, stage, index, job.stages.length) }
}

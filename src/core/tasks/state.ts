// Owns scheduling classes and lanes: who runs what, in which order. Must not hold how loaded anyone is.
//
// A lane is a reservation of one class's resources on one worker, in which tasks run one after the other. It opens with its first
// TasksAssigned and closes, releasing the reservation, when the last of its tasks has an outcome or is returned.
import type { LaneId, StagePlan } from '../../protocol/index.ts'
import type { Stage } from '../jobs/state.ts'
import type { KeyGroup } from '../keys/state.ts'
import type { Worker } from '../membership/state.ts'
import { PriorityLine } from '../priority-line.ts'

/** A stage, or those of one priority that wait for the same key. */
type Waiting = Stage | KeyGroup

/** Stages in the order in which they are served: by priority, within one job by job in turn, however many stages a job has. Keys that jobs share have turns of their own. */
export class WaitingStages extends PriorityLine<Waiting> {
  *[Symbol.iterator](): Generator<Stage> {
    for (const waiting of this.items()) {
      if ('stages' in waiting) yield* waiting.stages
      else yield waiting
    }
  }
}

/** Tasks that may share a lane: same program, definition, resources and timeout. */
export interface SchedulingClass {
  key: string
  /** Its tasks have keys: how many run at once, or begin in a time, is limited. */
  limited: boolean
  /** The plan of its first stage, for what all of them share. */
  plan: StagePlan
  /** Stages of it that have ready tasks. */
  waiting: WaitingStages
  readyCount: number
  /** How many lanes are open for it. */
  lanes: number
  /** Stages of unfinished jobs; the class is forgotten when there are none and no lanes. */
  stages: number
}

/** Tasks in a row of one stage in a lane. */
export interface LaneRun {
  stage: Stage
  first: number
  count: number
  attempt: number
}

export interface Lane {
  id: LaneId
  worker: Worker
  class: SchedulingClass
  /** Unfinished runs, the head first; the head shrinks from its front as outcomes come. */
  runs: LaneRun[]
  /** Tasks ever assigned to it, and of these those with an outcome: the numbers by which leader and agent account. */
  assigned: number
  done: number
  /** It gave tasks back and will get no more. */
  closing: boolean
  /** Its worker runs nothing of it any more, and its reservation has ended: only outcomes are still to come. */
  vacated: boolean
}

export interface Tasks {
  classes: Map<string, SchedulingClass>
  lanes: Map<LaneId, Lane>
  /** Lanes opened in this epoch. */
  nextLane: number
  /** Derived: classes that have ready tasks. */
  waiting: Set<SchedulingClass>
}

export function createTasks(): Tasks {
  return { classes: new Map(), lanes: new Map(), nextLane: 1, waiting: new Set() }
}

/** What makes two stages share a class. */
export function classKey(plan: StagePlan, limited: boolean): string {
  const named = plan.resources.named.map(one => `${one.name}=${one.millis}`).sort()
  const { cpuMillis, memoryBytes, gpuMillis } = plan.resources
  return JSON.stringify([
    plan.program,
    plan.task,
    cpuMillis,
    memoryBytes,
    gpuMillis,
    named,
    plan.timeoutMs,
    ...(limited ? ['limited'] : []),
  ])
}

/** Tasks of a lane without an outcome. */
export function outstanding(lane: Lane): number {
  return lane.assigned - lane.done
}

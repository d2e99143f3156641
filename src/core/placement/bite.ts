// Owns how much work is handed to a lane at once, and which tasks: so that a lane never runs dry and nobody hoards.
// Must not write state.
import type { Run } from '../../protocol/index.ts'
import type { Stage } from '../jobs/state.ts'
import type { CoreLimits } from '../limits.ts'
import type { Observed } from '../observed/observed.ts'
import type { SchedulingClass } from '../tasks/state.ts'

/** Work that is too small to be worth spreading over more lanes. */
const smallestBiteMicros = 500

/** Tasks that a lane of the class should have ahead: one as long as nothing is known, then `laneAheadMs` worth of them. */
export function tasksAhead(observed: Observed, schedulingClass: SchedulingClass, limits: CoreLimits): number {
  const micros = observed.taskMicros.get(schedulingClass.key)
  // What stands in line in a lane holds its key, and would begin at another time than it was handed out.
  if (micros === undefined || schedulingClass.limited) return 1
  return Math.max(1, Math.min(limits.laneTasksMax, Math.floor((limits.laneAheadMs * 1000) / micros)))
}

/** Tasks for a new lane, when `lanes` lanes could share what waits. */
export function firstBite(observed: Observed, schedulingClass: SchedulingClass, lanes: number, limits: CoreLimits): number {
  const micros = observed.taskMicros.get(schedulingClass.key)
  if (micros === undefined || schedulingClass.limited) return 1
  const share = Math.ceil(schedulingClass.readyCount / Math.max(1, lanes))
  return Math.min(tasksAhead(observed, schedulingClass, limits), Math.max(share, Math.ceil(smallestBiteMicros / micros)))
}

function bytesPerTask(stage: Stage, task: number): number {
  const segment = stage.inputs.find(task)
  return segment ? segment.bytes / segment.count : 0
}

/** Up to `tasksMax` ready tasks of the class for this worker, within the bytes of one assignment; always at least one if any may run there. */
export function takeBite(
  schedulingClass: SchedulingClass,
  tasksMax: number,
  worker: string,
  othersCan: boolean,
  limits: CoreLimits,
): Run[] {
  const runs: Run[] = []
  let tasks = Math.min(tasksMax, limits.assignTasksMax)
  let bytes = limits.assignBytesMax
  for (const stage of schedulingClass.waiting) {
    for (const ready of stage.ready) {
      // A task goes back to where it died last only if nobody else can take it.
      if (ready.avoid === worker && othersCan) continue
      const each = bytesPerTask(stage, ready.first)
      const affordable = each === 0 ? ready.count : Math.floor(bytes / each)
      const count = Math.min(ready.count, tasks, runs.length === 0 ? Math.max(1, affordable) : affordable)
      if (count === 0) return runs
      runs.push({ job: stage.job.plan.job, stage: stage.number, first: ready.first, count, attempt: ready.attempt })
      tasks -= count
      bytes -= count * each
      if (tasks === 0 || count < ready.count) return runs
    }
  }
  return runs
}

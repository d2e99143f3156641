// Owns making and forgetting scheduling classes. Must not look at their tasks.
import type { StagePlan } from '../../protocol/index.ts'
import type { State } from '../state.ts'
import { classKey, type SchedulingClass, WaitingStages } from './state.ts'

/** The class of a stage, made where there is none. */
export function classOf(state: State, plan: StagePlan, limited: boolean): SchedulingClass {
  const key = classKey(plan, limited)
  let found = state.tasks.classes.get(key)
  if (!found) {
    found = { key, limited, plan, waiting: new WaitingStages(), readyCount: 0, lanes: 0, stages: 0 }
    state.tasks.classes.set(key, found)
  }
  return found
}

/** Forgets a class that no unfinished stage and no lane belongs to. */
export function forgetClassIfUnused(state: State, schedulingClass: SchedulingClass): void {
  if (schedulingClass.stages > 0 || schedulingClass.lanes > 0) return
  state.tasks.classes.delete(schedulingClass.key)
  state.tasks.waiting.delete(schedulingClass)
}

// Owns `trigger()`: what its definition is, its types, and what is wrong with one at the earliest moment.
// Must not send anything.
import { CoxswainError, eventKeyFlaw, eventNameFlaw, limits } from '../protocol/index.ts'
import type { TaskOf } from './define.ts'
import type { WorkflowOf } from './flow/workflow.ts'
import { startFlaw } from './starts.ts'

/** An event, as it is the input of what it starts. */
export interface ReceivedEvent<Payload = unknown> {
  event: string
  /** Missing where it was sent without one. */
  key?: string
  /** By which it counts once. */
  id: string
  payload: Payload
}

/** What can be said about a trigger. */
export interface TriggerOptions<Payload> {
  /** Its name within the cluster. Each run is the job `name@id`, by the id of the event. */
  name: string
  /** The event that starts it. */
  event: string
  /** Only events of this key. Default: those of every key, and those without one. */
  key?: string
  /** What is run for each event, */
  workflow?: WorkflowOf<ReceivedEvent<Payload>, unknown>
  /** or a single task. */
  task?: TaskOf<ReceivedEvent<Payload>, unknown>
  /** Labels of each run, besides `trigger:NAME`. */
  labels?: readonly string[]
  priority?: number
}

/** A trigger: what is run, and at which event. Give it to `cluster.on`. */
export interface Trigger<Payload> extends TriggerOptions<Payload> {
  readonly kind: 'trigger'
}

/**
 * Defines a trigger.
 *
 * ```ts
 * export const onOrder = trigger({ name: 'on-order', event: 'order.placed', workflow: fulfil })
 * await cluster.on(onOrder)
 * await cluster.emit('order.placed', { order: 'o-1' }, { id: 'webhook-17' })   // fulfil gets { event, id, payload: { order: 'o-1' } }
 * ```
 * Throws INVALID_TRIGGER for a name, event or key that cannot be, and where there is nothing to run.
 */
export function trigger<Payload>(options: TriggerOptions<Payload>): Trigger<Payload> {
  const { name, event, key } = options
  const flaw = startFlaw(options, limits.triggerNameBytesMax) ?? eventNameFlaw(event) ?? (key === undefined ? undefined : eventKeyFlaw(key))
  if (flaw !== undefined) throw new CoxswainError('INVALID_TRIGGER', `Trigger ${String(name)}: ${flaw}.`, { id: String(name) })
  return { ...options, kind: 'trigger' }
}

// Owns the bytes of triggers, of who listens, and of events that came, in a snapshot. Must not hold derived things.
import { boolean, bytes, type Infer, limits, list, string, struct, triggerSpec, varint } from '../../protocol/index.ts'
import type { State } from '../state.ts'
import { addTrigger } from './apply.ts'
import { listen } from './state.ts'

const countMax = 2 ** 31
const name = string(4096)

export const eventsState = struct({
  triggers: list(
    struct({
      spec: triggerSpec,
      submission: bytes(limits.triggerBytesMax),
      paused: boolean,
      started: varint,
      lastJob: name,
      lastAtMs: varint,
    }),
    countMax,
  ),
  /** In the order in which they began to listen. */
  listeners: list(struct({ name, steps: list(struct({ job: name, step: varint }), countMax) }), countMax),
  /** The oldest first. */
  seen: list(struct({ name, atMs: varint, started: varint, woken: varint }), countMax),
  /** Payloads that more than one fact names, and how many do. */
  shared: list(struct({ payload: varint, uses: varint }), countMax),
})

export function eventsValue({ events, payloadUses }: State): Infer<typeof eventsState> {
  return {
    triggers: [...events.byName.values()],
    listeners: [...events.listeners].map(([name, set]) => ({
      name,
      steps: [...set].map(({ job, step }) => ({ job: job.plan.job, step })),
    })),
    seen: [...events.seen].map(([name, one]) => ({ name, ...one })),
    shared: [...payloadUses].map(([payload, uses]) => ({ payload, uses })),
  }
}

/** The jobs must be there already. */
export function restoreEvents(state: State, value: Infer<typeof eventsState>): void {
  const { events } = state
  for (const trigger of value.triggers) addTrigger(state, { ...trigger, submission: Uint8Array.from(trigger.submission) })
  for (const { name, steps } of value.listeners) {
    for (const { job: id, step } of steps) {
      const job = state.jobs.byId.get(id)!
      const listener = { job, step }
      job.flow!.listening.set(step, listener)
      listen(events.listeners, name, listener)
    }
  }
  for (const { name, ...one } of value.seen) events.seen.set(name, one)
  for (const { payload, uses } of value.shared) state.payloadUses.set(payload, uses)
}

// Owns the invariants of events: whoever listens can be found, and payloads that several facts name are counted right. For tests.
// Must not repair anything.
import { eventStepName } from '../../protocol/index.ts'
import type { State } from '../state.ts'

function assert(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(`invariant broken: ${what}`)
}

/** Throws if an invariant of events is broken. */
export function checkEvents(state: State): void {
  const { events, jobs } = state
  let listening = 0
  for (const { plan, flow } of jobs.byId.values()) {
    if (!flow) continue
    for (let step = 0; step < flow.count; step++) {
      const waits = flow.kind(step) === 'event' && !flow.settled(step) && !flow.values.has(step)
      const listener = flow.listening.get(step)
      assert(
        waits === (listener !== undefined),
        `step ${step} of ${plan.job} ${waits ? 'waits for an event and does not listen' : 'listens in vain'}`,
      )
      if (!listener) continue
      listening++
      assert(events.listeners.get(flow.name(step))?.has(listener) === true, `step ${step} of ${plan.job} listens where nobody finds it`)
    }
  }
  for (const [name, set] of events.listeners) {
    assert(set.size > 0, `nobody listens for ${name}, and that is remembered`)
    listening -= set.size
  }
  assert(listening === 0, 'those that listen for events do not add up')
  for (const one of events.byName.values())
    assert(
      events.byEvent.get(eventStepName(one.spec.event, one.spec.key))?.has(one) === true,
      `trigger ${one.spec.trigger} is not found by its event`,
    )
  checkShared(state)
}

function checkShared({ jobs, payloadUses }: State): void {
  const uses = new Map<number, number>()
  const named = (payload: number): void => void uses.set(payload, (uses.get(payload) ?? 0) + 1)
  for (const { stages, flow } of jobs.byId.values()) {
    for (const stage of stages) for (const { payload } of [...stage.inputs, ...stage.results]) named(payload)
    for (const { payload } of flow?.values.values() ?? []) named(payload)
  }
  for (const [payload, count] of uses)
    assert((payloadUses.get(payload) ?? 1) === count, `payload ${payload} is named ${count} times, which is not what is counted`)
  for (const payload of payloadUses.keys()) assert((uses.get(payload) ?? 0) > 1, `payload ${payload} is not shared any more`)
}

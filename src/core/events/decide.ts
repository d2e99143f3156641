// Owns what follows when a trigger is made or changed, and when an event is sent. Must not write state.
import {
  CoxswainError,
  decodeStored,
  eventIdFlaw,
  eventInput,
  eventKeyFlaw,
  eventNameFlaw,
  eventStepName,
  type JournalRecord,
  OverloadedError,
  type TriggerSpec,
  limits as wire,
} from '../../protocol/index.ts'
import { answer, type CommandOf, type Decision, refuse, type Submission } from '../commands.ts'
import { checkedCount } from '../items.ts'
import { decideSubmitJob, overload } from '../jobs/decide.ts'
import type { CoreLimits } from '../limits.ts'
import type { State } from '../state.ts'
import { heardBy, seenName } from './state.ts'

const retryAfterMs = 100
/** Triggers of one event, and of one event with one key. */
const perEventMax = wire.triggersPerEventMax / 2

/** A run of a trigger: what was stored when it was made, with its name and its input. */
function runOf(trigger: string, bytes: Uint8Array, id: string, input: Uint8Array): Submission {
  const { plan, ...rest } = decodeStored(bytes)
  const inputs = [{ stage: 0, first: 0, items: input, blocks: [], seal: false }]
  return { ...rest, plan: { ...plan, job: `${trigger}@${id}` }, inputs }
}

/** What is wrong with a trigger, or undefined. The SDK never sends such a one; other clients may. */
function triggerFlaw(spec: TriggerSpec, { plan, flow }: Submission): string | undefined {
  const steps = [...(flow?.steps ?? [])]
  const [first] = steps
  const flaw = eventNameFlaw(spec.event) ?? (spec.key === '' ? undefined : eventKeyFlaw(spec.key))
  if (flaw !== undefined) return flaw
  if (spec.trigger === '' || Buffer.byteLength(spec.trigger) > wire.triggerNameBytesMax) return 'its name is empty or too long'
  if (first?.kind !== 'event' || first.name !== eventStepName(spec.event, spec.key)) return 'its runs do not begin with its event'
  return steps.filter(step => step.kind === 'event').length > 1 || plan.stages.length !== 1 ? 'it runs more than one task' : undefined
}

/** Its runs are checked now as they will be when they are submitted. */
export function decideSetTrigger(state: State, command: CommandOf<'setTrigger'>, limits: CoreLimits): Decision {
  const { spec, submission: bytes, replace } = command
  const { trigger: name } = spec
  const { byName, byEvent } = state.events
  const known = byName.get(name)
  if (known?.spec.contentHash === spec.contentHash) return answer({ kind: 'done' })
  if (known && !replace)
    return refuse(new CoxswainError('TRIGGER_CHANGED', `There is a trigger ${name} already, and it asks for something else.`, { id: name }))
  const over = (what: string): Decision => refuse(new OverloadedError(`The cluster holds its limit of ${what}.`, { retryAfterMs }))
  if (!known && byName.size >= limits.triggersMax) return over(`${limits.triggersMax} triggers`)
  const listensFor = eventStepName(spec.event, spec.key)
  const others = [...(byEvent.get(listensFor) ?? [])].filter(one => one !== known)
  if (others.length >= perEventMax) return over(`${perEventMax} triggers of the event ${listensFor}`)
  const run = runOf(name, bytes, 'check', eventInput(spec.event, spec.key, 'check'))
  const flaw = triggerFlaw(spec, run)
  if (flaw !== undefined) return refuse(new CoxswainError('INVALID_TRIGGER', `Trigger ${name}: ${flaw}.`, { id: name }))
  const tried = decideSubmitJob(state, { kind: 'submitJob', ...run }, limits)
  if (tried.reply.kind === 'refused' && tried.reply.error.code !== 'JOB_ID_REUSED') return tried
  return { records: [{ kind: 'TriggerSet', spec, submission: bytes }], payloads: [], reply: { kind: 'done' } }
}

export function decideChangeTrigger(state: State, { trigger: name, change }: CommandOf<'changeTrigger'>): Decision {
  const trigger = state.events.byName.get(name)
  if (!trigger) return refuse(new CoxswainError('NOT_FOUND', `There is no trigger ${name}.`, { id: name }))
  const paused = change === 'pause'
  if (change !== 'delete' && trigger.paused === paused) return answer({ kind: 'done' })
  const record: JournalRecord =
    change === 'delete' ? { kind: 'TriggerDeleted', trigger: name } : { kind: 'TriggerPaused', trigger: name, paused }
  return { records: [record], payloads: [], reply: { kind: 'done' } }
}

/** All that an event starts and wakes, or nothing of it. An event that came before is answered as it was then. */
export function decideEmit(state: State, command: CommandOf<'emit'>, limits: CoreLimits): Decision {
  const { event, key, id, items } = command
  const flaw = eventNameFlaw(event) ?? (key === '' ? undefined : eventKeyFlaw(key)) ?? eventIdFlaw(id)
  if (flaw !== undefined) return refuse(new CoxswainError('INVALID_ARGUMENT', `An event cannot be sent: ${flaw}.`, { id: event }))
  const known = state.events.seen.get(seenName(event, id))
  if (known) return answer({ kind: 'emitted', started: known.started, woken: known.woken })
  if (checkedCount(items) !== 1) throw new CoxswainError('FRAME_MALFORMED', 'An event has one value.')
  const woken = heardBy(state.events.listeners, event, key).length
  const decision = decideRuns(state, command, limits)
  if (decision.reply.kind === 'refused') return decision
  const started = decision.reply.kind === 'emitted' ? decision.started : []
  const received = woken + started.length > 0
  const payload = received ? state.nextPayload + decision.payloads.length : undefined
  if (payload !== undefined) decision.payloads.push({ payload, bytes: items })
  const bytes = received ? items.length : 0
  const forgotten = forgettable(state, limits)
  decision.records.push({ kind: 'EventEmitted', event, key, id, payload, bytes, started, forgotten })
  return { records: decision.records, payloads: decision.payloads, reply: { kind: 'emitted', started: started.length, woken } }
}

/** The runs that an event starts. Each gets the same bytes as its input, which are stored once. */
function decideRuns(state: State, { event, key, id }: CommandOf<'emit'>, limits: CoreLimits): Decision & { started: string[] } {
  const decision = { records: [] as JournalRecord[], payloads: [] as Decision['payloads'], started: [] as string[] }
  const done: Decision['reply'] = { kind: 'emitted', started: 0, woken: 0 }
  const triggers = heardBy(state.events.byEvent, event, key).filter(one => !one.paused)
  if (triggers.length === 0) return { ...decision, reply: done }
  const input = eventInput(event, key, id)
  const over = overload(state, triggers.length, triggers.length * input.length, triggers.length, limits)
  if (over) return { ...decision, reply: { kind: 'refused', error: over } }
  for (const { spec, submission: bytes } of triggers) {
    const run = decideSubmitJob(state, { kind: 'submitJob', ...runOf(spec.trigger, bytes, id, input) }, limits)
    // A job of its name that is there already, whoever submitted it, is that run.
    if (run.reply.kind === 'refused' && run.reply.error.code !== 'JOB_ID_REUSED') return { ...decision, reply: run.reply }
    if (run.reply.kind !== 'submitted' || run.reply.existing) continue
    decision.records.push(...run.records)
    decision.payloads = run.payloads
    decision.started.push(spec.trigger)
  }
  return { ...decision, reply: done }
}

/** How many of the ids that are remembered need not be any more, with one more to come. */
function forgettable({ events, nowMs }: State, limits: CoreLimits): number {
  let count = 0
  for (const { atMs } of events.seen.values()) {
    if (events.seen.size - count < limits.eventIdsMax && nowMs - atMs <= limits.eventIdAgeMs) break
    count++
  }
  return count
}

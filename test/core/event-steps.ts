// Random steps about events, as those of random-steps.ts: triggers that come and go, and events that are sent, also twice.
import assert from 'node:assert/strict'
import { encodeStored } from '../../src/protocol/index.ts'
import { Steps } from '../fakes/flows.ts'
import { chunkOf, plan, program } from '../fakes/plans.ts'
import type { Harness } from './harness.ts'

/** What a trigger's runs are made of: a step that waits for the event, and one that gets what it brings. */
export function runOf(name: string, listensFor: string, task = 'started'): Uint8Array {
  const flow = new Steps()
  flow.add([['value', flow.add([], { kind: 'event', name: listensFor })]], { task, retries: 1 })
  return encodeStored({
    plan: plan(`${name}@event`, { stages: flow.stages }),
    inputs: [],
    flow: flow.plan,
    policies: [],
    run: undefined,
  })
}

export function setTrigger(cluster: Harness, a: number, b: number, c: number): void {
  const trigger = `on-${a % 4}`
  const key = a % 2 === 0 ? '' : `order-${b % 2}`
  const spec = { trigger, contentHash: String(b % 3).repeat(64), event: 'paid', key, name: 'started', programs: [program] }
  cluster.ask({ kind: 'setTrigger', spec, submission: runOf(trigger, key === '' ? 'paid' : `paid#${key}`), replace: c % 2 === 0 })
}

export function changeTrigger(cluster: Harness, a: number, b: number): void {
  const triggers = [...cluster.state.events.byName.keys()]
  const change = (['pause', 'resume', 'resume', 'delete'] as const)[b % 4]!
  if (triggers.length > 0) cluster.ask({ kind: 'changeTrigger', trigger: triggers[a % triggers.length]!, change })
}

export function emit(cluster: Harness, a: number, b: number, c: number): void {
  const event = a % 9 === 0 ? 'unheard' : 'paid'
  const command = { kind: 'emit' as const, event, key: b % 3 === 0 ? '' : `order-${b % 3}`, id: `e${c % 50}`, items: chunkOf(['payload']) }
  const reply = cluster.ask(command)
  if (reply.kind === 'refused') {
    assert.equal(reply.error.code, 'OVERLOADED')
    return
  }
  // Sent again, as after a lost answer: it counts once, and is answered as before.
  const records = cluster.records.length
  assert.deepEqual(cluster.ask(command), reply)
  assert.equal(cluster.records.length, records)
  cluster.settle()
}

/** All that waits for an event gets one, and no event starts anything. */
export function healEvents(cluster: Harness, round: number): void {
  for (const trigger of cluster.state.events.byName.keys()) cluster.ask({ kind: 'changeTrigger', trigger, change: 'delete' })
  for (const key of ['order-0', 'order-1'])
    cluster.ask({ kind: 'emit', event: 'paid', key, id: `healing-${round}-${key}`, items: chunkOf(['payload']) })
}

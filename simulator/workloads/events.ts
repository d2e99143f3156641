// Owns the workload of events: triggers and workflows that wait, and events that are sent until they are answered. What an event says is what the runs that
// it starts do, and what a step that it wakes must get.
// Must not leave a trigger behind.
import { type Cluster, type Emitted, trigger } from '../../src/client/index.ts'
import type { FlowStep } from '../../src/protocol/index.ts'
import { chunkOf } from '../../test/fakes/values.ts'
import type { Call } from '../history.ts'
import { type Fate, resultOf } from '../world/fates.ts'
import { simTask } from '../world/program.ts'
import { simStage } from '../world/steps.ts'
import { Jobs, planOf, submitPlan, untilEnded } from './life.ts'
import { Gone, type Tools, type WorkloadMaker } from './workload.ts'

const task = simTask({ retries: 3 })
type OnFate = Parameters<typeof trigger<Fate>>[0]

/** Steps that wait for the event of one key, or of any, and then do what they were told with what it brought. */
async function wait(tools: Tools, job: string, event: string, said: Fate): Promise<boolean> {
  const fate: Fate = { key: `${job}/gets`, ms: 1, expects: [resultOf(said.key)] }
  tools.expect({ job, fates: [fate], ends: 'succeeded', mayBeCancelled: true })
  const listensFor = tools.random.chance(0.5) ? event : `${event}#k`
  const before = tools.random.chance(0.5)
  const steps: FlowStep[] = [
    { kind: 'event', stage: 0, count: 0, name: listensFor, amount: 0, needs: [] },
    { kind: 'tasks', stage: 0, count: 1, name: '', amount: 0, needs: [{ kind: 'value', step: 0 }] },
  ]
  // Its turn comes later: the event is kept until then.
  if (before) steps.unshift({ kind: 'sleep', stage: 0, count: 0, name: '', amount: tools.random.whole(1, 400), needs: [] })
  if (before)
    for (const step of steps.slice(1))
      step.needs = [{ kind: step.kind === 'event' ? 'after' : 'value', step: step.kind === 'event' ? 0 : 1 }]
  const inputs = [{ stage: 0, first: 0, items: chunkOf([fate]), blocks: [], seal: false }]
  const plan = planOf(tools, job, 'waits', false, [simStage('waits')])
  return (await submitPlan(tools, plan, inputs, { steps, output: steps.length - 1 })) === true
}

/** Sends an event until it is answered. */
async function send(tools: Tools, event: string, id: string, said: Fate): Promise<Emitted> {
  for (;;) {
    const answer = await tools.excused(() => tools.cluster.emit(event, said, { key: 'k', id }))
    if (!(answer instanceof Gone)) return answer
    await tools.pause(100)
  }
}

/** A run that an answer told of is there, and ends as its event said. */
async function judge(tools: Tools, job: string, { key }: Fate): Promise<void> {
  await untilEnded(tools, job)
  const value = await tools.call('result', job, key, () => tools.cluster.job(job).result())
  if (value !== undefined && value !== resultOf(key)) tools.history.violate('S9', `${job} gave ${JSON.stringify(value)}`, tools.nowMs)
}

/** A trigger of an event that nobody sends is made and paused: nothing comes of it. */
async function unheard(tools: Tools, name: string, left: Set<string>): Promise<void> {
  left.add(name)
  const made = await tools.excused(() => on(tools.cluster, name, `unheard:${name}`, 0))
  if (!(made instanceof Gone)) await tools.excused(() => tools.cluster.trigger(name).pause(), ['NOT_FOUND'])
}

async function told(tools: Tools, name: string, left: Set<string>): Promise<void> {
  for (const one of left) if (!((await gone(tools, one)) instanceof Gone)) left.delete(one)
  const { random, history, cluster } = tools
  const event = `told:${name}`
  const triggers = Array.from({ length: random.whole(0, 2) }, (_, i) => `on-${i}-${name}`)
  let made = 0
  for (const [i, one] of triggers.entries()) {
    left.add(one)
    if (!((await tools.excused(() => on(cluster, one, event, i))) instanceof Gone)) made++
  }
  if (random.chance(0.3)) await unheard(tools, `paused-${name}`, left)
  const count = random.whole(1, 3)
  const said = Array.from({ length: count }, (_, i) => tools.fate({ key: `${name}/event-${i}`, ms: Math.ceil(random.exponential(20)) }))
  let waiting = 0
  for (let i = random.whole(0, 2); i > 0; i--) if (await wait(tools, `waits-${i}-${name}`, event, said[0]!)) waiting++
  for (const [i, fate] of said.entries()) {
    const id = `${name}.${i}`
    const jobs = triggers.map(one => `${one}@${id}`)
    const submits = jobs.map((job): Call => ({ node: tools.client.name, operation: 'submit', job, key: fate.key, startedMs: tools.nowMs }))
    history.calls.push(...submits)
    const answers = [await send(tools, event, id, fate)]
    if (random.chance(0.5)) answers.push(await send(tools, event, id, fate))
    for (const { started, woken } of answers) {
      if (started < made || (i === 0 && woken < waiting) || JSON.stringify(answers[0]) !== JSON.stringify({ started, woken }))
        history.violate('S4', `${event} ${id} was answered with ${JSON.stringify(answers)}: ${made} triggers, ${waiting} wait`, tools.nowMs)
    }
    history.probe('event sent')
    // Of a trigger that may not have been made, nobody knows whether it started anything.
    if (answers[0]!.started !== triggers.length) continue
    for (const submit of submits) Object.assign(submit, { endedMs: tools.nowMs, value: true })
    for (const job of jobs) await judge(tools, job, fate)
  }
  for (const one of triggers) if (!((await gone(tools, one)) instanceof Gone)) left.delete(one)
}

/** One of them is for all events of the name, the other for those of the key. */
function on(cluster: Cluster, name: string, event: string, i: number): Promise<unknown> {
  const options = { name, event, ...(i === 1 && { key: 'k' }), task } as unknown as OnFate
  return cluster.on(trigger<Fate>(options))
}

/** Deletes a trigger, of which nobody knows whether it was made. */
function gone(tools: Tools, name: string): Promise<unknown> {
  return tools.excused(async () => {
    try {
      await tools.cluster.trigger(name).delete()
    } catch (error) {
      if ((error as { code?: string }).code !== 'NOT_FOUND') throw error
    }
  })
}

export const events: WorkloadMaker = (name, random) => {
  /** Made in this life or an earlier one, and not yet deleted. */
  const left = new Set<string>()
  return new Jobs(name, random.whole(1, 4), 60, (tools, id) => told(tools, id, left))
}

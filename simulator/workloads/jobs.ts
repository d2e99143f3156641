// Owns the workloads of submitted jobs: that outlive their client, that are cancelled, that are submitted again.
// Must not lose count of what was asked: each job has its name before it is asked for.
import { CoxswainError } from '../../src/protocol/index.ts'
import type { Fate } from '../world/fates.ts'
import { simTask } from '../world/program.ts'
import { Jobs } from './life.ts'
import type { Tools, WorkloadMaker } from './workload.ts'

const plain = simTask({ retries: 0 })

function ask(tools: Tools, id: string, fate: Fate): Promise<boolean | undefined> {
  tools.expect({ job: id, fates: [fate], ends: 'succeeded', mayBeCancelled: false })
  return tools.call('submit', id, JSON.stringify(fate), async () => {
    await tools.cluster.submit(plain, fate, { id })
    return true
  })
}

/** Submits, and asks for the result, now or later. */
export const submits: WorkloadMaker = (name, random) =>
  new Jobs(name, random.whole(5, 25), 80, async (tools, id) => {
    const fate = { key: id, ms: Math.ceil(tools.random.exponential(60)) }
    await ask(tools, id, fate)
    if (tools.random.chance(0.4)) await tools.pause(tools.random.exponential(100))
    if (tools.random.chance(0.3)) await tools.call('status', id, '', async () => (await tools.cluster.job(id).status()).state)
    await tools.judge(id, fate, 0, () => tools.cluster.job(id).result())
    if (tools.random.chance(0.3)) await tools.call('status', id, '', async () => (await tools.cluster.job(id).status()).state)
  })

/** A call that its caller gives up after a while. */
async function abandon(tools: Tools, key: string): Promise<void> {
  const fate = tools.fate({ key, ms: Math.ceil(tools.random.exponential(80)), deaf: tools.random.chance(0.2) })
  const controller = new AbortController()
  const { signal } = controller
  const called = tools.call('run', '', key, () => tools.cluster.run(plain, fate, { signal }))
  await tools.pause(tools.random.exponential(60))
  controller.abort(new CoxswainError('TASK_CANCELLED', 'Its caller has gone.'))
  await called
}

async function cancelled(tools: Tools, id: string): Promise<void> {
  tools.mayBeCancelled(id)
  await tools.call('cancel', id, '', async () => {
    await tools.cluster.job(id).cancel()
    return true
  })
}

/** Cancels what it submitted: before, while or after it runs; gives up some calls. Some of it ends in no other way. */
export const cancels: WorkloadMaker = (name, random) => {
  /** Never end by themselves: cancelled in a later life, if this one ends before that. */
  const endless = new Set<string>()
  return new Jobs(name, random.whole(5, 20), 80, async (tools, id) => {
    for (const left of endless) {
      await cancelled(tools, left)
      endless.delete(left)
    }
    if (tools.random.chance(0.25)) return abandon(tools, id)
    const hangs = tools.random.chance(0.3)
    if (hangs) endless.add(id)
    await ask(tools, id, { key: id, ms: Math.ceil(tools.random.exponential(150)), deaf: tools.random.chance(0.3), ...(hangs && { hangs }) })
    await tools.pause(tools.random.exponential(hangs ? 300 : 80))
    const status = tools.call('status', id, '', async () => (await tools.cluster.job(id).status()).state)
    await Promise.all([cancelled(tools, id), status])
    endless.delete(id)
    await tools.call('status', id, '', async () => (await tools.cluster.job(id).status()).state)
  })
}

/** The same job again and again, at once and later, now and then with another content. */
export const resubmits: WorkloadMaker = (name, random) =>
  new Jobs(name, random.whole(3, 12), 80, async (tools, id) => {
    const fate = { key: id, ms: Math.ceil(tools.random.exponential(30)) }
    const other = { key: `${id}-other`, ms: 1 }
    tools.expect({ job: id, fates: [fate, other], ends: 'succeeded', mayBeCancelled: false })
    const times = tools.random.whole(2, 4)
    await Promise.all(Array.from({ length: times }, () => ask(tools, id, fate)))
    if (tools.random.chance(0.4)) {
      await tools.call('submit', id, JSON.stringify(other), async () => {
        await tools.cluster.submit(plain, other, { id })
        return true
      })
    }
    await ask(tools, id, fate)
  })

/** Tasks that write an entry with their result: all of them end once, some after failures, some of them cancelled meanwhile. */
export const commits: WorkloadMaker = (name, random) =>
  new Jobs(name, random.whole(4, 16), 60, async (tools, id) => {
    const { random: own } = tools
    const fate = { key: id, ms: Math.ceil(own.exponential(40)), commits: true, deaf: own.chance(0.3), fails: own.whole(0, 2) }
    tools.expect({ job: id, fates: [fate], ends: 'succeeded', mayBeCancelled: false })
    const retried = simTask({ retries: 3, backoff: { base: 20, max: 100 } })
    await tools.call('submit', id, JSON.stringify(fate), async () => {
      await tools.cluster.submit(retried, fate, { id })
      return true
    })
    await tools.pause(own.exponential(80))
    if (own.chance(0.4)) return cancelled(tools, id)
    await tools.judge(id, fate, 3, () => tools.cluster.job(id).result())
    tools.history.probe('result with an entry')
  })

// Owns the workloads of what clients share: entries of a space, locks that guard one, and permits of a semaphore.
// Must not trust an answer: each is written down for the search for an order, or held against what was seen before.
import type { LockGrant } from '../../src/client/index.ts'
import type { GrantSeen, SharedInput } from '../history.ts'
import { Jobs } from './life.ts'
import { Gone, type Tools, type WorkloadMaker } from './workload.ts'

type Read = Extract<SharedInput, { kind: 'read' }>
type Swap = Extract<SharedInput, { kind: 'swap' }>

const keys = ['a', 'b', 'c']

/** Reads, writes, and moves values between entries; each value is written once. */
async function register(tools: Tools, name: string): Promise<void> {
  const { random, cluster } = tools
  const space = cluster.state<string>('shared')
  const key = random.pick(keys)
  const other = random.pick(keys.filter(one => one !== key))
  const value = `${tools.client.name} ${name}`
  switch (random.whole(0, 4)) {
    case 0:
      return tools.share<Read>({ kind: 'read', key, value: undefined }, async input => {
        input.value = await space.get(key)
      })
    case 1:
      return tools.share({ kind: 'write', key, value }, async () => void (await space.set(key, value)))
    case 2:
      return tools.share({ kind: 'write', key, value: undefined }, () => space.delete(key))
    case 3: {
      const before = await tools.excused(() => space.entry(key))
      if (before instanceof Gone) return
      return tools.share({ kind: 'exchange', key, from: before?.value, value }, async () => {
        await space.set(key, value, { version: before?.version ?? 0 })
      })
    }
    default:
      return tools.share<Swap>({ kind: 'swap', key, other, first: undefined, second: undefined }, input =>
        cluster.transact(async tx => {
          const state = tx.state<string>('shared')
          input.first = await state.get(key)
          input.second = await state.get(other)
          if (input.second === undefined) state.delete(key)
          else state.set(key, input.second)
          if (input.first === undefined) state.delete(other)
          else state.set(other, input.first)
        }),
      )
  }
}

/** Up to three at once: some of them meet. */
export const registers: WorkloadMaker = (name, random) =>
  new Jobs(name, random.whole(3, 8), 60, async (tools, id) => {
    await Promise.all(Array.from({ length: tools.random.whole(1, 3) }, (_, at) => register(tools, `${id}.${at}`)))
  })

type Form = Pick<GrantSeen, 'lock' | 'mode' | 'permits'>

const forms: readonly Form[] = [
  { lock: 'lock-1', mode: 'write', permits: 0 },
  { lock: 'lock-2', mode: 'write', permits: 0 },
  { lock: 'lock-2', mode: 'read', permits: 0 },
  { lock: 'lock-2', mode: 'read', permits: 0 },
  { lock: 'pool', mode: 'permit', permits: 2 },
]

function ask({ cluster, random }: Tools, { lock, mode, permits }: Form): Promise<LockGrant> {
  const ttl = random.pick([1000, 1500])
  return mode === 'permit' ? cluster.semaphore(lock, { permits, ttl }) : cluster.lock(lock, { ttl, mode })
}

/** Writes its token into the entry that the lock guards. A lock that is another's by now must keep it from that. */
async function write(tools: Tools, grant: LockGrant, { mode, writes }: GrantSeen): Promise<void> {
  const { history, cluster } = tools
  const fromMs = tools.nowMs
  let late = false
  const done = await tools.excused(
    () =>
      cluster.transact(async tx => {
        const fence = tx.state<number>('fences')
        late = mode === 'write' && ((await fence.get(grant.name)) ?? 0) > grant.token
        tx.holds(grant)
        if (mode === 'write') fence.set(grant.name, grant.token)
        else fence.set(`${grant.name} ${grant.token}`, grant.token)
      }),
    ['LOCK_LOST'],
  )
  if (late || (done instanceof Gone && done.code === 'LOCK_LOST')) history.probe('lock was lost')
  if (!(done instanceof Gone)) writes.push({ fromMs, toMs: tools.nowMs })
  if (late && !(done instanceof Gone))
    history.violate('S13', `${grant.name} was written with token ${grant.token} behind a larger one`, tools.nowMs)
}

/** Holds a lock or a permit for a while, now and then for longer than it may, and writes under it. */
async function guarded(tools: Tools): Promise<void> {
  const { random, history } = tools
  const form = random.pick(forms)
  const askedMs = tools.nowMs
  const grant = await tools.excused(() => ask(tools, form))
  if (grant instanceof Gone) return
  const seen: GrantSeen = { ...form, id: grant.id, token: grant.token, askedMs, grantedMs: tools.nowMs, writes: [] }
  history.grants.push(seen)
  history.probe(`lock granted to ${form.mode}`)
  for (let left = random.whole(0, 3); left >= 0; left--) {
    if (!grant.lost) tools.believe(seen)
    await write(tools, grant, seen)
    await tools.pause(random.exponential(random.chance(0.25) ? 1500 : 60))
  }
  const fromMs = tools.nowMs
  const released = await tools.excused(() => grant.release(), ['LOCK_LOST'])
  if (released instanceof Gone) return
  seen.released = { fromMs, toMs: tools.nowMs }
  // Not its own any more: that is to be refused.
  if (random.chance(0.3)) await write(tools, grant, seen)
}

/** Up to three at once, so that some wait behind others in one line. */
export const locks: WorkloadMaker = (name, random) =>
  new Jobs(name, random.whole(2, 6), 60, async tools => {
    await Promise.all(Array.from({ length: tools.random.whole(1, 3) }, () => guarded(tools)))
  })

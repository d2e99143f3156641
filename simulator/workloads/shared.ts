// Owns the workloads of what clients share: entries of a space, and locks that guard one.
// Must not trust an answer: each is written down for the search for an order, or held against what was seen before.
import type { SharedInput } from '../history.ts'
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

export const registers: WorkloadMaker = (name, random) => new Jobs(name, random.whole(4, 14), 60, register)

/** Holds a lock for a while, and writes its token under it: nobody with an older one may write after that. */
async function guarded(tools: Tools): Promise<void> {
  const { random, cluster, history } = tools
  const name = `lock-${random.whole(1, 2)}`
  const grant = await tools.excused(() => cluster.lock(name, { ttl: random.pick([1000, 1500]) }))
  if (grant instanceof Gone) return
  history.probe('lock granted')
  for (let left = random.whole(0, 3); left >= 0; left--) {
    if (!grant.lost) tools.believe(name, grant.token)
    await tools.excused(
      () =>
        cluster.transact(async tx => {
          const fence = tx.state<number>('fences')
          const highest = (await fence.get(name)) ?? 0
          tx.holds(grant)
          fence.set(name, grant.token)
          // It is refused with LOCK_LOST, or it conflicts: else an older grant wrote behind a newer one.
          if (highest > grant.token) history.probe('lock was lost')
        }),
      ['LOCK_LOST'],
    )
    await tools.pause(random.exponential(random.chance(0.1) ? 1500 : 60))
  }
  await tools.excused(() => grant.release(), ['LOCK_LOST'])
}

export const locks: WorkloadMaker = (name, random) => new Jobs(name, random.whole(2, 8), 60, guarded)

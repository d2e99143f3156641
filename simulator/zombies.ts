// Owns zombies: leaders whose place was taken while they lived, and that go on. They are counted, and there are runs that have many of them.
// Must not judge what they do: S2, S8 and N1 do.
import type { History } from './history.ts'
import type { Boot } from './kernel/kernel.ts'
import { RandomStream } from './kernel/random.ts'
import { drawScenario, type Fault, type FaultKind, type Scenario } from './scenario.ts'
import type { ClusterStore } from './world/cluster-store.ts'

/** What runs count: went on after a pause in which another one claimed; went on as it was, unheard; and then asked its journal to write. */
export const zombieProbes = {
  resumed: 'zombie resumed after a pause',
  wentOn: 'zombie went on unheard',
  wrote: 'zombie asked to write',
} as const

/** Counts each process once, when the first event after the other one's claim reaches it: one that is killed before is none. */
export function countZombies(store: ClusterStore, history: History): void {
  const zombies = new Set<Boot>()
  store.deposed = boot => {
    const { paused } = boot.node
    boot.beforeNext = () => {
      zombies.add(boot)
      history.probe(paused ? zombieProbes.resumed : zombieProbes.wentOn)
    }
  }
  store.asked = boot => {
    if (zombies.delete(boot)) history.probe(zombieProbes.wrote)
  }
}

/** What keeps a leader from being heard; most are stopped, as by SIGSTOP. */
const silencers: readonly FaultKind[] = ['pause', 'pause', 'pause', 'pause', 'pause', 'pause', 'cut-out', 'cut-in', 'clog']
/** Between two of them: a standby takes over within it, mostly. */
const everyMs = 3000
const spreadMs = 500

/** A run in which leaders fall silent one after the other, for longer than the standbys wait, where nobody can be killed to fence. */
export function drawZombies(seed: number): Scenario {
  const drawn = drawScenario(seed)
  const random = new RandomStream(seed, 'zombies')
  const safetyMs = random.whole(10_000, 16_000)
  const faults: Fault[] = []
  for (let atMs = 1200; atMs < safetyMs; atMs += Math.round(everyMs + random.exponential(spreadMs))) {
    const forMs = Math.round(3200 + random.exponential(1000))
    faults.push({ atMs, kind: random.pick(silencers), target: 'leader', forMs, share: random.number() })
  }
  const classes = [...new Set(faults.map(one => one.kind))]
  return { ...drawn, candidates: random.whole(2, 4), locking: false, classes, faults, outsiders: [], safetyMs }
}

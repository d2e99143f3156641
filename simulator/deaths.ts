// Owns deaths at the worst moment: of the crashes that a scenario has, some come early, in the middle of a write.
// Must not bring about anything without a fault of the scenario, so that shrinking finds which one it was.
import type { Boot } from './kernel/kernel.ts'
import type { Fault, FaultKind } from './scenario.ts'
import type { World } from './world/world.ts'

/** A write that is under way: of the journal, of a snapshot, or of a file. */
export type Writing = 'journal' | 'snapshot' | 'file'

/** Such a crash waits for its write from this long before its time on. */
const earlyMs = 1500
const mortal: ReadonlySet<FaultKind> = new Set(['crash-candidate', 'crash-worker', 'power-loss'])

/** What the write must be; undefined: this crash is none of those. A crash's share means nothing else. */
function wanted({ kind, share }: Fault): Writing | undefined {
  if (kind === 'crash-worker') return share < 0.5 ? 'file' : undefined
  if (share < 0.25) return 'snapshot'
  return share < 0.6 ? 'journal' : undefined
}

/** Lets processes die while they write. */
export function armDeaths(world: World): void {
  const { kernel, scenario, history } = world
  const armed = new Set<Fault>()
  for (const fault of scenario.faults) {
    if (!mortal.has(fault.kind) || !wanted(fault)) continue
    kernel.at(undefined, fault.atMs - earlyMs, 'io', () => armed.add(fault))
    kernel.at(undefined, fault.atMs, 'io', () => armed.delete(fault))
  }
  const aimsAt = ({ kind, target }: Fault, name: string): boolean =>
    kind === 'power-loss' || target === name || (target === 'leader' && name.startsWith('c'))
  const writing = (what: Writing, boot: Boot, leftMs: number): void => {
    const { name } = boot.node
    const fault = [...armed].find(one => wanted(one) === what && aimsAt(one, name))
    if (!fault) return
    armed.delete(fault)
    kernel.at(undefined, kernel.stream('deaths').number() * leftMs, 'io', () => {
      if (!boot.alive) return
      history.probe(`death while it wrote its ${what}`)
      world.log({ atMs: kernel.nowMs, node: name, level: 'fault', event: 'death-while-writing', fields: { what } })
      const all = fault.kind === 'power-loss' ? [...world.candidates, ...world.workers].map(one => one.name) : [name]
      for (const one of all) world.kill(one, 'killed while it wrote')
    })
  }
  world.store.writing = (boot, snapshot, leftMs) => writing(snapshot ? 'snapshot' : 'journal', boot, leftMs)
  for (const { disk } of world.workers) disk.writing = (boot, leftMs) => writing('file', boot, leftMs)
}

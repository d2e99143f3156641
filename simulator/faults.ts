// Owns what goes wrong in a run, when the scenario says so, and how all of it is healed.
// Must not draw chances of its own but to carry out a fault.
import type { Fault, Outsider } from './scenario.ts'
import type { World } from './world/world.ts'

export class Faults {
  readonly #world: World
  #healed = false

  constructor(world: World) {
    this.#world = world
    for (const fault of world.scenario.faults) world.kernel.at(undefined, fault.atMs, 'io', () => this.#begin(fault))
  }

  #begin(fault: Fault): void {
    if (this.#healed) return
    const world = this.#world
    const { kind, share, forMs } = fault
    const name = fault.target === 'leader' ? (world.leader?.name ?? 'c1') : fault.target
    const target = world.find(name)
    world.kernel.note(`fault ${kind} ${name}`)
    world.log({ atMs: world.kernel.nowMs, node: name, level: 'fault', event: kind, fields: { forMs, share } })
    const until = (end: () => void): void => {
      world.kernel.at(undefined, forMs, 'io', () => {
        if (!this.#healed) end()
      })
    }
    const fired = (): void => world.history.probe(`fault ${kind}`)
    switch (kind) {
      case 'crash-candidate':
      case 'crash-worker':
      case 'crash-client':
        if (target?.alive) fired()
        world.downUntilMs.set(name, world.kernel.nowMs + forMs)
        world.kill(name, 'killed')
        return
      case 'power-loss':
        fired()
        for (const node of [...world.candidates, ...world.workers]) world.kill(node.name, 'power loss')
        return
      case 'pause':
        if (!target?.alive || target.sim.paused) return
        fired()
        world.kernel.pause(target.sim)
        return until(() => world.kernel.resume(target.sim))
      case 'reset':
        if (world.network.reset(name, () => world.kernel.stream('reset').chance(0.3 + share)) > 0) fired()
        return
      default:
        fired()
        this.#mood(fault, name, until)
    }
  }

  #mood(fault: Fault, name: string, until: (end: () => void) => void): void {
    const { network, store, executorMood } = this.#world
    const { kind } = fault
    if (kind === 'cut-in' || kind === 'cut-out' || kind === 'clog') {
      const directions = kind === 'cut-in' ? [`*>${name}`] : kind === 'cut-out' ? [`${name}>*`] : [`*>${name}`, `${name}>*`]
      for (const direction of directions) network.cut(direction)
      return until(() => {
        for (const direction of directions) network.mend(direction)
      })
    }
    if (kind === 'slow-network') {
      network.mood = { latencyMs: 0.2 + fault.share * 20, jitterMs: 0.3 + fault.share * 80 }
      return until(() => this.#calmNetwork())
    }
    if (store.suffer(fault, name)) return until(() => store.recover(fault, name))
    if (kind === 'executors-fail') {
      executorMood.startFails = fault.share * 0.5
      executorMood.dies = fault.share * 0.02
      return until(() => this.#calmExecutors())
    }
    this.#nodeMood(fault, name, until)
  }

  #nodeMood({ kind, share }: Fault, name: string, until: (end: () => void) => void): void {
    const world = this.#world
    const target = world.find(name)
    if (kind === 'stale-endpoint') {
      world.staleShare = share
      until(() => {
        world.staleShare = 0
      })
    } else if (kind === 'worker-disk-full' && target) {
      target.disk.full = true
      until(() => {
        target.disk.full = false
      })
    } else if (kind === 'clock-jump' && target) {
      target.sim.wallOffsetMs += (share - 0.5) * 7_200_000
    } else if (kind === 'drain') {
      const client = world.clients.find(one => one.cluster)
      const { boot } = client?.sim ?? {}
      if (client && boot) world.kernel.at(boot, 0, 'io', () => void client.cluster?.drainWorker(name).catch(() => undefined))
    } else if (kind === 'hand-over') world.leader?.stop('it hands over')
  }

  #calmNetwork(): void {
    this.#world.network.mood = { latencyMs: 0.2, jitterMs: 0.3 }
  }

  #calmExecutors(): void {
    Object.assign(this.#world.executorMood, { startFails: 0, dies: 0 })
  }

  /** The core is well again, and stays so; whoever is outside of it stays as bad as it is then, for ever. */
  heal(): void {
    const world = this.#world
    this.#healed = true
    world.kernel.note('heal')
    this.#calmNetwork()
    world.store.calm()
    this.#calmExecutors()
    world.staleShare = 0
    world.network.mendAll()
    world.downUntilMs.clear()
    for (const node of world.nodes) {
      node.disk.full = false
      world.kernel.resume(node.sim)
      if (!node.alive) world.kernel.at(undefined, 50, 'io', () => node.start())
    }
    for (const outsider of world.scenario.outsiders ?? []) this.#exclude(outsider)
  }

  #exclude({ node: name, how }: Outsider): void {
    const world = this.#world
    const node = world.find(name)
    // A shrunk scenario may have fewer nodes.
    if (!node) return
    world.history.probe(`outside ${how}`)
    if (how === 'dead') {
      world.downUntilMs.set(name, Number.POSITIVE_INFINITY)
      world.kernel.at(undefined, 60, 'io', () => world.kill(name, 'it stays dead'))
    } else if (how === 'paused') world.kernel.at(undefined, 60, 'io', () => world.kernel.pause(node.sim))
    else {
      if (how !== 'cut-out') world.network.cut(`*>${name}`)
      if (how !== 'cut-in') world.network.cut(`${name}>*`)
    }
  }
}

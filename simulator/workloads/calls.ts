// Owns the workloads of single calls: plain ones, retried ones, and ones that kill or hang.
// Must not end before each call was answered once.

import type { Fate } from '../world/fates.ts'
import { simTask } from '../world/program.ts'
import type { Tools, Workload, WorkloadMaker } from './workload.ts'

type Draw = (tools: Tools, key: string) => { fate: Fate; retries: number; timeout?: number }

/** Calls in rounds of a few at once; what a dead client had under way is not asked for again. */
class Calls implements Workload {
  readonly #name: string
  readonly #draw: Draw
  readonly #atOnceMax: number
  #left: number

  constructor(name: string, count: number, atOnceMax: number, draw: Draw) {
    this.#name = name
    this.#left = count
    this.#atOnceMax = atOnceMax
    this.#draw = draw
  }

  get done(): boolean {
    return this.#left === 0
  }

  async live(tools: Tools): Promise<void> {
    while (this.#left > 0) {
      const count = Math.min(this.#left, tools.random.whole(1, this.#atOnceMax))
      await Promise.all(Array.from({ length: count }, () => this.#one(tools)))
      this.#left -= count
      if (tools.random.chance(0.5)) await tools.pause(tools.random.exponential(150))
    }
  }

  async #one(tools: Tools): Promise<void> {
    const { fate, retries, timeout } = this.#draw(tools, `${this.#name}-${tools.mark()}`)
    tools.fate(fate)
    const task = simTask({
      retries,
      backoff: { base: 20, max: 100 },
      ...(timeout && { timeout }),
      ...(fate.ms < 3 && tools.random.chance(0.3) && { cpus: 0.25 }),
    })
    await tools.judge('', fate, retries, () => tools.cluster.run(task, fate))
  }
}

/** Short and long tasks that end well. */
export const runs: WorkloadMaker = (name, random) =>
  new Calls(name, random.whole(20, 120), 12, (tools, key) => {
    const ms = tools.random.chance(0.8) ? tools.random.exponential(3) : tools.random.exponential(120)
    return { fate: { key, ms: Math.ceil(ms * 100) / 100 }, retries: 0 }
  })

/** Tasks that fail a few times, some of them once too often. */
export const retries: WorkloadMaker = (name, random) =>
  new Calls(name, random.whole(5, 25), 4, (tools, key) => {
    const allowed = tools.random.whole(0, 3)
    return { fate: { key, ms: 2, fails: tools.random.whole(0, allowed + (tools.random.chance(0.2) ? 1 : 0)) }, retries: allowed }
  })

/** Tasks that kill their executor, end their process, or never end, among good ones. */
export const poison: WorkloadMaker = (name, random) =>
  new Calls(name, random.whole(4, 14), 3, (tools, key) => {
    const toss = tools.random.number()
    if (toss < 0.2) return { fate: { key, ms: 3, poison: true }, retries: 5 }
    if (toss < 0.3) return { fate: { key, ms: 3, exits: true }, retries: 0 }
    if (toss < 0.45) return { fate: { key, ms: 1, hangs: true, deaf: tools.random.chance(0.5) }, retries: 0, timeout: 300 }
    return { fate: { key, ms: tools.random.exponential(20) }, retries: 0 }
  })

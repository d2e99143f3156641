// Owns the workloads of many tasks: maps, and arrays of two stages.
// Must not leave a map without holding each result to its place.
import { ChunkWriter, type Inputs, itemInline, type JobPlan, type StagePlan, writeValue } from '../../src/protocol/index.ts'
import { type Fate, resultOf } from '../world/fates.ts'
import { program, simTask } from '../world/program.ts'
import type { Tools, Workload, WorkloadMaker } from './workload.ts'

/** Maps over many inputs, ordered or not; some are left early. */
class Maps implements Workload {
  readonly #name: string
  #left: number

  constructor(name: string, count: number) {
    this.#name = name
    this.#left = count
  }

  get done(): boolean {
    return this.#left === 0
  }

  async live(tools: Tools): Promise<void> {
    while (this.#left > 0) {
      await this.#one(tools, `${this.#name}-${tools.mark()}`)
      this.#left--
      await tools.pause(tools.random.exponential(100))
    }
  }

  async #one(tools: Tools, name: string): Promise<void> {
    const { random } = tools
    const count = random.pick([1, 5, 40, 200])
    const fates = Array.from({ length: count }, (_, index) => tools.fate({ key: `${name}/${index}`, ms: random.chance(0.95) ? 0.5 : 30 }))
    const leaveAt = random.chance(0.2) ? random.whole(0, count) : count + 1
    const ordered = random.chance(0.6)
    await tools.call('map', '', name, async () => {
      const seen = new Set<number>()
      const results = tools.cluster.map(simTask({ retries: 0 }), fates, {
        ordered,
        entries: true,
        errors: 'yield',
        window: random.pick([4, 50, 1000]),
      })
      for await (const [index, result] of results) {
        this.#hold(tools, fates[index], result, ordered && index !== seen.size)
        seen.add(index)
        if (seen.size >= leaveAt) return true
      }
      if (seen.size !== count) tools.history.violate('S9', `the map ${name} gave ${seen.size} of ${count} results`, tools.nowMs)
      return true
    })
  }

  #hold(tools: Tools, fate: Fate | undefined, result: unknown, misplaced: boolean): void {
    const { code } = (typeof result === 'object' && result ? result : {}) as { code?: string }
    if (code === 'TASK_POISONED' || code === 'TASK_CRASHED') return
    if (!fate || result !== resultOf(fate.key) || misplaced)
      tools.history.violate('S9', `a map gave ${String(result)} in the place of ${fate?.key}`, tools.nowMs)
  }
}

export const maps: WorkloadMaker = (name, random) => new Maps(name, random.whole(2, 8))

function stageOf(after: number[]): StagePlan {
  const resources = { cpuMillis: 1000, memoryBytes: 0, gpuMillis: 0, named: [] }
  const retry = { retriesMax: 3, backoffBaseMs: 20, backoffMsMax: 100 }
  const edges = after.map(producer => ({ kind: 'after' as const, producer }))
  return { task: 'array', program: program.id, resources, retry, timeoutMs: 0, edges }
}

function chunkOf(fates: readonly Fate[]): Buffer {
  const chunk = new ChunkWriter()
  for (const fate of fates) {
    const writer = chunk.beginItem()
    writer.byte(itemInline)
    writeValue(writer, fate)
    chunk.endItem()
  }
  return chunk.finish()
}

/** Jobs of two stages with many tasks each, the second after the first, spoken in the protocol itself. */
class Arrays implements Workload {
  readonly #name: string
  #left: number

  constructor(name: string, count: number) {
    this.#name = name
    this.#left = count
  }

  get done(): boolean {
    return this.#left === 0
  }

  async live(tools: Tools): Promise<void> {
    while (this.#left > 0) {
      await this.#one(tools, `${this.#name}-${tools.mark()}`)
      this.#left--
    }
  }

  async #one(tools: Tools, job: string): Promise<void> {
    const { random } = tools
    const make = (stage: number, count: number): Fate[] =>
      Array.from({ length: count }, (_, index) => ({ key: `${job}/${stage}/${index}`, ms: random.exponential(4) }))
    const stages = [make(0, random.whole(1, 60)), make(1, random.whole(0, 20))]
    tools.expect({ job, fates: stages.flat(), ends: 'succeeded', mayBeCancelled: false })
    const plan: JobPlan = {
      ...{ job, name: 'array', contentHash: program.id, labels: [], priority: 0, session: tools.client.session!.id, detached: true },
      stages: [stageOf([]), stageOf([0])],
    }
    const inputs = stages.map((fates, stage) => ({ stage, first: 0, items: chunkOf(fates), blocks: [], seal: true }))
    await tools.call('submit', job, 'array', () => this.#submit(tools, plan, inputs))
    for (;;) {
      const state = await tools.call('status', job, '', async () => (await tools.cluster.job(job).status()).state)
      if (state !== 'running') return
      await tools.pause(50 + random.exponential(100))
    }
  }

  async #submit(tools: Tools, plan: JobPlan, inputs: Inputs[]): Promise<true> {
    const session = tools.client.session!
    for (;;) {
      const reply = await session.request({ kind: 'submitJobs', jobs: [{ plan, inputs, flow: undefined, watch: false }] })
      const error = reply.kind === 'submitted' ? reply.outcomes[0]?.error : undefined
      if (!error) return true
      if (error.code === 'PROGRAM_MISSING') await session.request({ kind: 'putProgram', program: program.id, bytes: program.bytes })
      else if (error.code === 'OVERLOADED') await tools.pause(100)
      else throw Object.assign(new Error(error.message), { code: error.code })
    }
  }
}

export const arrays: WorkloadMaker = (name, random) => new Arrays(name, random.whole(1, 6))

// Owns the workloads of many tasks: maps, and arrays of two stages.
// Must not leave a map without holding each result to its place.
import { chunkOf } from '../../test/fakes/values.ts'
import { type Fate, resultOf } from '../world/fates.ts'
import { simTask } from '../world/program.ts'
import { simStage } from '../world/steps.ts'
import { Jobs, planOf, submitPlan, untilEnded } from './life.ts'
import type { Tools, WorkloadMaker } from './workload.ts'

/** A map over many inputs, ordered or not; some are left early. */
async function mapOnce(tools: Tools, name: string): Promise<void> {
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
      hold(tools, fates[index], result, ordered && index !== seen.size)
      seen.add(index)
      if (seen.size >= leaveAt) return true
    }
    if (seen.size !== count) tools.history.violate('S9', `the map ${name} gave ${seen.size} of ${count} results`, tools.nowMs)
    return true
  })
}

function hold(tools: Tools, fate: Fate | undefined, result: unknown, misplaced: boolean): void {
  const { code } = (typeof result === 'object' && result ? result : {}) as { code?: string }
  if (code === 'TASK_POISONED' || code === 'TASK_CRASHED') return
  if (!fate || result !== resultOf(fate.key) || misplaced)
    tools.history.violate('S9', `a map gave ${String(result)} in the place of ${fate?.key}`, tools.nowMs)
}

export const maps: WorkloadMaker = (name, random) => new Jobs(name, random.whole(2, 8), 100, mapOnce)

/** A job of two stages with many tasks each, the second after the first, spoken in the protocol itself. */
async function array(tools: Tools, job: string): Promise<void> {
  const { random } = tools
  const make = (stage: number, count: number): Fate[] =>
    Array.from({ length: count }, (_, index) => ({ key: `${job}/${stage}/${index}`, ms: random.exponential(4) }))
  const stages = [make(0, random.whole(1, 60)), make(1, random.whole(0, 20))]
  tools.expect({ job, fates: stages.flat(), ends: 'succeeded', mayBeCancelled: false })
  const plan = planOf(tools, job, 'array', true, [simStage('array'), { ...simStage('array'), edges: [{ kind: 'after', producer: 0 }] }])
  const inputs = stages.map((fates, stage) => ({ stage, first: 0, items: chunkOf(fates), blocks: [], seal: true }))
  await submitPlan(tools, plan, inputs)
  await untilEnded(tools, job)
}

export const arrays: WorkloadMaker = (name, random) => new Jobs(name, random.whole(1, 6), 0, array)

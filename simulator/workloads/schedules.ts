// Owns the workload of schedules: made, paused, triggered, deleted; each goes on ticking whatever becomes of leaders.
// Must not leave one behind.
import { schedule } from '../../src/client/index.ts'
import { simTask } from '../world/program.ts'
import { Jobs } from './life.ts'
import { Gone, type Tools, type WorkloadMaker } from './workload.ts'

const task = simTask({ retries: 3 })
/** So many looks, a few hundred ms apart, are enough for a schedule that ticks each second. */
const looksMax = 400

async function scheduled(tools: Tools, name: string, left: Set<string>): Promise<void> {
  for (const one of left) if (!((await gone(tools, one)) instanceof Gone)) left.delete(one)
  left.add(name)
  const { random, cluster, history } = tools
  const fate = tools.fate({ key: name, ms: Math.ceil(random.exponential(300)) })
  const overlap = random.pick(['skip', 'queue', 'cancel'] as const)
  const catchUp = random.pick(['none', 'last', 'all'] as const)
  const made = await tools.excused(() => cluster.schedule(schedule({ name, every: '1s', task, input: fate, overlap, catchUp })))
  if (made instanceof Gone) return
  const wanted = random.whole(1, 3)
  for (let look = 0; look < looksMax; look++) {
    await tools.pause(200 + random.exponential(200))
    const view = await tools.excused(() => made.status())
    if (view instanceof Gone) continue
    if (view.ran >= wanted) break
    if (random.chance(0.1)) {
      await tools.excused(() => made.pause())
      await tools.excused(() => made.resume())
    }
    if (random.chance(0.1)) await tools.excused(() => made.trigger())
    if (look === looksMax - 1) history.violate('L4', `the schedule ${name} ran ${view.ran} times in ${looksMax} looks`, tools.nowMs)
  }
  history.probe('schedule ran')
  if (!((await gone(tools, name)) instanceof Gone)) left.delete(name)
}

/** Deletes a schedule, of which nobody knows whether it was made. */
function gone(tools: Tools, name: string): Promise<unknown> {
  return tools.excused(async () => {
    try {
      await tools.cluster.scheduled(name).delete()
    } catch (error) {
      if ((error as { code?: string }).code !== 'NOT_FOUND') throw error
    }
  })
}

export const schedules: WorkloadMaker = (name, random) => {
  /** Made in this life or an earlier one, and not yet deleted. */
  const left = new Set<string>()
  return new Jobs(name, random.whole(1, 3), 60, (tools, id) => scheduled(tools, id, left))
}

// Owns the workload of what limits tasks and runs: keys that jobs share, runs of one key, and tasks that hang until their time is over.
// Must not say anew how much of a key there is: one key, one limit.
import type { RunPolicy, StagePolicy } from '../../src/protocol/index.ts'
import { chunkOf } from '../../test/fakes/values.ts'
import type { Fate } from '../world/fates.ts'
import { simStage } from '../world/steps.ts'
import { Jobs, planOf, submitPlan, untilEnded } from './life.ts'
import type { Tools, WorkloadMaker } from './workload.ts'

type Limits = Omit<StagePolicy, 'stage' | 'stepTimeoutMs'>

const keys: readonly Limits[] = [
  { key: 'few', concurrency: 2, rateLimit: 0, ratePerMs: 0 },
  { key: 'slow', concurrency: 3, rateLimit: 4, ratePerMs: 60 },
  { key: '', concurrency: 1, rateLimit: 0, ratePerMs: 0 },
]

const none: Limits = { key: '', concurrency: 0, rateLimit: 0, ratePerMs: 0 }

/** One job: a workflow of some tasks that share a key with those of others, as a run that may have to wait for others. */
async function limited(tools: Tools, job: string): Promise<void> {
  const { random } = tools
  // It ends because its time is over, of the step or of the run, or by itself.
  const late = random.chance(0.3) ? random.pick(['step', 'run'] as const) : undefined
  const fates: Fate[] = Array.from({ length: random.whole(1, 8) }, (_, i) => ({
    key: `${job}/0/${i}`,
    ms: random.exponential(15),
    ...(late !== undefined && i === 0 && { hangs: true }),
  }))
  tools.expect({ job, fates, ends: late === undefined ? 'succeeded' : 'failed', mayBeCancelled: false })
  const policies: StagePolicy[] = [
    { stage: 0, ...(random.chance(0.8) ? random.pick(keys) : none), stepTimeoutMs: late === 'step' ? 400 : 0 },
  ]
  const waits = random.chance(0.6)
  const run: RunPolicy | undefined =
    waits || late === 'run'
      ? { key: waits ? 'turns' : '', concurrency: waits ? 2 : 0, whenBusy: 'queue', timeoutMs: late === 'run' ? 400 : 0 }
      : undefined
  const inputs = [{ stage: 0, first: 0, items: chunkOf(fates), blocks: [], seal: false }]
  const steps = [{ kind: 'tasks' as const, stage: 0, count: fates.length, name: '', amount: 0, needs: [] }]
  await submitPlan(tools, planOf(tools, job, 'limited', true, [simStage('limited')]), inputs, { steps, output: 0 }, { policies, run })
  await untilEnded(tools, job)
}

/** Some at once, so that they have to wait for one another. */
export const limits: WorkloadMaker = (name, random) =>
  new Jobs(name, random.whole(2, 6), 30, async (tools, id) => {
    const jobs = Array.from({ length: tools.random.whole(1, 4) }, (_, i) => `${id}-${i}`)
    await Promise.all(jobs.map(job => limited(tools, job)))
  })

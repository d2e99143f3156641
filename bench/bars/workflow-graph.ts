// Owns the bars of large workflows: a random graph run to its end, and what steps that wait cost the leader.
// Must not count a graph whose last step came to something else than it must.
import type { Cluster, JobHandle } from '../../src/index.ts'
import { type Bar, type Bench, type Figure, repeated, seconds, sized } from '../bar.ts'
import { graph } from '../flows.ts'
import { graphValue, randomGraph } from '../graph.ts'
import { within } from '../pause.ts'
import { rssBytes } from '../process.ts'

const stepsFull = 100_000
const stepsSmoke = 500
/** Graphs that wait at the same time: of one alone the garbage would weigh more than the steps. */
const waitingFull = 10
const waitingSmoke = 2
const signal = 'go'
const graphMsMax = 120_000

/** Steps per second of one random graph, from `run` to its result. */
async function stepsPerSecond(client: Cluster, steps: number, seed: number): Promise<number> {
  const plan = randomGraph(steps, seed)
  const wanted = graphValue(plan)
  let given: number | undefined
  const took = await seconds(async () => {
    given = await client.run(graph, { steps, seed })
  })
  if (given !== wanted) throw new Error(`the graph of seed ${seed} gave ${given} instead of ${wanted}`)
  return plan.length / took
}

async function submitWaiting(client: Cluster, steps: number, seeds: readonly number[]): Promise<JobHandle<number>[]> {
  const jobs: JobHandle<number>[] = []
  for (const seed of seeds) jobs.push(await client.submit(graph, { steps, seed, behind: signal }))
  return jobs
}

/** Bytes by which the leader grows for each step that waits. They are run to their end afterwards. */
async function bytesPerWaitingStep(bench: Bench, steps: number, round: number): Promise<number> {
  const { client, process: cluster } = await bench.cluster()
  const { leader } = await client.status()
  const seeds = Array.from({ length: sized(bench, waitingFull, waitingSmoke) }, (_, index) => 1000 * (round + 1) + index)
  const run = async (jobs: readonly JobHandle<number>[], ofSeeds: readonly number[]): Promise<void> => {
    for (const [index, job] of jobs.entries()) {
      await client.signal(job.id, signal)
      const given = await within(graphMsMax, `the result of ${job.id}`, job.result())
      const wanted = graphValue(randomGraph(steps, ofSeeds[index]!))
      if (given !== wanted) throw new Error(`the graph of seed ${ofSeeds[index]} gave ${given} instead of ${wanted}`)
    }
  }
  // One before, so that what any workflow costs once is not counted.
  await run(await submitWaiting(client, steps, [round]), [round])
  const before = rssBytes(leader.pid)
  const jobs = await submitWaiting(client, steps, seeds)
  const grown = rssBytes(leader.pid) - before
  let waiting = 0
  for (const job of jobs) waiting += (await job.status()).flow?.statuses.waiting ?? 0
  const planned = seeds.reduce((total, seed) => total + randomGraph(steps, seed).length, 0)
  if (waiting !== planned) throw new Error(`${waiting} steps wait where ${planned} should`)
  await run(jobs, seeds)
  await client.close()
  await cluster.down()
  return grown / waiting
}

export const workflowGraph: Bar = {
  name: 'workflow-graph',
  title: 'random workflow of 100,000 steps, submit to result; 1,000,000 steps that wait for a signal',
  async measure(bench) {
    const steps = sized(bench, stepsFull, stepsSmoke)
    const { client, process: cluster } = await bench.cluster()
    const rates = await repeated(bench, round => stepsPerSecond(client, steps, 100 + round))
    await client.close()
    await cluster.down()
    const bytes: number[] = []
    for (let round = 0; round < bench.repeats; round++) bytes.push(await bytesPerWaitingStep(bench, steps, round))
    const figures: Figure[] = [
      { what: 'steps', unit: 'steps/s', values: rates, bar: { at: 100_000, side: 'at least' } },
      { what: 'leader grows', unit: 'B per waiting step', values: bytes, bar: { at: 200, side: 'at most' } },
    ]
    return figures
  },
}

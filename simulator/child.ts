// Owns one process of a campaign: it runs the seeds that it is sent, and tells what came of each.
// Must not choose seeds; a planted bug is in place before production code is loaded.
import type { SeedMessage } from './campaign.ts'
import { plant } from './mutants.ts'

const mutant = process.argv[2]
if (mutant) plant(mutant)
const { run } = await import('./run.ts')
const { runTwice } = await import('./twice.ts')
const { drawScenario } = await import('./scenario.ts')
const { drawZombies } = await import('./zombies.ts')

/** Each run is made twice (M4); where a planted bug is looked for, or leaders are counted, each so many of them. */
const fewEvery = 10
const twiceEvery = mutant ? fewEvery : 1

process.on('message', async ({ seed, zombies }: SeedMessage) => {
  const scenario = zombies ? drawZombies(seed) : drawScenario(seed)
  const twice = seed % (zombies ? fewEvery : twiceEvery) === 0
  const result = twice ? await runTwice(scenario) : await run(scenario)
  process.send!({ ...result, story: [] })
})
process.send!({ ready: true })

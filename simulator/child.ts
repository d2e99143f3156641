// Owns one process of a campaign: it runs the seeds that it is sent, and tells what came of each.
// Must not choose seeds; a planted bug is in place before production code is loaded.
import { plant } from './mutants.ts'

const mutant = process.argv[2]
if (mutant) plant(mutant)
const { run } = await import('./run.ts')
const { drawScenario } = await import('./scenario.ts')

/** Each so many seeds are run twice: both runs must be the same to the last event. */
const twiceEvery = 10

process.on('message', async ({ seed }: { seed: number }) => {
  const scenario = drawScenario(seed)
  const result = await run(scenario)
  if (seed % twiceEvery === 0 && result.violations.length === 0) {
    const again = await run(scenario)
    if (again.hash !== result.hash)
      result.violations.push({ rule: 'M4', text: `two runs differ: ${result.hash.toString(16)} and ${again.hash.toString(16)}`, atMs: 0 })
  }
  process.send!({ ...result, story: [] })
})
process.send!({ ready: true })

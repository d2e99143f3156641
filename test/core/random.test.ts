// Shows that no sequence of events loses a task, runs past a limit, leaves work beside idle room, or makes a journal that cannot be replayed.
// Every step is held against the naive model of ledger.ts. What it once found stands below as scenarios of their own.
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { Harness, type HarnessOptions, scenario } from './harness.ts'
import { heal, type RandomStep, steps, take } from './random-steps.ts'

const runs = 300
const stepsMax = 200
const options: HarnessOptions = { limits: { finishedJobsMax: 6, openTasksMax: 150, workersMax: 6 } }

const number = fc.nat({ max: 1000 })
const step = fc.tuple(fc.constantFrom(...(Object.keys(steps) as (keyof typeof steps)[])), number, number, number)

describe('any sequence of events', () => {
  for (const [policy, seed] of [
    ['spread', 20261],
    ['pack', 20262],
  ] as const) {
    it(`keeps the laws, placing by ${policy}`, () => {
      fc.assert(
        fc.property(fc.array(step, { minLength: 1, maxLength: stepsMax, size: 'max' }), script => {
          const cluster = new Harness({ ...options, policy })
          take(cluster, script)
          heal(cluster)
          cluster.verify()
        }),
        { numRuns: runs / 2, seed, verbose: 0 },
      )
    })
  }
})

const found: Record<string, RandomStep[]> = {}

describe('what random sequences once found', () => {
  for (const [name, script] of Object.entries(found)) {
    it(
      name,
      scenario(cluster => {
        take(cluster, script)
        heal(cluster)
      }, options),
    )
  }
})

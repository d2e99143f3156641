// Shows that no sequence of events loses a task, runs past a limit, leaves work beside idle room, or makes a journal that cannot be replayed.
// A few sequences, under coverage with all of core's own tests; campaign-*.test.ts run many. What those once found stands below as scenarios of their own.
import { describe, it } from 'node:test'
import { scenario } from './harness.ts'
import { options, playFew } from './random.ts'
import { heal, type RandomStep, take } from './random-steps.ts'

describe('any sequence of events', () => {
  for (const policy of ['spread', 'pack'] as const) it(`keeps the laws, placing by ${policy}`, () => playFew(policy, 20263))
})

const found: Record<string, RandomStep[]> = {
  'a step that was cancelled by its user does not begin when what it waited for comes': [
    ['submitFlow', 525, 718, 635],
    ['cancelTasks', 0, 0, 851],
    ['submit', 0, 0, 0],
  ],
  'a step of a workflow that waits for its turn is cancelled: those that need it are told, and told once': [
    ['submit', 0, 0, 0],
    ['submitFlow', 416, 0, 0],
    ['cancelTasks', 495, 0, 0],
    ['submit', 0, 0, 64],
  ],
  'a running task that was cancelled alone, and then with its job, ends with it': [
    ['submit', 0, 1, 1],
    ['come', 0, 0, 0],
    ['cancelTasks', 0, 0, 2],
    ['cancel', 0, 0, 0],
  ],
}

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

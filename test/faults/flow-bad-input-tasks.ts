// Owns workflows and tasks that are wrong in one way each, for the tests of bad input. Must not be imported for anything else.
import { z } from 'zod'
import { task, workflow } from '../../src/index.ts'
import { echo } from './tasks.ts'

const count = task({ name: 'count', run: (value: unknown) => value })
const noList = task({ name: 'no-list', run: (): number[] => 7 as never })
const mistyped = task({ name: 'mistyped', output: z.object({ total: z.number() }), run: () => ({ total: 'seven' }) as never })

/** The result over which it is mapped is no array. */
export const overNumber = workflow({
  name: 'over-number',
  build: (flow, _input: undefined) => flow.map(count, flow.run(noList, undefined)),
})

/** What is mapped over while it is built is no array. */
export const overText = workflow({ name: 'over-text', build: (flow, _input: undefined) => flow.map(count, 'text' as never) })

/** A result that its schema does not allow, and a step that would get it. */
export const wrongType = workflow({
  name: 'wrong-type',
  build: (flow, _input: undefined) => flow.run(count, flow.run(mistyped, undefined)),
})

/** Never comes to an end. */
export const bottomless = workflow({ name: 'bottomless', build: (flow, n: number): unknown => flow.run(bottomlessStep, n + 1) })
const bottomlessStep = bottomless as unknown as typeof count

/** One step that needs more others than a step may. */
export const tooMany = workflow({
  name: 'too-many',
  build: (flow, _input: undefined) =>
    flow.run(
      count,
      Array.from({ length: 10_001 }, (_, i) => flow.run(count, i)),
    ),
})

/** More different maps than a build may have. */
export const tooManyMaps = workflow({
  name: 'too-many-maps',
  build: (flow, _input: undefined) => Array.from({ length: 1001 }, () => flow.map(count, [1, 2])),
})

/** Writes an entry of a version that it does not have, and would submit a job. */
export const stale = task({
  name: 'stale',
  run(_input: undefined, ctx) {
    ctx.commit({
      state: [
        { space: 'kept', key: 'other', value: 'half' },
        { space: 'kept', key: 'entry', value: 'late', version: 0 },
      ],
      submit: [{ task: echo, input: 1, id: 'of-the-stale' }],
    })
  },
})

// Owns the tasks of the tests of transactions. Must not be imported for anything else.
import { task } from '../../src/index.ts'
import { echo } from './tasks.ts'

/** Writes an entry with its result, and submits a job that says its own id. Fails at first. */
export const tallied = task({
  name: 'tallied',
  retries: 2,
  backoff: { base: 1, max: 1 },
  run({ key, version }: { key: string; version: number }, ctx) {
    const next = `${ctx.job}-next`
    ctx.commit({ state: [{ space: 'tallies', key, value: `${key} at ${ctx.attempt}`, version }] })
    if (ctx.attempt === 1) throw new Error('as planned')
    ctx.commit({ submit: [{ task: echo, input: next, id: next }] })
    return { next }
  },
})

export const wrongCommit = task({
  name: 'wrong-commit',
  run(_input: undefined, ctx) {
    ctx.commit({ submit: [{ task: { name: 'none' } as never }] })
  },
})

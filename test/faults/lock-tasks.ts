// Owns the tasks of the tests of transactions. Must not be imported for anything else.
import { task, workflow } from '../../src/index.ts'
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

/** Its result is what it is told. */
export const told = workflow({ name: 'told', build: (flow, _input: undefined) => flow.waitFor<string>('news') })

/** Tells a workflow something with its result. Fails at first. */
export const teller = task({
  name: 'teller',
  retries: 1,
  backoff: { base: 1, max: 1 },
  run({ job }: { job: string }, ctx) {
    ctx.commit({ signal: [{ job, name: 'news', payload: `attempt ${ctx.attempt}` }] })
    if (ctx.attempt === 1) throw new Error('as planned')
  },
})

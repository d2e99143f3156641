// Owns the workflow of the fault tests: a thousand steps of every kind, whose result does not depend on who runs them when.
// Must not do anything when it is loaded.
import { task, workflow } from '../../src/index.ts'

const pauseMs = 3

const range = task({ name: 'range', run: (count: number) => Array.from({ length: count }, (_, i) => i) })

const square = task({
  name: 'square',
  async run(value: number) {
    await new Promise<void>(resolve => setTimeout(resolve, pauseMs))
    return value * value
  },
})

const total = task({ name: 'total', run: (values: number[]) => values.reduce((sum, value) => sum + value, 0) })
const add = task({ name: 'add', run: ({ a, b }: { a: number; b: number }) => a + b })
const odd = task({ name: 'odd', run: (value: number) => value % 2 })

const broken = task({
  name: 'broken',
  run(): number {
    throw new Error('as planned')
  },
})

/** 1 + 2 + … + n, as a workflow that is its own step. */
export const countdown = workflow({
  name: 'countdown',
  build(flow, n: number): unknown {
    return n === 0 ? 0 : flow.run(add, { a: n, b: flow.run(countdownStep, n - 1) as never })
  },
})
const countdownStep = countdown as unknown as typeof square

/** A fan-out found at run time, passed on, reduced; a chain; a branch; a failure that is caught; a recursion. */
export const thousand = workflow({
  name: 'thousand',
  build(flow, { width, chain }: { width: number; chain: number }) {
    const squares = flow.map(square, flow.run(range, width))
    const fourth = flow.map(square, squares)
    let link = flow.run(add, { a: 0, b: 0 })
    for (let i = 1; i < chain; i++) link = flow.run(add, { a: link, b: i })
    const branch = flow.when(
      flow.run(odd, link),
      () => flow.run(add, { a: link, b: 1000 }),
      () => flow.run(add, { a: link, b: 2000 }),
    )
    const caught = flow.catch(flow.run(broken), error => flow.all({ code: error }))
    return {
      squares: flow.run(total, squares),
      fourth: flow.reduce(total, fourth, { fanIn: 10 }),
      branch,
      caught,
      recursion: flow.run(countdown, 8),
    }
  },
})

/** Waits for a signal, then adds. */
export const approved = workflow({
  name: 'approved',
  build: (flow, value: number) => flow.run(add, { a: value, b: flow.waitFor<number>('go') }),
})

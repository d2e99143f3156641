// Owns the workflows that the bars run.
// Must not do work of their own: what is measured is the way from step to step. Each result shows that every step has run.
import { type Ref, task, workflow } from '../src/index.ts'
import { randomGraph, stepValue } from './graph.ts'
import { noop } from './tasks.ts'

const increment = task({
  name: 'bench-increment',
  run: (input: number) => input + 1,
})

const combine = task({
  name: 'bench-combine',
  run: ({ step, parts }: { step: number; parts: number[] }) => stepValue(step, parts),
})

const range = task({
  name: 'bench-range',
  run: (count: number) => Array.from({ length: count }, (_, index) => index),
})

const sum = task({
  name: 'bench-sum',
  run: (parts: number[]) => parts.reduce((total, part) => total + part, 0),
})

/** One step, which gives back the input. */
export const single = workflow({
  name: 'bench-single',
  build: (flow, input: number) => flow.run(noop, input),
})

/** Each step needs the one before it, and adds one to its result. */
export const chain = workflow({
  name: 'bench-chain',
  build(flow, { length, from }: { length: number; from: number }) {
    let last = flow.run(increment, from)
    for (let step = 1; step < length; step++) last = flow.run(increment, last)
    return last
  },
})

/** One step, so many at once that need it, and one that needs them all. */
export const diamond = workflow({
  name: 'bench-diamond',
  build(flow, { width, from }: { width: number; from: number }) {
    const first = flow.run(noop, from)
    return flow.run(
      sum,
      Array.from({ length: width }, () => flow.run(increment, first)),
    )
  },
})

/** A random graph. `behind`: all of it waits for a signal of this name. */
export const graph = workflow({
  name: 'bench-graph',
  build(flow, { steps, seed, behind }: { steps: number; seed: number; behind?: string }) {
    const gate = behind === undefined ? {} : { after: flow.waitFor(behind) }
    const refs: Ref<number>[] = []
    for (const [step, needs] of randomGraph(steps, seed).entries())
      refs.push(flow.run(combine, { step, parts: needs.map(need => refs[need]!) }, needs.length === 0 ? gate : {}))
    return refs.at(-1)!
  },
})

/** As many tasks as a step finds, and the sum of what they give back. */
export const fan = workflow({
  name: 'bench-fan',
  build: (flow, count: number) => flow.reduce(sum, flow.map(noop, flow.run(range, count))),
})

/** Steps that sleep, each a little longer than the one before it. */
export const sleepers = workflow({
  name: 'bench-sleepers',
  build(flow, { steps, forMs }: { steps: number; forMs: number }) {
    for (let step = 0; step < steps; step++) flow.sleep(forMs + step)
  },
})

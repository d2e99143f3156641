// Owns the workflow of the fault tests: a thousand steps of every kind, whose result does not depend on who runs them when.
// Must not do anything when it is loaded.
import { appendFileSync, existsSync } from 'node:fs'
import { join } from 'node:path'
import { type Task, task, workflow } from '../../src/index.ts'

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

/** Where tasks wait until a test opens the way, and write down what they did. */
interface Place {
  folder: string
  /** Of a gate, or of what is written down. */
  name: string
}

/** Says who waits here, and waits until there is a file of the gate's name. */
async function gate({ folder, name }: Place, worker: string): Promise<void> {
  const way = join(folder, name)
  appendFileSync(`${way}.waits`, `${worker}\n`)
  while (!existsSync(way)) await new Promise<void>(resolve => setTimeout(resolve, pauseMs))
}

const gated = task({
  name: 'gated',
  async run({ place, value }: { place: Place; value: unknown }, ctx) {
    await gate(place, ctx.worker)
    return value
  },
})

/** A list whose making takes until the gate is opened. */
const list = task({
  name: 'list',
  async run({ place, count }: { place: Place; count: number }, ctx) {
    await gate(place, ctx.worker)
    return Array.from({ length: count }, (_, i) => ({ value: i, place: { ...place, name: i === count >> 1 ? 'spread' : '' } }))
  },
})

const item = task({
  name: 'item',
  async run({ value, place }: { value: number; place: Place }, ctx) {
    if (place.name !== '') await gate(place, ctx.worker)
    return { sum: value * value, place: { ...place, name: value === 0 ? 'fold' : '' } }
  },
})

/** Of the part that holds the first item each level of the tree waits at the gate. */
const fold = task({
  name: 'fold',
  async run(parts: { sum: number; place: Place }[], ctx) {
    const place = parts[0]!.place
    if (place.name !== '') await gate(place, ctx.worker)
    return { sum: parts.reduce((all, part) => all + part.sum, 0), place }
  },
})

const mark = task({
  name: 'mark',
  async run(place: Place, ctx) {
    if (place.name === 'undo two') await gate({ ...place, name: 'compensation' }, ctx.worker)
    appendFileSync(join(place.folder, 'marks'), `${place.name}\n`)
  },
})

/** n levels deep; in the middle it waits at a gate. */
const nested = workflow({
  name: 'nested',
  build(flow, { n, place }: { n: number; place: Place }): unknown {
    if (n === 0) return 0
    const below = flow.run(nestedStep, { n: n - 1, place })
    return flow.run(add, { a: n === 6 ? (flow.run(gated, { place, value: n }) as never) : n, b: below as never })
  },
})
const nestedStep = nested as unknown as Task<{ n: number; place: Place }, number>

/** A thousand tasks in phases, each of which waits at a gate of its name; then it fails, and what was marked is compensated. */
export const phases = workflow({
  name: 'phases',
  build(flow, { folder, width }: { folder: string; width: number }) {
    const at = (name: string): Place => ({ folder, name })
    const items = flow.map(item, flow.run(list, { place: at('list'), count: width }))
    const sum = flow.reduce(fold, items, { fanIn: 4 })
    const inside = flow.run(nested, { n: 12, place: at('expansion') }, { after: sum })
    const rested = flow.after(inside, () => flow.sleep('500ms'))
    const told = flow.after(rested, () => flow.waitFor<string>('go'))
    let last: unknown = told
    for (const name of ['one', 'two', 'three']) {
      last = flow.run(mark, at(name), { after: last as never })
      flow.onFailure(last as never, mark, at(`undo ${name}`))
    }
    return flow.run(broken, undefined as never, { after: last as never })
  },
})

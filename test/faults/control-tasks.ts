// Owns the workflow of the tests of pausing and re-running: each run of a task is a line of a file, and one fails until a gate is there.
// Must not do anything when it is loaded.
import { appendFileSync, existsSync } from 'node:fs'
import { task, workflow } from '../../src/index.ts'

const first = task({
  name: 'first',
  run({ log, value }: { log: string; value: number }) {
    appendFileSync(log, `first ${value}\n`)
    return value + 1
  },
})

const gated = task({
  name: 'gated',
  run({ log, gate, value }: { log: string; gate: string; value: number }) {
    appendFileSync(log, `gated ${value}\n`)
    if (!existsSync(gate)) throw new Error('the gate is shut')
    return value * 10
  },
})

/** Two steps: the second fails until there is a gate. */
export const gate = workflow({
  name: 'gate',
  build: (flow, { log, gate, value }: { log: string; gate: string; value: number }) =>
    flow.run(gated, { log, gate, value: flow.run(first, { log, value }) }),
})

const hold = task({
  name: 'hold',
  async run({ log, value }: { log: string; value: number }, ctx) {
    appendFileSync(log, `hold ${value}\n`)
    await new Promise<void>(resolve => ctx.signal.addEventListener('abort', () => resolve(), { once: true }))
    appendFileSync(log, 'told to stop\n')
    return value
  },
})

const undo = task({
  name: 'undo',
  async run({ log, gate, name }: { log: string; gate: string; name: string }) {
    appendFileSync(log, `undo ${name}\n`)
    while (!existsSync(gate)) await new Promise<void>(resolve => setTimeout(resolve, 10))
    appendFileSync(log, `undone ${name}\n`)
  },
})

/** Two steps that can be taken back, which waits for a gate, and one that holds until it is told to stop. */
export const saga = workflow({
  name: 'saga',
  build(flow, { log, gate }: { log: string; gate: string }) {
    const one = flow.run(first, { log, value: 1 })
    flow.onFailure(one, undo, { log, gate, name: 'one' })
    const two = flow.run(first, { log, value: one })
    flow.onFailure(two, undo, { log, gate, name: 'two' })
    return flow.run(hold, { log, value: two })
  },
})

/** A step that can be taken back and holds until it is told to stop; then it succeeds, or gives up. */
export const stubborn = workflow({
  name: 'stubborn',
  build(flow, { log, gate, succeeds }: { log: string; gate: string; succeeds: boolean }) {
    const held = succeeds ? flow.run(hold, { log, value: 1 }) : flow.run(givesUp, { log, value: 1 })
    flow.onFailure(held, undo, { log, gate, name: 'it' })
    return held
  },
})

const givesUp = task({
  name: 'gives-up',
  async run({ log, value }: { log: string; value: number }, ctx) {
    appendFileSync(log, `hold ${value}\n`)
    await new Promise<void>(resolve => ctx.signal.addEventListener('abort', () => resolve(), { once: true }))
    ctx.signal.throwIfAborted()
    return value
  },
})

const link = task({
  name: 'link',
  async run({ log, value }: { log: string; value: number }) {
    appendFileSync(log, `link ${value}\n`)
    await new Promise<void>(resolve => setTimeout(resolve, 5))
    return value + 1
  },
})

/** A chain of short steps. */
export const chain = workflow({
  name: 'chain',
  build(flow, { log, length }: { log: string; length: number }) {
    let value: unknown = 0
    for (let i = 0; i < length; i++) value = flow.run(link, { log, value } as never)
    return value
  },
})

// Owns the same workflow as control-tasks.ts with its second task corrected: it needs no gate.
// Must not do anything when it is loaded.
import { appendFileSync } from 'node:fs'
import { task, workflow } from '../../src/index.ts'

const first = task({ name: 'first', run: ({ value }: { log: string; value: number }) => value + 1 })

const gated = task({
  name: 'gated',
  run({ log, value }: { log: string; gate: string; value: number }) {
    appendFileSync(log, `corrected ${value}\n`)
    return value * 100
  },
})

/** Two steps, both of which succeed. */
export const gate = workflow({
  name: 'gate',
  build: (flow, { log, gate, value }: { log: string; gate: string; value: number }) =>
    flow.run(gated, { log, gate, value: flow.run(first, { log, value }) }),
})

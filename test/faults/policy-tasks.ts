// Owns the tasks of the tests of limits: each begin and end is a line of a file, and none ends before a gate is there.
// Must not do anything when it is loaded.
import { appendFileSync, existsSync } from 'node:fs'
import { task, workflow } from '../../src/index.ts'

const limited = task({
  name: 'limited',
  cpus: 0.25,
  async run({ log, gate, name }: { log: string; gate: string; name: string }) {
    appendFileSync(log, `+ ${name}\n`)
    do await new Promise<void>(resolve => setTimeout(resolve, 10))
    while (!existsSync(gate))
    appendFileSync(log, `- ${name}\n`)
    return name
  },
})

/** Some tasks that share a key with those of other runs, two at once. */
export const nightly = workflow({
  name: 'nightly',
  build(flow, { log, gate, run, width }: { log: string; gate: string; run: string; width: number }) {
    const items = Array.from({ length: width }, (_, i) => ({ log, gate, name: `${run}/${i}` }))
    return flow.map(limited, items, { concurrencyKey: 'shared', concurrency: 2 })
  },
})

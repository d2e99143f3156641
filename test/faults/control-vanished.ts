// Owns a workflow of the same name as that of control-tasks.ts, without the task that failed there.
// Must not do anything when it is loaded.
import { task, workflow } from '../../src/index.ts'

const first = task({ name: 'first', run: ({ value }: { value: number }) => value + 1 })

/** One step only. */
export const gate = workflow({ name: 'gate', build: (flow, value: number) => flow.run(first, { value }) })

// Owns a workflow whose second step needs what its first one left on the disk of the worker that ran it.
// Must not do anything when it is loaded.
import { task, workflow } from '../../src/index.ts'

const made = task({ name: 'made', memory: '32mb', run: ({ bytes, fill }: { bytes: number; fill: number }) => Buffer.alloc(bytes, fill) })
const added = task({ name: 'added', memory: '32mb', run: (value: Uint8Array) => value.reduce((sum, byte) => sum + byte, 0) })

/** Gives `bytes * fill`. */
export const passedOn = workflow({
  name: 'passed-on',
  build: (flow, input: { bytes: number; fill: number }) => flow.run(added, flow.run(made, input)),
})

// Owns the tasks that the bars run.
// Must not do work of their own: what is measured is the way to them and back.
import { task } from '../src/index.ts'
import { slot, slotResource } from './played/slot.ts'

/** Nothing, as little as can be asked for. */
export const noop = task({
  name: 'bench-noop',
  run: (input: number) => input,
})

/** Gives back what it got. */
export const echo = task({
  name: 'bench-echo',
  run: (input: Uint8Array) => input,
})

/** Makes a result of so many bytes, different each time. */
export const produce = task({
  name: 'bench-produce',
  memory: '512mb',
  run: ({ bytes, seed }: { bytes: number; seed: number }) => {
    const result = Buffer.alloc(bytes, 0x61)
    result.writeDoubleLE(seed, 0)
    return result
  },
})

/** Asks for what no worker of the bench has: it waits for ever. */
export const waiting = task({
  name: 'bench-waiting',
  gpus: 1,
  run: (input: string) => input.length,
})

/** Needs a slot of the played workers, which have many and run nothing: they say when it ends. */
export const held = task({
  name: 'bench-held',
  cpus: slot.cpus,
  memory: slot.memoryBytes,
  resources: { [slotResource]: slot.amount },
  run: (input: string) => input,
})

// Owns the task that the short bench calls.
// Must not do anything: what is measured is everything around it.
import { task } from '../../client/index.ts'

/** Gives its input back. */
export const nothing = task({ name: 'bench-nothing', run: (input: number) => input })

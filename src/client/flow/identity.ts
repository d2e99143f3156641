// Owns the one task that every program has: it gives back what it gets. Steps that only put results together are this one.
// Must not do anything else.
import { task } from '../define.ts'

/** Gives back its input. */
export const identity = task({ name: 'coxswain.identity', module: 'coxswain:identity', run: (input: unknown) => input })

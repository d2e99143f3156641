// Owns the one program that all simulated jobs name, and its tasks as a client defines them.
// Must not hold code that runs: executors are played by the fates in the inputs.
import { createHash } from 'node:crypto'
import { type Task, type TaskOptions, task } from '../../src/client/index.ts'
import type { Fate } from './fates.ts'

const bytes = Buffer.from('// Simulated tasks do what their inputs say.\n')

export const program = { id: createHash('sha256').update(bytes).digest('hex'), bytes }

const known = new Map<string, Task<Fate, string>>()

/** A task with this policy; the same options give the same task. */
export function simTask(options: Omit<TaskOptions, 'name' | 'module'>): Task<Fate, string> {
  const key = JSON.stringify(options)
  let found = known.get(key)
  if (!found) {
    const run = (fate: Fate): string => fate.key
    found = task({ name: `task-${createHash('sha256').update(key).digest('hex').slice(0, 8)}`, module: import.meta.url, ...options, run })
    known.set(key, found)
  }
  return found
}

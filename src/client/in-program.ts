// Owns what `import … from 'coxswain'` means inside a program on a worker: definitions and errors, and a `connect` that explains itself.
// Must stay light: it is bundled into every program.
import { CoxswainError } from '../protocol/index.ts'
import { isTask, type TaskOf } from './define.ts'

export { CoxswainError, OverloadedError, release as version, TaskFailedError } from '../protocol/index.ts'
export { task } from './define.ts'

/** Throws CONNECT_WHILE_LOADING: a program runs on workers, where there is nothing to connect. */
export function connect(): never {
  throw new CoxswainError('CONNECT_WHILE_LOADING', 'connect() was called by a program that runs on a worker, not by a client.')
}

/** The tasks that these modules export, by name: the content of a program. */
export function collectTasks(modules: readonly object[]): { tasks: Record<string, TaskOf<unknown, unknown>> } {
  const tasks: Record<string, TaskOf<unknown, unknown>> = Object.create(null) as Record<string, TaskOf<unknown, unknown>>
  for (const module of modules) {
    for (const exported of Object.values(module)) {
      if (!isTask(exported)) continue
      const before = tasks[exported.name]
      if (before && before !== exported) {
        throw new CoxswainError('DUPLICATE_TASK', `Two tasks of this program are named ${exported.name}.`, { id: exported.name })
      }
      tasks[exported.name] = exported
    }
  }
  return { tasks }
}

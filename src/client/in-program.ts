// Owns what `import … from 'coxswain'` means inside a program on a worker: definitions and errors, and a `connect` that explains itself.
// Must stay light: it is bundled into every program.
import { CoxswainError } from '../protocol/index.ts'
import { definitions, isTask, type TaskOf } from './define.ts'
import { identity } from './flow/identity.ts'
import { isWorkflow, type WorkflowOf } from './flow/workflow.ts'

export { CoxswainError, OverloadedError, release as version, TaskFailedError } from '../protocol/index.ts'
export { task } from './define.ts'
export { workflow } from './flow/workflow.ts'

/** Throws CONNECT_WHILE_LOADING: a program runs on workers, where there is nothing to connect. */
export function connect(): never {
  throw new CoxswainError('CONNECT_WHILE_LOADING', 'connect() was called by a program that runs on a worker, not by a client.')
}

/** In a program a schedule is only what it was written as: it was checked where it is made. */
export function schedule<Options extends object>(options: Options): Options & { kind: 'schedule' } {
  return { ...options, kind: 'schedule' }
}

/** The same of a trigger. */
export function trigger<Options extends object>(options: Options): Options & { kind: 'trigger' } {
  return { ...options, kind: 'trigger' }
}

type AnyDefinition = TaskOf<unknown, unknown> | WorkflowOf<unknown, unknown>

/**
 * The tasks and workflows that these modules export, by name: the content of a program. Those that are not exported, of these or other modules, are steps
 * of its workflows: they are there too, where their name is not taken.
 */
export function collectTasks(modules: readonly object[]): { tasks: Record<string, AnyDefinition> } {
  const tasks: Record<string, AnyDefinition> = Object.create(null) as Record<string, AnyDefinition>
  for (const module of modules) {
    for (const exported of Object.values(module)) {
      if (!isTask(exported) && !isWorkflow(exported)) continue
      const before = tasks[exported.name]
      if (before && before !== exported) {
        throw new CoxswainError('DUPLICATE_TASK', `Two tasks of this program are named ${exported.name}.`, { id: exported.name })
      }
      tasks[exported.name] = exported
    }
  }
  for (const [name, definition] of definitions) if (definition) tasks[name] ??= definition as AnyDefinition
  tasks[identity.name] ??= identity
  return { tasks }
}

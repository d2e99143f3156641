// Owns finding the task that `FILE#TASK` names: it imports the file in this process, as the user's own program would.
// Must not run the task.
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { TaskOf, WorkflowOf } from '../client/index.ts'
import { CoxswainError } from '../protocol/index.ts'
import { nearest } from './nearest.ts'

/** A task or workflow of which nothing is known before it is loaded. */
export type AnyTask = TaskOf<unknown, unknown> | WorkflowOf<unknown, unknown>

function looksLikeTask(value: unknown): value is AnyTask {
  const kind = typeof value === 'object' && value !== null ? (value as { kind?: unknown }).kind : undefined
  return kind === 'task' || kind === 'workflow'
}

/** The task that `FILE#TASK` names, by its export or its own name; with only FILE, the one task that it exports. */
export async function loadTask(reference: string): Promise<AnyTask> {
  // The last # counts, and only if the whole is no file: names of files may hold one.
  const at = existsSync(reference) ? -1 : reference.lastIndexOf('#')
  const file = at < 0 ? reference : reference.slice(0, at)
  const wanted = at < 0 ? undefined : reference.slice(at + 1)
  const path = resolve(file)
  if (!existsSync(path)) throw new CoxswainError('USAGE', `There is no file ${path}.`, { id: file })
  let module: Record<string, unknown>
  try {
    module = (await import(pathToFileURL(path).href)) as Record<string, unknown>
  } catch (error) {
    if (error instanceof CoxswainError) throw error
    const message = error instanceof Error ? (error.stack ?? error.message) : String(error)
    throw new CoxswainError('PROGRAM_BUILD_FAILED', `${file} does not load: ${message}`, { id: file, cause: error })
  }
  return choose(
    file,
    wanted,
    Object.entries(module).filter((entry): entry is [string, AnyTask] => looksLikeTask(entry[1])),
  )
}

function choose(file: string, wanted: string | undefined, tasks: [string, AnyTask][]): AnyTask {
  const names = [...new Set(tasks.map(([name]) => name))]
  if (tasks.length === 0) throw new CoxswainError('TASK_NOT_FOUND', `${file} exports no task.`, { id: file })
  if (wanted === undefined) {
    if (new Set(tasks.map(([, task]) => task)).size === 1) return tasks[0]![1]
    throw new CoxswainError(
      'USAGE',
      `${file} exports several tasks: name one, as in ${file}#${names[0]}. There are: ${names.join(', ')}.`,
      { id: file },
    )
  }
  const found = tasks.find(([name]) => name === wanted) ?? tasks.find(([, task]) => task.name === wanted)
  if (found) return found[1]
  const near = nearest(wanted, names)
  throw new CoxswainError(
    'TASK_NOT_FOUND',
    `${file} exports no task ${wanted}${near ? `: did you mean ${near}?` : `. There are: ${names.join(', ')}.`}`,
    { id: wanted },
  )
}

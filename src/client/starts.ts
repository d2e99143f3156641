// Owns what schedules and triggers have in common: a name that becomes part of those of jobs, and one thing that is run.
// Must not know what starts it.
import { checkJobId } from '../protocol/index.ts'
import { isTask } from './define.ts'
import { isWorkflow } from './flow/workflow.ts'

/** What is wrong with the name, or with what is run, or undefined. */
export function startFlaw(
  { name, workflow, task }: { name: string; workflow?: unknown; task?: unknown },
  nameBytesMax: number,
): string | undefined {
  try {
    checkJobId(name)
  } catch {
    return 'its name must be of letters, digits and . _ : @ + - only'
  }
  if (Buffer.byteLength(name) > nameBytesMax) return `its name has more than ${nameBytesMax} bytes`
  return isWorkflow(workflow) === isTask(task) ? 'it needs either a workflow or a task' : undefined
}

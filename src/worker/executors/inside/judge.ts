// Owns turning what user code threw, and what schemas say, into failures. Must not run tasks.
import { inspect } from 'node:util'
import { type AttemptFailure, attemptFailure } from './outbox.ts'
import type { Schema } from './program.ts'

/** Issues of a schema that are told; the rest is counted. */
const issuesMax = 10
const causesMax = 5

/** Our own frames in a stack tell nothing about the task. */
const ownFolder = new URL('..', import.meta.url).href

function withoutOwnFrames(stack: string): string {
  const own = (line: string): boolean => line.includes(ownFolder) || line.includes('(node:internal/async_local_storage')
  return stack
    .split('\n')
    .filter(line => !(/^\s+at /.test(line) && own(line)))
    .join('\n')
}

/** The failure of a task whose code threw this. */
export function errorFailure(error: unknown): AttemptFailure {
  if (!(error instanceof Error)) return attemptFailure('TASK_FAILED', `It threw ${inspect(error, { depth: 2 })}`, '', true)
  const name = typeof error.name === 'string' && error.name !== 'Error' ? `${error.name}: ` : ''
  let stack = String(error.stack ?? '')
  let cause = error.cause
  for (let depth = 0; depth < causesMax && cause !== undefined; depth++) {
    stack += `\nCaused by: ${cause instanceof Error ? (cause.stack ?? cause.message) : inspect(cause, { depth: 2 })}`
    cause = cause instanceof Error ? cause.cause : undefined
  }
  return attemptFailure('TASK_FAILED', name + String(error.message), withoutOwnFrames(stack), true)
}

/** The failure of a task that took too long. */
export function timeoutFailure(timeoutMs: number): AttemptFailure {
  return attemptFailure('TASK_TIMEOUT', `It did not end within ${timeoutMs} ms.`, '', true)
}

/** What the schema makes of the value, or what it has against it. `root` is what the value is called. */
export async function validate(schema: Schema, value: unknown, root: string): Promise<{ value?: unknown; failure?: string }> {
  const result = await schema['~standard'].validate(value)
  if (!result.issues) return { value: result.value }
  const told = result.issues.slice(0, issuesMax).map(issue => {
    const path = (issue.path ?? []).map(part => String(typeof part === 'object' ? part.key : part))
    return `${[root, ...path].join('.')}: ${issue.message}`
  })
  const more = result.issues.length > issuesMax ? ` (and ${result.issues.length - issuesMax} more)` : ''
  return { failure: told.join('; ') + more }
}

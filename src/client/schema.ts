// Owns our declaration of Standard Schema (version 1), by which zod, valibot, arktype and others describe values, and its use.
// Must not depend on any of them.
import { CoxswainError } from '../protocol/index.ts'

/** One thing that a schema finds wrong. */
export interface SchemaIssue {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

/** What a schema says about a value. */
export type SchemaResult<Output> = { readonly value: Output; readonly issues?: undefined } | { readonly issues: readonly SchemaIssue[] }

/** Any schema that follows Standard Schema version 1, such as those of zod, valibot and arktype. */
export interface StandardSchema<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>
    readonly types?: { readonly input: Input; readonly output: Output } | undefined
  }
}

/** The type of values that a schema takes. */
export type SchemaInput<S extends StandardSchema> = NonNullable<S['~standard']['types']>['input']

/** The type of values that a schema gives. */
export type SchemaOutput<S extends StandardSchema> = NonNullable<S['~standard']['types']>['output']

const issuesShownMax = 5

function issueText(issue: SchemaIssue): string {
  let path = 'input'
  for (const step of issue.path ?? []) {
    const key = typeof step === 'object' ? step.key : step
    path += typeof key === 'number' ? `[${key}]` : `.${String(key)}`
  }
  return `${path}: ${issue.message}`
}

function refuse(task: string, result: SchemaResult<unknown>): void {
  if (!result.issues) return
  const shown = result.issues.slice(0, issuesShownMax).map(issueText)
  if (result.issues.length > issuesShownMax) shown.push(`and ${result.issues.length - issuesShownMax} more`)
  throw new CoxswainError('SCHEMA_VIOLATION', `The input of ${task} does not satisfy its schema: ${shown.join('; ')}.`, { id: task })
}

/**
 * Throws SCHEMA_VIOLATION, with the paths, unless the schema takes the value; a promise where the schema is asynchronous.
 * What the schema makes of the value is not used: it is made anew before `run`.
 */
export function checkInput(task: string, schema: StandardSchema, value: unknown): Promise<void> | undefined {
  const result = schema['~standard'].validate(value)
  if (result instanceof Promise) return result.then(settled => refuse(task, settled))
  refuse(task, result)
  return undefined
}

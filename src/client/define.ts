// Owns `task()`: what a definition is, its types, its policy as plain data, and the module that it came from.
// Must stay light: it is bundled into every program. No sockets, no bundler, no files.
import { pathToFileURL } from 'node:url'
import { getCallSites } from 'node:util'
import { CoxswainError, isSecretName, limits, type Resources, type RetryPolicy } from '../protocol/index.ts'
import { type Duration, durationMs, parseResources, type ResourceOptions } from './amounts.ts'
import type { TaskContext } from './context.ts'
import type { SchemaInput, SchemaOutput, StandardSchema } from './schema.ts'

/** A value, or a promise of it. */
export type Awaitable<T> = T | PromiseLike<T>

/** Pauses before a failed task is tried again: each is twice as long as the one before, with jitter. */
export interface BackoffOptions {
  /** The first pause. Default `'200ms'`. */
  base?: Duration
  /** The longest pause. Default `'30s'`. */
  max?: Duration
}

/** What can be said about every task, besides its schemas and its function. */
export interface TaskOptions extends ResourceOptions {
  /** Its name within the program: letters, digits and `. _ : / -`. */
  name: string
  /**
   * How often it is tried again after an error of its own code. Default 0: an error may have left traces that only its author can judge.
   * Attempts that end with a lost worker never count: they run again in any case.
   */
  retries?: number
  /** Pauses between attempts. */
  backoff?: BackoffOptions
  /** Limit of one attempt. Default: none. */
  timeout?: Duration
  /** Names of secrets that it uses, by `ctx.secret(name)`. */
  secrets?: readonly string[]
  /** The module that exports it (`import.meta.url`). Only needed where `task()` is called by a helper in another module. */
  module?: string
  /** Packages of this task's module that are not bundled: they must be installed on the workers. */
  external?: readonly string[]
}

/** How a task is to be run, as plain data. */
export interface TaskPolicy {
  readonly resources: Resources
  readonly retry: RetryPolicy
  readonly timeoutMs: number
}

/**
 * A task: a named function with types, schemas and a policy. `Input` is what callers give and `Output` what they get;
 * `RunInput` and `RunOutput` are what `run` takes and gives, which differ where a schema transforms.
 */
export interface Task<Input, Output, RunInput = Input, RunOutput = Output> {
  readonly kind: 'task'
  readonly name: string
  /** The user's function: call it directly to test it. */
  readonly run: (input: RunInput, ctx: TaskContext) => Awaitable<RunOutput>
  readonly input: StandardSchema | undefined
  readonly output: StandardSchema | undefined
  readonly policy: TaskPolicy
  /** URL of the module that defines and exports it. */
  readonly module: string
  readonly external: readonly string[]
  /** Names of the secrets that it uses. */
  readonly secrets: readonly string[]
  /** Only for the type checker. */
  readonly '~types'?: { readonly input: Input; readonly output: Output }
}

/** A task of which only the callers' side matters. */
export type TaskOf<Input, Output> = Task<Input, Output, never, unknown>

/** The type of the input that callers give to a task. */
export type TaskInput<T> = T extends { readonly '~types'?: { readonly input: infer Input } } ? Input : never

/** The type of the result that callers get from a task. */
export type TaskOutput<T> = T extends { readonly '~types'?: { readonly output: infer Output } } ? Output : never

const retriesMax = 1000
const backoffBaseMsDefault = 200
const backoffMsMaxDefault = 30_000
const namePattern = /^[\p{L}\p{N}][\p{L}\p{N}._:/-]*$/u

/** Set on `globalThis` by executors before they load a program. */
export const executorMark: symbol = Symbol.for('coxswain.executor')

/** Where each name was defined, by module: a second definition at another place is a mistake. */
const places = new Map<string, string>()

/**
 * Defines a task. Export it from its module: workers import it from there by name.
 *
 * ```ts
 * export const resize = task({
 *   name: 'resize', memory: '512mb', retries: 3, timeout: '30s',
 *   async run({ path, width }: { path: string; width: number }, ctx) { return { bytes: 1 } },
 * })
 * ```
 * With `input` and `output` (any Standard Schema, such as zod's) values are checked in the client and again on the worker, and types
 * come from the schemas. Throws INVALID_TASK, INVALID_RESOURCES or DUPLICATE_TASK.
 */
export function task<In extends StandardSchema, Out extends StandardSchema>(
  options: TaskOptions & { input: In; output: Out; run: (input: SchemaOutput<In>, ctx: TaskContext) => Awaitable<SchemaInput<Out>> },
): Task<SchemaInput<In>, SchemaOutput<Out>, SchemaOutput<In>, SchemaInput<Out>>
export function task<In extends StandardSchema, Output>(
  options: TaskOptions & { input: In; output?: undefined; run: (input: SchemaOutput<In>, ctx: TaskContext) => Awaitable<Output> },
): Task<SchemaInput<In>, Output, SchemaOutput<In>, Output>
export function task<Out extends StandardSchema, Input = undefined>(
  options: TaskOptions & { input?: undefined; output: Out; run: (input: Input, ctx: TaskContext) => Awaitable<SchemaInput<Out>> },
): Task<Input, SchemaOutput<Out>, Input, SchemaInput<Out>>
export function task<Output, Input = undefined>(
  options: TaskOptions & { input?: undefined; output?: undefined; run: (input: Input, ctx: TaskContext) => Awaitable<Output> },
): Task<Input, Output>
export function task(
  options: TaskOptions & { input?: StandardSchema | undefined; output?: StandardSchema | undefined; run: unknown },
): unknown {
  const { name, module } = checkDefinition(options, getCallSites(2)[1])
  if (typeof options.run !== 'function') throw new CoxswainError('INVALID_TASK', `Task ${name}: run is not a function.`, { id: name })
  return registered({
    kind: 'task',
    name,
    run: options.run,
    input: options.input,
    output: options.output,
    policy: parsePolicy(name, options),
    module,
    external: [...(options.external ?? [])],
    secrets: secretsOf(name, options.secrets),
  })
}

function secretsOf(name: string, secrets: unknown): string[] {
  if (secrets === undefined) return []
  const wrong = Array.isArray(secrets) ? secrets.find(one => typeof one !== 'string' || !isSecretName(one)) : secrets
  if (wrong !== undefined)
    throw new CoxswainError(
      'INVALID_TASK',
      `Task ${name}: secrets is a list of names (letters, digits and _ . -), and has ${JSON.stringify(wrong)}.`,
      {
        id: name,
      },
    )
  return [...(secrets as string[])]
}

/** Checks what tasks and workflows have in common; `site` is where it was defined. Throws INVALID_TASK or DUPLICATE_TASK. */
export function checkDefinition(
  options: TaskOptions & { input?: unknown; output?: unknown },
  site: ReturnType<typeof getCallSites>[number] | undefined,
): { name: string; module: string } {
  const name = checkName(options)
  checkSchema(name, 'input', options.input)
  checkSchema(name, 'output', options.output)
  const module = moduleUrl(options.module ?? site?.scriptName ?? '')
  checkPlace(name, module, options.module === undefined && site ? `${site.lineNumber}:${site.columnNumber}` : '')
  return { name, module }
}

/** All definitions of this program, by name: steps of a workflow need not be exported. A name that is there twice has none. */
export const definitions = new Map<string, object | undefined>()

/** Names of all that was defined in this process. */
const defined = new Set<string>()

/** True if a task or workflow of this name was defined in this process. */
export function isDefined(name: string): boolean {
  return defined.has(name)
}

/** Notes a definition, with all that there is of it where a program is loaded. */
export function registered<T extends { readonly name: string }>(definition: T): T {
  const frozen = Object.freeze(definition)
  defined.add(frozen.name)
  if (Reflect.has(globalThis, executorMark)) definitions.set(frozen.name, definitions.has(frozen.name) ? undefined : frozen)
  return frozen
}

/** True for what `task()` returned, in this or another copy of this module. */
export function isTask(value: unknown): value is TaskOf<unknown, unknown> {
  if (typeof value !== 'object' || value === null) return false
  const candidate = value as Partial<TaskOf<unknown, unknown>>
  return (
    candidate.kind === 'task' &&
    typeof candidate.name === 'string' &&
    typeof candidate.run === 'function' &&
    typeof candidate.policy === 'object'
  )
}

function checkName(options: TaskOptions): string {
  const name: unknown = options?.name
  if (typeof name !== 'string' || !namePattern.test(name) || Buffer.byteLength(name) > limits.nameBytesMax) {
    throw new CoxswainError(
      'INVALID_TASK',
      `The task name ${JSON.stringify(name)} is not usable: letters, digits and . _ : / - only, at most ${limits.nameBytesMax} bytes.`,
      { id: String(name) },
    )
  }
  return name
}

function checkSchema(name: string, field: string, schema: unknown): void {
  if (schema === undefined) return
  const standard = (schema as Partial<StandardSchema> | null)?.['~standard']
  if (standard?.version !== 1 || typeof standard.validate !== 'function') {
    throw new CoxswainError('INVALID_TASK', `Task ${name}: ${field} is not a Standard Schema (version 1).`, { id: name })
  }
}

function checkPlace(name: string, module: string, place: string): void {
  // In a program all modules are one file: what it exports is checked when it loads.
  if (module === '' || place === '' || Reflect.has(globalThis, executorMark)) return
  const key = `${module}\n${name}`
  const before = places.get(key)
  if (before !== undefined && before !== place) {
    throw new CoxswainError('DUPLICATE_TASK', `Two tasks are named ${name}: at line ${before} and at line ${place} of ${module}.`, {
      id: name,
    })
  }
  places.set(key, place)
}

/** The policy that the options ask for. Throws INVALID_TASK or INVALID_RESOURCES. */
export function parsePolicy(name: string, options: TaskOptions): TaskPolicy {
  const retries = options.retries ?? 0
  if (!Number.isInteger(retries) || retries < 0 || retries > retriesMax) {
    throw new CoxswainError('INVALID_TASK', `Task ${name}: retries is ${retries}: it must be a whole number from 0 to ${retriesMax}.`, {
      id: name,
    })
  }
  const { base, max } = options.backoff ?? {}
  const backoffBaseMs = base === undefined ? backoffBaseMsDefault : durationMs(base, `Task ${name}: backoff.base`, 'INVALID_TASK')
  const backoffMsMax = max === undefined ? backoffMsMaxDefault : durationMs(max, `Task ${name}: backoff.max`, 'INVALID_TASK')
  const timeoutMs = options.timeout === undefined ? 0 : durationMs(options.timeout, `Task ${name}: timeout`, 'INVALID_TASK')
  return Object.freeze({
    resources: parseResources(name, options),
    retry: { retriesMax: retries, backoffBaseMs, backoffMsMax: Math.max(backoffMsMax, backoffBaseMs) },
    timeoutMs,
  })
}

/** A module's URL without query; a path becomes a file URL. */
function moduleUrl(module: string): string {
  return /^[a-z][a-z+.-]+:/i.test(module) ? module.replace(/[?#].*$/, '') : module === '' ? '' : pathToFileURL(module).href
}

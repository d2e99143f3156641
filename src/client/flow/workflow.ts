// Owns `workflow()`: what its definition is, its types, and how it is built.
// Must stay light: it is bundled into every program.
import { getCallSites } from 'node:util'
import { CoxswainError } from '../../protocol/index.ts'
import { checkDefinition, parsePolicy, registered, type TaskOptions, type TaskPolicy } from '../define.ts'
import type { SchemaInput, SchemaOutput, StandardSchema } from '../schema.ts'
import { type Built, expansionOf } from './assemble.ts'
import { Flow } from './builder.ts'
import type { Resolved } from './ref.ts'

/** What can be said about a workflow besides its build function. Resources, retries and timeout are those of building it where it is a step. */
export type WorkflowOptions = TaskOptions

/** A workflow: a named, typed plan of steps. `build` is pure: it is called again on every node that needs the plan. */
export interface Workflow<Input, Output> {
  readonly kind: 'workflow'
  readonly name: string
  readonly input: StandardSchema | undefined
  readonly policy: TaskPolicy
  /** URL of the module that defines and exports it. */
  readonly module: string
  readonly external: readonly string[]
  /** @internal The steps for this input. `whole`: it is not a step itself. */
  readonly plan: (input: unknown, whole: boolean) => Built
  /** @internal Called by executors, where it is a step. */
  readonly run: (input: unknown) => unknown
  readonly output: undefined
  /** Only for the type checker. */
  readonly '~types'?: { readonly input: Input; readonly output: Output }
}

/** A workflow of which only the callers' side matters. */
export type WorkflowOf<Input, Output> = Workflow<Input, Output>

/**
 * Defines a workflow. Export it from its module, as a task: workers import it from there by name.
 *
 * ```ts
 * export const nightly = workflow({
 *   name: 'nightly',
 *   build(flow, input: { day: string }) {
 *     const raw = flow.run(download, { day: input.day })
 *     const parts = flow.map(summarise, flow.run(split, raw))
 *     return flow.run(publish, { parts })
 *   },
 * })
 * ```
 * Throws INVALID_TASK, INVALID_RESOURCES or DUPLICATE_TASK; building it throws INVALID_WORKFLOW.
 */
export function workflow<In extends StandardSchema, Result>(
  options: WorkflowOptions & { input: In; build: (flow: Flow, input: SchemaOutput<In>) => Result },
): Workflow<SchemaInput<In>, Resolved<Result>>
export function workflow<Result, Input = undefined>(
  options: WorkflowOptions & { input?: undefined; build: (flow: Flow, input: Input) => Result },
): Workflow<Input, Resolved<Result>>
export function workflow(
  options: WorkflowOptions & { input?: StandardSchema | undefined; build: (flow: Flow, input: never) => unknown },
): unknown {
  const site = getCallSites(2)[1]
  const { name, module } = checkDefinition(options, site)
  const { build } = options
  if (typeof build !== 'function') throw new CoxswainError('INVALID_TASK', `Workflow ${name}: build is not a function.`, { id: name })
  const plan = (input: unknown, whole: boolean): Built => {
    const flow = new Flow(name)
    const result = whole ? built(name, () => build(flow, input as never)) : build(flow, input as never)
    if (result instanceof Promise) {
      result.catch(() => {})
      throw new CoxswainError(
        'INVALID_WORKFLOW',
        `Workflow ${name}: build is async. It only notes the steps: what has to be awaited belongs into a task.`,
        { id: name },
      )
    }
    return { notes: flow.notes, ...flow.finish(result, whole) }
  }
  return registered({
    kind: 'workflow',
    name,
    input: options.input,
    output: undefined,
    policy: parsePolicy(name, options),
    module,
    external: [...(options.external ?? [])],
    plan,
    run: (input: unknown) => expansionOf(plan(input, false)),
  })
}

/** What a user's build function gives in the client: what it throws is told as its own. On a worker its task fails with that, stack and all. */
function built(name: string, build: () => unknown): unknown {
  try {
    return build()
  } catch (error) {
    if (error instanceof CoxswainError) throw error
    const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
    throw new CoxswainError('INVALID_WORKFLOW', `Workflow ${name}: build threw ${message}`, { id: name, cause: error })
  }
}

/** True for what `workflow()` returned, in this or another copy of this module. */
export function isWorkflow(value: unknown): value is Workflow<unknown, unknown> {
  if (typeof value !== 'object' || value === null) return false
  const candidate = value as Partial<Workflow<unknown, unknown>>
  return candidate.kind === 'workflow' && typeof candidate.name === 'string' && typeof candidate.plan === 'function'
}

// Owns the notes of a workflow that is being built: steps by number, what each needs, which branch is being built.
// Must not encode or send anything: assemble.ts turns the notes into a plan.
import { CoxswainError, limits, type Need, type StagePolicy } from '../../protocol/index.ts'
import { type Duration, durationMs } from '../amounts.ts'
import type { TaskOf, TaskPolicy } from '../define.ts'
import { parseTaskLimits, type TaskLimits } from '../policies.ts'
import { identity } from './identity.ts'
import { makeRef, type Ref, type RefOrigin, type RefTarget, refTarget } from './ref.ts'

/** What can be said about a single step; what is missing is as the task's definition says. Without a key, limits are those of a `map` or `reduce` alone. */
export interface StepOptions extends TaskLimits {
  /** What people see it called. Default: the task's name. */
  name?: string
  /** It begins only when these have succeeded, and gets nothing of them. */
  after?: Ref<unknown> | readonly Ref<unknown>[]
  retries?: number
  /** Limit of one attempt. */
  timeout?: Duration
  /** Limit of the step as a whole: from when it could begin to its end, with all attempts, pauses and waits. Then it fails with STEP_TIMEOUT. */
  stepTimeout?: Duration
}

/** A step as it was asked for. */
export interface NotedStep {
  kind: 'tasks' | 'sleep' | 'signal' | 'choice' | 'event'
  definition: TaskOf<unknown, unknown> | undefined
  policy: TaskPolicy | undefined
  /** What limits it besides. Steps with another `group` do not share a limit without a key. */
  limits: { policy: Omit<StagePolicy, 'stage'>; group: number } | undefined
  name: string
  amount: number
  /** Inputs of its tasks; undefined where they come from its first need. */
  inputs: readonly unknown[] | undefined
  needs: Need[]
  /** Its result is a list that tasks are made from. */
  spread: boolean
}

/** What every step that is noted now needs besides its own: a branch, an order. */
export type Guard = { kind: 'taken' | 'untaken' | 'after' | 'failure'; step: number }

/** The steps of one build. */
export class Notes {
  readonly workflow: string
  readonly steps: NotedStep[] = []
  /** There are values that were put together by `all`, or by `map` from several steps. */
  makesValues = false
  readonly #origin: RefOrigin
  #groups = 0
  #guards: readonly Guard[] = []

  constructor(workflow: string) {
    this.workflow = workflow
    this.#origin = { workflow }
  }

  /** Throws INVALID_WORKFLOW. */
  refuse(what: string): never {
    throw new CoxswainError('INVALID_WORKFLOW', `Workflow ${this.workflow}: ${what}.`, { id: this.workflow })
  }

  /** A pause or limit in milliseconds. Throws INVALID_WORKFLOW. */
  durationMs(duration: Duration, what: string): number {
    return durationMs(duration, `Workflow ${this.workflow}: ${what}`, 'INVALID_WORKFLOW')
  }

  ref<T>(target: RefTarget): Ref<T> {
    return makeRef(target, this.#origin)
  }

  value<T>(step: number): Ref<T> {
    return this.ref({ kind: 'value', step })
  }

  made<T>(value: unknown): Ref<T> {
    this.makesValues = true
    return this.ref({ kind: 'made', value })
  }

  /** What a Ref stands for; undefined for any other value. Throws INVALID_WORKFLOW for one of another build. */
  target(value: unknown): RefTarget | undefined {
    const found = refTarget(value)
    if (!found || found.origin === this.#origin) return found?.target
    const other = found.origin.workflow === this.workflow ? 'another run of it' : found.origin.workflow
    return this.refuse(`the result of a step of ${other} was used: Refs belong to the workflow that they were made in`)
  }

  afterNeeds(refs: Ref<unknown> | readonly Ref<unknown>[]): Guard[] {
    const list = Array.isArray(refs) ? refs : [refs]
    return list.map((ref: unknown) => ({ kind: 'after' as const, step: this.stepOf(ref, 'after') }))
  }

  /** The step that a Ref stands for; one is made where it stands for a value with others in it. */
  stepOf(ref: unknown, where: string): number {
    const found = this.target(ref)
    if (!found) return this.refuse(`${where}: ${typeof ref} is no result of a step`)
    if (found.kind === 'value' || found.kind === 'list') return found.step
    return this.tasks(identity, [ref], {})
  }

  /** A step with one task, whose result others may look at: for branches and lists. */
  single(ref: unknown): number {
    const step = this.stepOf(ref, 'flow')
    const noted = this.steps[step]!
    const plain = noted.kind === 'tasks' && noted.inputs?.length === 1 && noted.definition?.kind === 'task'
    return plain ? step : this.tasks(identity, [ref], {})
  }

  branch(guard: Guard, steps: () => unknown): number {
    const first = this.steps.length
    return this.within([guard], () => {
      const result = steps()
      const found = this.target(result)
      // What was made before the branch, or is no step, becomes one of the branch: only that says whether it was taken.
      if (found?.kind === 'value' && found.step >= first) return found.step
      const used = new Set(this.steps.slice(first).flatMap(step => step.needs.map(need => need.step)))
      const ends = this.steps
        .slice(first)
        .flatMap((step, i) => (used.has(first + i) || step.needs.some(need => need.kind === 'undo') ? [] : [first + i]))
      const last = this.tasks(identity, [result], {})
      this.steps[last]!.needs.push(...ends.map(step => ({ kind: 'after' as const, step })))
      return last
    })
  }

  choice<T>(options: readonly number[]): Ref<T> {
    const step = this.note({ kind: 'choice' })
    this.steps[step]!.needs.unshift(...options.map(option => ({ kind: 'option' as const, step: option })))
    return this.value(step)
  }

  within<T>(guards: readonly Guard[], steps: () => T): T {
    const before = this.#guards
    this.#guards = [...before, ...guards]
    try {
      return steps()
    } finally {
      this.#guards = before
    }
  }

  wide(definition: TaskOf<unknown, unknown>, need: Need, amount: number, options: StepOptions): number {
    const step = this.tasks(definition, undefined, options)
    this.steps[step]!.needs.unshift(need)
    this.steps[step]!.amount = amount
    return step
  }

  /** A number for steps that share limits without a key. */
  newGroup(): number {
    return ++this.#groups
  }

  /** Limits of a step, or undefined where it has none. Throws INVALID_WORKFLOW. */
  #limitsOf(options: StepOptions, what: string, group: number): NotedStep['limits'] {
    const where = `Workflow ${this.workflow}, ${what}: `
    const given = parseTaskLimits(options, where, 'INVALID_WORKFLOW')
    const { stepTimeout } = options
    if (!given && stepTimeout === undefined) return undefined
    const stepTimeoutMs = stepTimeout === undefined ? 0 : this.durationMs(stepTimeout, `stepTimeout of ${what}`)
    const policy = { key: '', concurrency: 0, rateLimit: 0, ratePerMs: 0, ...given, stepTimeoutMs }
    return { policy, group: given?.key === '' ? group : 0 }
  }

  tasks(
    definition: TaskOf<unknown, unknown>,
    inputs: readonly unknown[] | undefined,
    options: StepOptions,
    group: number = this.newGroup(),
  ): number {
    const { name, after, retries, timeout } = options
    const { policy } = definition
    if (name !== undefined && (typeof name !== 'string' || Buffer.byteLength(name) > limits.nameBytesMax))
      return this.refuse(`a step's name must be a text of at most ${limits.nameBytesMax} bytes`)
    if (retries !== undefined && (!Number.isInteger(retries) || retries < 0 || retries > 1000))
      return this.refuse(`retries is ${retries}: it must be a whole number from 0 to 1000`)
    const step = this.note({
      kind: 'tasks',
      definition,
      // Most steps have the policy of their task, the very same object.
      policy:
        retries === undefined && timeout === undefined
          ? policy
          : {
              ...policy,
              ...(retries !== undefined && { retry: { ...policy.retry, retriesMax: retries } }),
              ...(timeout !== undefined && { timeoutMs: this.durationMs(timeout, `timeout of ${name ?? definition.name}`) }),
            },
      limits: this.#limitsOf(options, name ?? definition.name, group),
      name: name ?? '',
      inputs,
    })
    if (after !== undefined) this.steps[step]!.needs.push(...this.afterNeeds(after))
    return step
  }

  note(step: Partial<NotedStep> & Pick<NotedStep, 'kind'>): number {
    // Here and not only at the end: a loop that never ends is told as well.
    if (this.steps.length === limits.stepsMax)
      return this.refuse(`it has more than ${limits.stepsMax} steps in one build. Use flow.map, or workflows as steps`)
    const { kind, definition, policy, limits: limited, name = '', amount = 0, inputs } = step
    const needs: Need[] = this.#guards.map(guard => ({ kind: guard.kind, step: guard.step }))
    return this.steps.push({ kind, definition, policy, limits: limited, name, amount, inputs, needs, spread: false }) - 1
  }
}

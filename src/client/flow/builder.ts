// Owns `flow`, with which a workflow is built: each call notes a step and what it waits for. Pure: the same input gives the same steps.
// Must not run, send or encode anything: assemble.ts turns the notes into a plan.
import { CoxswainError, limits, type Need } from '../../protocol/index.ts'
import { type Duration, durationMs } from '../amounts.ts'
import { isTask, type TaskOf, type TaskPolicy } from '../define.ts'
import { identity } from './identity.ts'
import { type Given, makeRef, type Ref, type RefOrigin, type Resolved, refTarget } from './ref.ts'
import { isWorkflow, type WorkflowOf } from './workflow.ts'

/** What can be said about a single step; what is missing is as the task's definition says. */
export interface StepOptions {
  /** What people see it called. Default: the task's name. */
  name?: string
  /** It begins only when these have succeeded, and gets nothing of them. */
  after?: Ref<unknown> | readonly Ref<unknown>[]
  retries?: number
  /** Limit of one attempt. */
  timeout?: Duration
}

/** Options of `flow.reduce`. */
export interface ReduceOptions extends StepOptions {
  /** How many results one call gets at most. Default 100. */
  fanIn?: number
}

/** What a step that failed is for `flow.catch`. */
export interface StepError {
  code: string
  message: string
  /** `stage/index` of the task that failed, empty where none did. */
  task: string
}

/** A step as it was asked for. */
export interface NotedStep {
  kind: 'tasks' | 'sleep' | 'signal' | 'choice'
  definition: TaskOf<unknown, unknown> | undefined
  policy: TaskPolicy | undefined
  name: string
  amount: number
  /** Inputs of its tasks; undefined where they come from its first need. */
  inputs: readonly unknown[] | undefined
  needs: Need[]
  /** Its result is a list that tasks are made from. */
  spread: boolean
}

/** Fan-in where none is asked for: leaves of a tree of a million have 10,000 nodes above them. */
const fanInDefault = 100

type Guard = { kind: 'taken' | 'untaken' | 'after' | 'failure'; step: number }

/** Builds one workflow. */
export class Flow {
  readonly #origin: RefOrigin
  #makesValues = false
  readonly #steps: NotedStep[] = []
  #guards: readonly Guard[] = []

  /** @internal Made where a workflow is built. */
  constructor(workflow: string) {
    this.#origin = { workflow }
  }

  /**
   * A step: the task with this input, in which results of other steps may stand anywhere. A workflow as a step is built when its input is there, on a
   * worker: so it may branch, loop and recurse on real values.
   */
  run<Input, Output>(
    task: TaskOf<Input, Output> | WorkflowOf<Input, Output>,
    ...call: undefined extends Input ? [input?: Given<Input>, options?: StepOptions] : [input: Given<Input>, options?: StepOptions]
  ): Ref<Output> {
    const [input, options = {}] = call
    return this.#value(this.#tasks(this.#checked(task, 'run'), [input], options))
  }

  /**
   * A step with a task for each item: of an array, of a step's result (which must be an array then), or of another `map`, whose results are passed on
   * one by one as they come. The result is the array of results, in order.
   */
  map<Input, Output>(
    task: TaskOf<Input, Output> | WorkflowOf<Input, Output>,
    items: Given<readonly Input[]>,
    options: StepOptions = {},
  ): Ref<Output[]> {
    const definition = this.#checked(task, 'map')
    const found = this.#target(items)
    if (!found || found.kind === 'made') {
      const list: unknown = found ? found.value : items
      if (!Array.isArray(list)) return this.#refuse(`flow.map(${task.name}) got ${typeof list} and no array`)
      if (isWorkflow(task) || hasRefs(list)) {
        return this.#made(list.map(item => this.#value(this.#tasks(definition, [item], options))))
      }
      return makeRef({ kind: 'list', step: this.#tasks(definition, list, options) }, this.#origin)
    }
    if (isWorkflow(task))
      return this.#refuse(`flow.map(${task.name}): a workflow can be mapped over an array only, not over the result of a step`)
    if (found.kind === 'list')
      return makeRef({ kind: 'list', step: this.#wide(definition, { kind: 'each', step: found.step }, 0, options) }, this.#origin)
    const producer = this.#single(items)
    this.#steps[producer]!.spread = true
    return makeRef({ kind: 'list', step: this.#wide(definition, { kind: 'spread', step: producer }, 0, options) }, this.#origin)
  }

  /**
   * Combines results in a tree: the task gets an array of up to `fanIn` results and gives one, until a single one is left. The order is kept. Of nothing the
   * result is `undefined`.
   */
  reduce<T>(task: TaskOf<T[], T> | TaskOf<readonly T[], T>, items: Given<readonly T[]>, options: ReduceOptions = {}): Ref<T> {
    const definition = this.#checked(task, 'reduce')
    const fanIn = options.fanIn ?? fanInDefault
    if (!Number.isInteger(fanIn) || fanIn < 2)
      return this.#refuse(`flow.reduce(${task.name}): fanIn is ${fanIn}, and must be a whole number from 2`)
    const found = this.#target(items)
    const list = found?.kind === 'list' ? found : this.#target(this.map(identity, items as Given<readonly unknown[]>))
    const made = list?.kind === 'made' ? this.#target(this.map(identity, this.run(identity, list.value) as Ref<readonly unknown[]>)) : list
    if (made?.kind !== 'list') return this.#refuse(`flow.reduce(${task.name}) got no array`)
    return this.#value(this.#wide(definition, { kind: 'fold', step: made.step }, fanIn, options))
  }

  /** Several results as one value; an array or object of Refs can also be passed on as it is. */
  all<const T>(values: T): Ref<Resolved<T>> {
    return this.#made(values)
  }

  /** Steps that begin only when these have succeeded, and get nothing of them. */
  after<T>(refs: Ref<unknown> | readonly Ref<unknown>[], steps: () => T): T {
    return this.#within(this.#afterNeeds(refs), steps)
  }

  /**
   * A branch: of the two functions' steps those of the first run if the result is true in the sense of `if`, else those of the second. Its result is that of
   * the branch that was taken. Both functions are called while the workflow is built.
   */
  when<Then, Otherwise = undefined>(
    condition: Ref<unknown>,
    then: () => Then,
    otherwise?: () => Otherwise,
  ): Ref<Resolved<Then> | Resolved<Otherwise>> {
    const step = this.#single(condition)
    const options = [this.#branch({ kind: 'taken', step }, then), this.#branch({ kind: 'untaken', step }, otherwise ?? (() => undefined))]
    return this.#choice(options)
  }

  /** What to do if a step fails for good: the result is that of the step, or else what `handler` gives. */
  catch<T, Handled>(ref: Ref<T>, handler: (error: Ref<StepError>) => Handled): Ref<T | Resolved<Handled>> {
    const step = this.#stepOf(ref, 'flow.catch')
    const handled = this.#branch({ kind: 'failure', step }, () => handler(makeRef({ kind: 'failure', step }, this.#origin)))
    return this.#choice([step, handled])
  }

  /**
   * A compensation: if the workflow fails although this step succeeded, the task is run, with the step's result or with `input`. Compensations run one after
   * the other when everything else has ended, the one that was named last first. One that fails keeps none of the others from running.
   */
  onFailure<T>(ref: Ref<T>, task: TaskOf<T, unknown>): void
  onFailure<T, Input>(ref: Ref<T>, task: TaskOf<Input, unknown>, input: Given<Input>, options?: StepOptions): void
  onFailure(ref: Ref<unknown>, task: TaskOf<never, unknown>, ...rest: [input?: unknown, options?: StepOptions]): void {
    const step = this.#stepOf(ref, 'flow.onFailure')
    const [input, options = {}] = rest
    const undo = this.#tasks(this.#checked(task as TaskOf<unknown, unknown>, 'onFailure'), [rest.length === 0 ? ref : input], options)
    this.#steps[undo]!.needs.push({ kind: 'undo', step })
  }

  /** A pause, kept by the cluster: nothing waits meanwhile. Steps go into `flow.after(flow.sleep('1h'), () => …)`. */
  sleep(duration: Duration): Ref<undefined> {
    const amount = durationMs(duration, `Workflow ${this.#origin.workflow}: flow.sleep`, 'INVALID_WORKFLOW')
    return this.#value(this.#note({ kind: 'sleep', amount }))
  }

  /** Waits for `cluster.signal(job, name, payload)`, whose payload is the result. Each signal is taken by one step. With `timeout` it fails as SIGNAL_TIMEOUT. */
  waitFor<T = unknown>(name: string, options: { timeout?: Duration } = {}): Ref<T> {
    if (typeof name !== 'string' || name === '' || Buffer.byteLength(name) > limits.nameBytesMax)
      return this.#refuse(`flow.waitFor: ${JSON.stringify(name)} is no name of a signal`)
    const amount =
      options.timeout === undefined
        ? 0
        : durationMs(options.timeout, `Workflow ${this.#origin.workflow}: timeout of flow.waitFor`, 'INVALID_WORKFLOW')
    return this.#value(this.#note({ kind: 'signal', name, amount }))
  }

  /** @internal The notes, with the step whose result is the workflow's. `whole`: it may also have many results, in order. */
  finish(result: unknown, whole: boolean): { steps: readonly NotedStep[]; output: number } {
    const found = this.#target(result)
    const noted = found && (found.kind === 'value' || found.kind === 'list') ? this.#steps[found.step]! : undefined
    const usable = noted && noted.kind === 'tasks' && !noted.spread && (found!.kind === 'value' || whole)
    if (usable && 'step' in found!) return { steps: this.#steps, output: found.step }
    return { steps: this.#steps, output: this.#tasks(identity, [result], {}) }
  }

  /** @internal Name of the workflow. */
  get name(): string {
    return this.#origin.workflow
  }

  /** @internal There are values that were put together by `all`, or by `map` from several steps. */
  get makesValues(): boolean {
    return this.#makesValues
  }

  /** @internal What stands for what in an input, for the one that encodes it. Throws INVALID_WORKFLOW for a Ref of another workflow. */
  target(value: object): ReturnType<typeof refTarget> {
    const found = refTarget(value)
    if (found && found.origin !== this.#origin)
      return this.#refuse(
        `the result of a step of ${found.origin.workflow === this.#origin.workflow ? 'another run of it' : found.origin.workflow} was used: Refs belong to the workflow that they were made in`,
      )
    return found
  }

  #target(value: unknown): NonNullable<ReturnType<typeof refTarget>>['target'] | undefined {
    return typeof value === 'object' && value !== null ? this.target(value)?.target : undefined
  }

  #refuse(what: string): never {
    throw new CoxswainError('INVALID_WORKFLOW', `Workflow ${this.#origin.workflow}: ${what}.`, { id: this.#origin.workflow })
  }

  #value<T>(step: number): Ref<T> {
    return makeRef({ kind: 'value', step }, this.#origin)
  }

  #made<T>(value: unknown): Ref<T> {
    this.#makesValues = true
    return makeRef({ kind: 'made', value }, this.#origin)
  }

  #checked(task: unknown, method: string): TaskOf<unknown, unknown> {
    if (isTask(task)) return task
    if (isWorkflow(task)) return task as unknown as TaskOf<unknown, unknown>
    return this.#refuse(`flow.${method}: the first argument is neither a task nor a workflow: pass what task() or workflow() returned`)
  }

  #afterNeeds(refs: Ref<unknown> | readonly Ref<unknown>[]): Guard[] {
    const list = Array.isArray(refs) ? refs : [refs]
    return list.map((ref: unknown) => ({ kind: 'after' as const, step: this.#stepOf(ref, 'after') }))
  }

  /** The step that a Ref stands for; one is made where it stands for a value with others in it. */
  #stepOf(ref: unknown, where: string): number {
    const found = this.#target(ref)
    if (!found) return this.#refuse(`${where}: ${typeof ref} is no result of a step`)
    if (found.kind === 'value' || found.kind === 'list') return found.step
    return this.#tasks(identity, [ref], {})
  }

  /** A step with one task, whose result others may look at: for branches and lists. */
  #single(ref: unknown): number {
    const step = this.#stepOf(ref, 'flow')
    const noted = this.#steps[step]!
    const plain = noted.kind === 'tasks' && noted.inputs?.length === 1 && noted.definition?.kind === 'task'
    return plain ? step : this.#tasks(identity, [ref], {})
  }

  #branch(guard: Guard, steps: () => unknown): number {
    const first = this.#steps.length
    return this.#within([guard], () => {
      const result = steps()
      const found = this.#target(result)
      // What was made before the branch, or is no step, becomes one of the branch: only that says whether it was taken.
      if (found?.kind === 'value' && found.step >= first) return found.step
      const used = new Set(this.#steps.slice(first).flatMap(step => step.needs.map(need => need.step)))
      const ends = this.#steps
        .slice(first)
        .flatMap((step, i) => (used.has(first + i) || step.needs.some(need => need.kind === 'undo') ? [] : [first + i]))
      const last = this.#tasks(identity, [result], {})
      this.#steps[last]!.needs.push(...ends.map(step => ({ kind: 'after' as const, step })))
      return last
    })
  }

  #choice<T>(options: readonly number[]): Ref<T> {
    const step = this.#note({ kind: 'choice' })
    this.#steps[step]!.needs.unshift(...options.map(option => ({ kind: 'option' as const, step: option })))
    return this.#value(step)
  }

  #within<T>(guards: readonly Guard[], steps: () => T): T {
    const before = this.#guards
    this.#guards = [...before, ...guards]
    try {
      return steps()
    } finally {
      this.#guards = before
    }
  }

  #wide(definition: TaskOf<unknown, unknown>, need: Need, amount: number, options: StepOptions): number {
    const step = this.#tasks(definition, undefined, options)
    this.#steps[step]!.needs.unshift(need)
    this.#steps[step]!.amount = amount
    return step
  }

  #tasks(definition: TaskOf<unknown, unknown>, inputs: readonly unknown[] | undefined, options: StepOptions): number {
    const { name, after, retries, timeout } = options
    const what = `Workflow ${this.#origin.workflow}: step ${name ?? definition.name}`
    const { policy } = definition
    if (name !== undefined && (typeof name !== 'string' || Buffer.byteLength(name) > limits.nameBytesMax))
      return this.#refuse(`a step's name must be a text of at most ${limits.nameBytesMax} bytes`)
    if (retries !== undefined && (!Number.isInteger(retries) || retries < 0 || retries > 1000))
      return this.#refuse(`retries is ${retries}: it must be a whole number from 0 to 1000`)
    const step = this.#note({
      kind: 'tasks',
      definition,
      policy: {
        ...policy,
        ...(retries !== undefined && { retry: { ...policy.retry, retriesMax: retries } }),
        ...(timeout !== undefined && { timeoutMs: durationMs(timeout, `${what}: timeout`, 'INVALID_WORKFLOW') }),
      },
      name: name ?? '',
      inputs,
    })
    if (after !== undefined) this.#steps[step]!.needs.push(...this.#afterNeeds(after))
    return step
  }

  #note(step: Partial<NotedStep> & Pick<NotedStep, 'kind'>): number {
    const guards = this.#guards.map(({ kind, step: guard }) => ({ kind, step: guard }))
    this.#steps.push({
      definition: undefined,
      policy: undefined,
      name: '',
      amount: 0,
      inputs: undefined,
      spread: false,
      ...step,
      needs: guards,
    })
    return this.#steps.length - 1
  }
}

/** True if a Ref stands anywhere in the first levels of the value: where it is deeper, it is found when the value is encoded. */
function hasRefs(value: unknown, depth = 8): boolean {
  if (typeof value !== 'object' || value === null || depth === 0) return false
  if (refTarget(value)) return true
  if (ArrayBuffer.isView(value) || value instanceof Date) return false
  return Object.values(value).some(one => hasRefs(one, depth - 1))
}

// Owns `flow`, with which a workflow is built: each call notes a step and what it waits for. Pure: the same input gives the same steps.
// Must not run, send or encode anything.
import { eventKeyFlaw, eventNameFlaw, eventStepName, limits } from '../../protocol/index.ts'
import type { Duration } from '../amounts.ts'
import { isTask, type TaskOf } from '../define.ts'
import { identity } from './identity.ts'
import { type NotedStep, Notes, type StepOptions } from './notes.ts'
import { type Given, type Ref, type Resolved, refTarget } from './ref.ts'
import { isWorkflow, type WorkflowOf } from './workflow.ts'

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

/** Fan-in where none is asked for: leaves of a tree of a million have 10,000 nodes above them. */
const fanInDefault = 100

/** Builds one workflow. */
export class Flow {
  readonly #notes: Notes

  /** @internal Made where a workflow is built. */
  constructor(workflow: string) {
    this.#notes = new Notes(workflow)
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
    return this.#notes.value(this.#notes.tasks(this.#checked(task, 'run'), [input], this.#single(options, task.name)))
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
    const found = this.#notes.target(items)
    if (!found || found.kind === 'made') {
      const list: unknown = found ? found.value : items
      if (!Array.isArray(list)) return this.#notes.refuse(`flow.map(${task.name}) got ${typeof list} and no array`)
      if (isWorkflow(task) || hasRefs(list)) {
        const group = this.#notes.newGroup()
        return this.#notes.made(list.map(item => this.#notes.value(this.#notes.tasks(definition, [item], options, group))))
      }
      return this.#notes.ref({ kind: 'list', step: this.#notes.tasks(definition, list, options) })
    }
    if (isWorkflow(task))
      return this.#notes.refuse(`flow.map(${task.name}): a workflow can be mapped over an array only, not over the result of a step`)
    if (found.kind === 'list')
      return this.#notes.ref({ kind: 'list', step: this.#notes.wide(definition, { kind: 'each', step: found.step }, 0, options) })
    const producer = this.#notes.single(items)
    this.#notes.steps[producer]!.spread = true
    return this.#notes.ref({ kind: 'list', step: this.#notes.wide(definition, { kind: 'spread', step: producer }, 0, options) })
  }

  /**
   * Combines results in a tree: the task gets an array of up to `fanIn` results and gives one, until a single one is left. The order is kept. Of nothing the
   * result is `undefined`.
   */
  reduce<T>(task: TaskOf<T[], T> | TaskOf<readonly T[], T>, items: Given<readonly T[]>, options: ReduceOptions = {}): Ref<T> {
    const definition = this.#checked(task, 'reduce')
    const fanIn = options.fanIn ?? fanInDefault
    if (!Number.isInteger(fanIn) || fanIn < 2)
      return this.#notes.refuse(`flow.reduce(${task.name}): fanIn is ${fanIn}, and must be a whole number from 2`)
    const found = this.#notes.target(items)
    const list = found?.kind === 'list' ? found : this.#notes.target(this.map(identity, items as Given<readonly unknown[]>))
    const made =
      list?.kind === 'made' ? this.#notes.target(this.map(identity, this.run(identity, list.value) as Ref<readonly unknown[]>)) : list
    if (made?.kind !== 'list') return this.#notes.refuse(`flow.reduce(${task.name}) got no array`)
    return this.#notes.value(this.#notes.wide(definition, { kind: 'fold', step: made.step }, fanIn, options))
  }

  /** Several results as one value; an array or object of Refs can also be passed on as it is. */
  all<const T>(values: T): Ref<Resolved<T>> {
    return this.#notes.made(values)
  }

  /** Steps that begin only when these have succeeded, and get nothing of them. */
  after<T>(refs: Ref<unknown> | readonly Ref<unknown>[], steps: () => T): T {
    return this.#notes.within(this.#notes.afterNeeds(refs), steps)
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
    const step = this.#notes.single(condition)
    const options = [
      this.#notes.branch({ kind: 'taken', step }, then),
      this.#notes.branch({ kind: 'untaken', step }, otherwise ?? (() => undefined)),
    ]
    return this.#notes.choice(options)
  }

  /** What to do if a step fails for good: the result is that of the step, or else what `handler` gives. */
  catch<T, Handled>(ref: Ref<T>, handler: (error: Ref<StepError>) => Handled): Ref<T | Resolved<Handled>> {
    const step = this.#notes.stepOf(ref, 'flow.catch')
    const handled = this.#notes.branch({ kind: 'failure', step }, () => handler(this.#notes.ref({ kind: 'failure', step })))
    return this.#notes.choice([step, handled])
  }

  /**
   * A compensation: if the workflow fails although this step succeeded, the task is run, with the step's result or with `input`. Compensations run one after
   * the other when everything else has ended, the one that was named last first. One that fails keeps none of the others from running.
   */
  onFailure<T>(ref: Ref<T>, task: TaskOf<T, unknown>): void
  onFailure<T, Input>(ref: Ref<T>, task: TaskOf<Input, unknown>, input: Given<Input>, options?: StepOptions): void
  onFailure(ref: Ref<unknown>, task: TaskOf<never, unknown>, ...rest: [input?: unknown, options?: StepOptions]): void {
    const step = this.#notes.stepOf(ref, 'flow.onFailure')
    const [input, options = {}] = rest
    const undo = this.#notes.tasks(
      this.#checked(task as TaskOf<unknown, unknown>, 'onFailure'),
      [rest.length === 0 ? ref : input],
      this.#single(options, task.name),
    )
    this.#notes.steps[undo]!.needs.push({ kind: 'undo', step })
  }

  /** A pause, kept by the cluster: nothing waits meanwhile. Steps go into `flow.after(flow.sleep('1h'), () => …)`. */
  sleep(duration: Duration): Ref<undefined> {
    const amount = this.#notes.durationMs(duration, 'flow.sleep')
    return this.#notes.value(this.#notes.note({ kind: 'sleep', amount }))
  }

  /** Waits for `cluster.signal(job, name, payload)`, whose payload is the result. Each signal is taken by one step. With `timeout` it fails as SIGNAL_TIMEOUT. */
  waitFor<T = unknown>(name: string, options: { timeout?: Duration } = {}): Ref<T> {
    if (typeof name !== 'string' || name === '' || Buffer.byteLength(name) > limits.nameBytesMax)
      return this.#notes.refuse(`flow.waitFor: ${JSON.stringify(name)} is no name of a signal`)
    const amount = options.timeout === undefined ? 0 : this.#notes.durationMs(options.timeout, 'timeout of flow.waitFor')
    return this.#notes.value(this.#notes.note({ kind: 'signal', name, amount }))
  }

  /**
   * Waits for `cluster.emit(event, payload)`, whose payload is the result; with `key` only for events of this key. It is the first one that was sent since the
   * workflow was submitted (as a step of another: since it was built), also if that was before this step's turn. All steps that wait for an event get it.
   * With `timeout`, counted from its turn, it fails as EVENT_TIMEOUT.
   */
  waitForEvent<T = unknown>(event: string, options: { key?: string; timeout?: Duration } = {}): Ref<T> {
    const { key, timeout } = options
    const flaw = eventNameFlaw(event) ?? (key === undefined ? undefined : eventKeyFlaw(key))
    if (flaw !== undefined) return this.#notes.refuse(`flow.waitForEvent: ${flaw}`)
    const amount = timeout === undefined ? 0 : this.#notes.durationMs(timeout, 'timeout of flow.waitForEvent')
    return this.#notes.value(this.#notes.note({ kind: 'event', name: eventStepName(event, key ?? ''), amount }))
  }

  /** @internal The notes, with the step whose result is the workflow's. `whole`: it may also have many results, in order. */
  finish(result: unknown, whole: boolean): { steps: readonly NotedStep[]; output: number } {
    const found = this.#notes.target(result)
    const noted = found && (found.kind === 'value' || found.kind === 'list') ? this.#notes.steps[found.step]! : undefined
    const usable = noted && noted.kind === 'tasks' && !noted.spread && (found!.kind === 'value' || whole)
    if (usable && 'step' in found!) return { steps: this.#notes.steps, output: found.step }
    return { steps: this.#notes.steps, output: this.#notes.tasks(identity, [result], {}) }
  }

  /** @internal What was noted. */
  get notes(): Notes {
    return this.#notes
  }

  /** Options of a step with one task, which nothing but a key can keep from running. */
  #single(options: StepOptions, task: string): StepOptions {
    const { concurrencyKey, concurrency, rate } = options
    if (concurrencyKey === undefined && (concurrency !== undefined || rate !== undefined))
      return this.#notes.refuse(`${options.name ?? task}: concurrency and rate of a single step need a concurrencyKey`)
    return options
  }

  #checked(task: unknown, method: string): TaskOf<unknown, unknown> {
    if (isTask(task)) return task
    // To the leader a workflow as a step is a task of the same name.
    if (isWorkflow(task)) return task as unknown as TaskOf<unknown, unknown>
    return this.#notes.refuse(
      `flow.${method}: the first argument is neither a task nor a workflow: pass what task() or workflow() returned`,
    )
  }
}

/** True if a Ref stands anywhere in the first levels of the value: where it is deeper, it is found when the value is encoded. */
function hasRefs(value: unknown, depth = 8): boolean {
  if (typeof value !== 'object' || value === null || depth === 0) return false
  if (refTarget(value)) return true
  if (ArrayBuffer.isView(value) || value instanceof Date) return false
  return Object.values(value).some(one => hasRefs(one, depth - 1))
}

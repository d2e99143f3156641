// Owns turning the notes of a build into a plan: stages, steps, and the bytes of their inputs.
// Must not send anything.
import {
  beginTemplate,
  ChunkWriter,
  CoxswainError,
  type FlowStep,
  type Inputs,
  itemInline,
  type ListedPlan,
  limits,
  type Need,
  needKinds,
  type StagePlan,
  type StagePolicy,
  type TaskBlock,
  TemplateEncoder,
  Writer,
} from '../../protocol/index.ts'
import type { TaskOf, TaskPolicy } from '../define.ts'
import type { NotedStep, Notes } from './notes.ts'

/** A workflow that was built. */
export interface Built {
  notes: Notes
  steps: readonly NotedStep[]
  output: number
}

/** A plan, ready but for the program, and the items of each stage's tasks. */
export interface Assembled {
  stages: StagePlan[]
  items: Uint8Array[][]
  plan: ListedPlan
  /** Limits of stages. */
  policies: StagePolicy[]
}

/** Under this key an executor finds what a workflow as a step was built into. */
const expansionMark: symbol = Symbol.for('coxswain.expansion')

/** What a workflow as a step gives to its executor. */
export function expansionOf(built: Built): object {
  const { stages, items, plan, policies } = assemble(built)
  return { [expansionMark]: { stages, inputs: items.flatMap((one, stage) => packed(stage, one, [])), flow: plan, policies } }
}

/** The items of a stage in chunks; `blocks` says which of them only name a block. */
export function packed(stage: number, items: readonly Uint8Array[], blocks: readonly TaskBlock[]): Inputs[] {
  const inputs: Inputs[] = []
  const chunk = new ChunkWriter()
  let first = 0
  const flush = (end: number): void => {
    if (chunk.count === 0) return
    const own = blocks.filter(block => block.index >= first && block.index < end)
    inputs.push({ stage, first, items: chunk.finish(), blocks: own, seal: false })
    first = end
  }
  for (const [index, item] of items.entries()) {
    if (chunk.count >= limits.chunkTasksMax || chunk.bytes + item.length > limits.chunkBytesMax) flush(index)
    chunk.add(item)
  }
  flush(items.length)
  return inputs
}

const inlineHead = Buffer.of(itemInline)

interface Gathered {
  plan: StagePlan
  policy: Omit<StagePolicy, 'stage'> | undefined
  items: Uint8Array[]
}

/** Turns notes into a plan. Throws INVALID_WORKFLOW, or VALUE_CANNOT_TRAVEL for an input. */
export function assemble(built: Built): Assembled {
  return new Assembler(built).assemble()
}

class Assembler {
  readonly #built: Built
  readonly #stages: Gathered[] = []
  readonly #shared = new Map<string, number>()
  readonly #names = new Map<string, TaskOf<unknown, unknown>>()
  /** Policy and stage of the last step of each definition: most have the same. */
  readonly #lastOf = new Map<TaskOf<unknown, unknown>, { policy: TaskPolicy; stage: number }>()
  readonly #scratch = new Writer(512)
  readonly #encoder = new TemplateEncoder(object => this.#hole(object))
  /** Of the item that is encoded now: its step (-1: holes are not allowed), its holes, and where the hole of each need is. */
  #number = 0
  #holes: Need[] = []
  readonly #positions = new Map<number, number>()

  constructor(built: Built) {
    this.#built = built
  }

  assemble(): Assembled {
    const { steps, output } = this.#built
    const plan: ListedPlan = { steps: steps.map((step, number) => this.#step(step, number)), output }
    const policies = this.#stages.flatMap(({ policy }, stage) => (policy ? [{ stage, ...policy }] : []))
    return { stages: this.#stages.map(one => one.plan), items: this.#stages.map(one => one.items), plan, policies }
  }

  #refuse(what: string): CoxswainError {
    const { workflow } = this.#built.notes
    return new CoxswainError('INVALID_WORKFLOW', `Workflow ${workflow}: ${what}.`, { id: workflow })
  }

  #step(step: NotedStep, number: number): FlowStep {
    const { kind, name, amount, definition } = step
    if (!definition) return { kind, stage: 0, count: 0, name, amount, needs: step.needs }
    const count = step.inputs?.length ?? 0
    const stage = this.#stageOf(step, definition, count === 1)
    const needs: Need[] = step.inputs && count === 1 ? this.#single(stage, step, number) : step.needs
    if (step.inputs && count !== 1) this.#many(stage, step, step.inputs)
    if (needs.length > limits.needsMax)
      throw this.#refuse(
        `step ${number} (${definition.name}) needs ${needs.length} others; ${limits.needsMax} are allowed. Use flow.map and flow.reduce`,
      )
    return { kind, stage, count, name, amount, needs }
  }

  /** Steps of one task share a stage where everything about them is the same; any other step has one of its own. */
  #stageOf(step: NotedStep, definition: TaskOf<unknown, unknown>, shared: boolean): number {
    const before = this.#names.get(definition.name)
    if (before && before !== definition)
      throw this.#refuse(`two definitions that it uses are named ${definition.name}: give each a name of its own`)
    this.#names.set(definition.name, definition)
    const policy = step.policy as TaskPolicy
    const { resources, retry, timeoutMs } = policy
    // One with limits is looked up by them.
    const last = shared && !step.limits ? this.#lastOf.get(definition) : undefined
    if (last && last.policy.resources === resources && last.policy.retry === retry && last.policy.timeoutMs === timeoutMs) return last.stage
    const key = JSON.stringify([definition.name, resources, retry, timeoutMs, step.limits])
    const known = shared ? this.#shared.get(key) : undefined
    if (known !== undefined) {
      this.#lastOf.set(definition, { policy, stage: known })
      return known
    }
    if (this.#stages.length >= limits.stagesMax)
      throw this.#refuse(`it has more than ${limits.stagesMax} different tasks and maps in one build. Use workflows as steps`)
    const plan = { task: definition.name, program: '', resources, retry, timeoutMs, edges: [] }
    this.#stages.push({ plan, policy: step.limits?.policy, items: [] })
    if (shared) this.#shared.set(key, this.#stages.length - 1)
    return this.#stages.length - 1
  }

  /** Encodes the input of a step with one task; what it needs, in the order of the holes in it, then what it waits for. */
  #single(stage: number, step: NotedStep, number: number): Need[] {
    this.#holes = []
    this.#positions.clear()
    this.#number = number
    this.#item(stage, step, step.inputs![0])
    if (step.needs.length === 0) return this.#holes
    return [...this.#holes, ...step.needs.filter(need => !this.#positions.has(keyOf(need)))]
  }

  /** Encodes the inputs of a step with many tasks, none of which may hold a Ref: then the Ref itself refuses. */
  #many(stage: number, step: NotedStep, inputs: readonly unknown[]): void {
    this.#holes = []
    this.#number = -1
    for (const input of inputs) this.#item(stage, step, input)
  }

  /** The hole that stands for this object in the item that is encoded now; undefined where it is no Ref. */
  #hole(object: object): number | undefined {
    const { notes } = this.#built
    const target = notes.target(object)
    if (!target) return undefined
    if (target.kind === 'made') throw this.#refuse('flow.all() stands within a Map, Set or class, where it cannot be put in place')
    if (this.#number < 0) return undefined
    if (target.step >= this.#number) throw this.#refuse(`step ${this.#number} uses the result of a later one`)
    const need: Need = { kind: target.kind === 'list' ? 'all' : target.kind, step: target.step }
    const key = keyOf(need)
    const known = this.#positions.get(key)
    if (known !== undefined) return known
    this.#positions.set(key, this.#holes.length)
    return this.#holes.push(need) - 1
  }

  #item(stage: number, step: NotedStep, input: unknown): void {
    const { notes } = this.#built
    const body = this.#scratch
    body.reset()
    beginTemplate(body, step.spread)
    const start = body.length
    const whole = this.#write(body, notes.makesValues ? unfolded(input, notes) : input)
    if (!whole) throw this.#refuse(`an input of ${step.definition!.name} takes more than ${limits.frameBytesMax / 2} bytes`)
    if (this.#holes.length > 0 || step.spread) this.#stages[stage]!.items.push(Buffer.from(body.view()))
    else this.#stages[stage]!.items.push(Buffer.concat([inlineHead, body.view().subarray(start)]))
  }

  /** Encodes a template; what is wrong with a Ref is told as it is. */
  #write(body: Writer, value: unknown): boolean {
    try {
      return this.#encoder.write(body, value, limits.frameBytesMax / 2)
    } catch (error) {
      const { cause } = error as Error
      throw cause instanceof CoxswainError && cause.code === 'INVALID_WORKFLOW' ? cause : error
    }
  }
}

/** A number for the kind and step of a need. */
function keyOf({ kind, step }: Need): number {
  return step * needKinds.length + needKinds.indexOf(kind)
}

/** The value with what `flow.all` made put in its place; the value itself where there is none. */
function unfolded(value: unknown, notes: Notes, depth: number = limits.valueDepthMax): unknown {
  if (typeof value !== 'object' || value === null || depth === 0) return value
  const target = notes.target(value)
  if (target) return target.kind === 'made' ? unfolded(target.value, notes, depth - 1) : value
  if (Array.isArray(value)) {
    const copy = value.map(one => unfolded(one, notes, depth - 1))
    return copy.some((one, at) => one !== value[at]) ? copy : value
  }
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) return value
  const entries = Object.entries(value).map(([key, one]) => [key, unfolded(one, notes, depth - 1)] as const)
  return entries.some(([key, one]) => one !== (value as Record<string, unknown>)[key]) ? Object.fromEntries(entries) : value
}

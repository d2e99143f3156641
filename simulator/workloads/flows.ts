// Owns the workload of workflows: random steps that need one another in every way there is, spoken in the protocol itself.
// Must not leave a workflow before it has ended; it says beforehand what each task must get.
import type { FlowStep, Inputs, NeedKind } from '../../src/protocol/index.ts'
import { chunkOf } from '../../test/fakes/values.ts'
import type { RandomStream } from '../kernel/random.ts'
import { type Fate, resultOf } from '../world/fates.ts'
import { simStage } from '../world/steps.ts'
import { interrupt, pause, pauseAWhile, takeBack } from './control.ts'
import { Jobs, planOf, submitPlan, untilEnded } from './life.ts'
import { StepReader, type StepsKnown } from './reading.ts'
import type { Tools, WorkloadMaker } from './workload.ts'

type Needs = readonly (readonly [NeedKind, number])[]

/** A step whose result others can use: its value, as it will be. */
interface Single {
  step: number
  value: string
}

/** What each task of a fold must get: the results below it, up to `fanIn` at a time, level by level. `name`: of the fold's tasks. */
function foldInputs(values: readonly string[], fanIn: number, name: (task: number) => string): string[][] {
  const inputs: string[][] = []
  for (let below = values; below.length > 0; ) {
    const first = inputs.length
    for (let from = 0; from < below.length; from += fanIn) inputs.push(below.slice(from, from + fanIn))
    if (inputs.length === first + 1) break
    below = Array.from({ length: inputs.length - first }, (_, i) => resultOf(name(first + i)))
  }
  return inputs
}

/** A random workflow. It succeeds, or one of its steps fails for good and what was done is compensated. */
class RandomFlow {
  readonly steps: FlowStep[] = []
  readonly fates: Fate[][] = []
  /** What tasks must get whose input is what others gave, by their name. */
  readonly inputs = new Map<string, string[]>()
  readonly #given = new Map<number, unknown[]>()
  readonly fails: boolean
  readonly #job: string
  readonly #random: RandomStream
  readonly #singles: Single[] = []
  readonly #wides: { step: number; values: string[] }[] = []
  signals = 0

  constructor(job: string, random: RandomStream) {
    this.#job = job
    this.#random = random
    this.#single([])
    for (let left = random.whole(1, 12); left > 0; left--) this.#any()
    this.fails = random.chance(0.3)
    if (!this.fails) return
    for (let left = random.whole(0, 3); left > 0; left--) this.#compensation()
    const inside = random.chance(0.3)
    const end = inside ? { expands: random.whole(1, 3), breaks: true } : { fails: 99 }
    this.#add([['after', this.#pick().step]], [{ ms: random.exponential(10), ...end }])
  }

  #any(): void {
    const kind = this.#random.whole(0, 12)
    if (kind < 5) this.#many(kind)
    else this.#few(kind)
  }

  /** Steps of many tasks, and those that get all of them. */
  #many(kind: number): void {
    const random = this.#random
    const wide = this.#wides.length > 0 ? random.pick(this.#wides) : undefined
    switch (kind) {
      case 0: {
        const values = Array.from({ length: random.whole(1, 12) }, () => '')
        const step = this.#add(
          [['after', this.#pick().step]],
          values.map(() => ({ ms: random.exponential(3) })),
        )
        this.#wides.push({ step, values: values.map((_, i) => resultOf(this.fates.at(-1)![i]!.key)) })
        return
      }
      case 1: {
        const width = random.whole(0, 20)
        const from = this.#pick()
        const producer = this.#add([['value', from.step]], [{ ms: 1, spread: width, expects: [from.value] }])
        const { key } = this.fates.at(-1)![0]!
        this.#dynamic(
          [['spread', producer]],
          Array.from({ length: width }, (_, i) => [resultOf(`${key}[${i}]`)]),
        )
        return
      }
      case 2:
        if (wide)
          this.#dynamic(
            [['each', wide.step]],
            wide.values.map(value => [value]),
          )
        return
      case 3:
        if (wide) this.#fold(wide, random.whole(2, 4))
        return
      case 4:
        if (wide) this.#single([['all', wide.step]], wide.values)
        return
    }
  }

  /** Steps of one task, and what decides whether and when they run. */
  #few(kind: number): void {
    const random = this.#random
    switch (kind) {
      case 5: {
        this.signals++
        // Where it waits for something first, the signal comes too early, and is kept.
        const wait = this.#step('signal', random.chance(0.5) ? [['after', this.#pick().step]] : [], { name: 'go' })
        this.#single([['after', wait]])
        return
      }
      case 6:
        this.#single([['after', this.#step('sleep', [], { amount: random.whole(1, 300) })]])
        return
      case 7: {
        const from = this.#pick()
        this.#single([['value', from.step]], [from.value], { expands: random.whole(1, 4) })
        return
      }
      case 8: {
        // Each result is a text that is not empty: the first branch is the one that is taken.
        const test = this.#pick().step
        const check = this.#add([['after', test]], [{ ms: 1 }])
        const yes = this.#add([['taken', check]], [{ ms: 1 }])
        const value = resultOf(this.fates.at(-1)![0]!.key)
        const no = this.#add([['untaken', check]], [{ ms: 1 }])
        this.#chosen(yes, no, value)
        return
      }
      case 9: {
        const fails = random.chance(0.7)
        const risky = this.#add([['after', this.#pick().step]], [{ ms: 1, fails: fails ? 99 : 0 }])
        const value = resultOf(this.fates.at(-1)![0]!.key)
        const handler = this.#add([['failure', risky]], [{ ms: 1 }])
        this.#chosen(risky, handler, fails ? resultOf(this.fates.at(-1)![0]!.key) : value)
        return
      }
      case 10:
        return this.#compensation()
      default: {
        const from = this.#pick()
        this.#single(
          [
            ['value', from.step],
            ['after', this.#pick().step],
          ],
          [from.value],
          random.chance(0.2) ? { fails: random.whole(1, 2) } : {},
        )
      }
    }
  }

  /** A choice between two steps, and a step that gets what was chosen. */
  #chosen(one: number, other: number, value: string): void {
    const choice = this.#step(
      'choice',
      [
        ['option', one],
        ['option', other],
      ],
      {},
    )
    this.#single([['value', choice]], [value])
  }

  #pick(): Single {
    return this.#random.pick(this.#singles)
  }

  #single(needs: Needs, expects: string[] = [], more: Partial<Fate> = {}): void {
    const step = this.#add(needs, [{ ms: this.#random.exponential(4), ...(expects.length > 0 && { expects }), ...more }])
    const { key, expands } = this.fates.at(-1)![0]!
    this.#singles.push({ step, value: resultOf(expands === undefined ? key : `${key}/inner-${expands - 1}`) })
  }

  /** It runs only where the workflow fails, or is taken back; so long that a leader may die meanwhile. */
  #compensation(): void {
    const from = this.#pick()
    const { kind, stage } = this.steps[from.step]!
    // What it takes back takes its time, and does not always stop when it is told to.
    if (kind === 'tasks' && this.#random.chance(0.7))
      Object.assign(this.fates[stage]![0]!, { ms: this.#random.exponential(60), deaf: this.#random.chance(0.7) })
    this.#add([['undo', from.step]], [{ ms: this.#random.exponential(40), expects: [from.value] }])
  }

  /** A step with a task for each of these inputs. */
  #dynamic(needs: Needs, inputs: readonly string[][]): void {
    const step = this.#add(needs, undefined)
    this.#given.set(step, inputs.flat())
    this.#wides.push({ step, values: inputs.map((got, i) => this.#gets(step, i, got)) })
  }

  #fold(wide: { step: number; values: string[] }, fanIn: number): void {
    const step = this.#add([['fold', wide.step]], undefined, { amount: fanIn })
    const inputs = foldInputs(wide.values, fanIn, task => this.#name(step, task))
    for (const [task, got] of inputs.entries()) this.#gets(step, task, got)
    // One task after the other, each with its list.
    this.#given.set(step, inputs.flat())
    if (inputs.length > 0) this.#single([['value', step]], [resultOf(this.#name(step, inputs.length - 1))])
  }

  #name(step: number, task: number): string {
    return `${this.#job}/${this.steps[step]!.stage}/${task}`
  }

  /** Such a task must get these values, and gives this one. */
  #gets(step: number, task: number, values: string[]): string {
    const name = this.#name(step, task)
    this.inputs.set(name, values)
    return resultOf(name)
  }

  #add(needs: Needs, fates: readonly Partial<Fate>[] | undefined, more: Partial<FlowStep> = {}): number {
    const stage = this.fates.length
    const own = (fates ?? []).map((fate, index) => ({ key: `${this.#job}/${stage}/${index}`, ms: 1, ...fate }))
    this.fates.push(own)
    const step = this.#step('tasks', needs, { stage, count: own.length, ...more })
    if (fates)
      this.#given.set(
        step,
        own.map(({ key }) => key),
      )
    return step
  }

  #step(kind: FlowStep['kind'], needs: Needs, more: Partial<FlowStep>): number {
    this.steps.push({ kind, stage: 0, count: 0, name: '', amount: 0, ...more, needs: needs.map(([one, step]) => ({ kind: one, step })) })
    return this.steps.length - 1
  }

  /** What can be read of its steps. */
  get known(): StepsKnown {
    const gives = new Map<number, unknown[]>(this.#singles.map(({ step, value }) => [step, [value]]))
    for (const { step, values } of this.#wides) gives.set(step, values)
    return { given: this.#given, gives, output: this.output }
  }

  /** Whose result is the workflow's. */
  get output(): number {
    return this.#singles.at(-1)!.step
  }
}

async function flow(tools: Tools, job: string, paused: Set<string>): Promise<void> {
  // A life that ended may have left one paused.
  for (const left of paused) await pause(tools, left, paused, false)
  const made = new RandomFlow(job, tools.random)
  const { steps, output, signals, fails } = made
  for (const [task, values] of made.inputs) tools.history.inputs.set(task, values)
  // Nobody else sends the signals: with its client such a workflow ends.
  const detached = signals === 0
  tools.expect({ job, fates: made.fates.flat(), ends: fails ? 'failed' : 'succeeded', mayBeCancelled: !detached })
  const stages = made.fates.map((_, stage) => simStage(`flow-${stage % 3}`))
  const inputs: Inputs[] = made.fates.flatMap((fates, stage) =>
    fates.length === 0 ? [] : [{ stage, first: 0, items: chunkOf(fates), blocks: [], seal: false }],
  )
  await submitPlan(tools, planOf(tools, job, 'flow', detached, stages), inputs, { steps, output })
  const reader = new StepReader(tools, job, made.known)
  // The same few signals again and again: each counts once.
  const end = await untilEnded(tools, job, async round => {
    if (tools.random.chance(0.4)) await reader.any()
    if (signals > 0) await signal(tools, job, `signal-${round % signals}`)
    if (tools.random.chance(0.1)) await pauseAWhile(tools, job, paused)
    if (round !== 0 || !detached || fails) return
    const whim = tools.random.number()
    if (whim < 0.3) await interrupt(tools, job)
    else if (whim < 0.6) await takeBack(tools, job)
  })
  if (end === 'succeeded') await reader.output()
  await reader.any()
}

async function signal(tools: Tools, job: string, id: string): Promise<void> {
  try {
    await tools.cluster.signal(job, 'go', 'sent', { id })
    tools.history.probe('signal sent')
  } catch (error) {
    const { code } = error as { code?: string }
    if (!['JOB_ENDED', 'NOT_FOUND', 'OVERLOADED', 'CONNECTION_LOST'].includes(code ?? ''))
      tools.history.violate('L3', `a signal was refused: ${String(error)}`, tools.nowMs)
  }
}

export const flows: WorkloadMaker = (name, random) => {
  const paused = new Set<string>()
  return new Jobs(name, random.whole(1, 6), 0, (tools, job) => flow(tools, job, paused))
}

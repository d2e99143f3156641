// Owns the workload of workflows: random steps that need one another in every way there is, spoken in the protocol itself.
// Must not leave a workflow before it has ended; it says to each step beforehand what it must get.
import type { FlowStep, Inputs, JobPlan, NeedKind } from '../../src/protocol/index.ts'
import type { RandomStream } from '../kernel/random.ts'
import { type Fate, resultOf } from '../world/fates.ts'
import { program } from '../world/program.ts'
import { chunkOfValues, simStage } from '../world/steps.ts'
import type { Tools, Workload, WorkloadMaker } from './workload.ts'

type Needs = readonly (readonly [NeedKind, number])[]

/** A step whose result others can use: its value, as it will be. */
interface Single {
  step: number
  value: string
}

/** A random workflow that succeeds. */
class RandomFlow {
  readonly steps: FlowStep[] = []
  readonly fates: Fate[][] = []
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
  }

  #any(): void {
    const kind = this.#random.whole(0, 11)
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
        this.#dynamic([['spread', producer]], width)
        return
      }
      case 2:
        if (wide) this.#dynamic([['each', wide.step]], wide.values.length)
        return
      case 3:
        if (wide) this.#add([['fold', wide.step]], undefined, { amount: random.whole(2, 4) })
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
        const wait = this.#step('signal', [], { name: 'go' })
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
        const risky = this.#add([['after', this.#pick().step]], [{ ms: 1, fails: 99 }])
        const handler = this.#add([['failure', risky]], [{ ms: 1 }])
        this.#chosen(risky, handler, resultOf(this.fates.at(-1)![0]!.key))
        return
      }
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

  #dynamic(needs: Needs, width: number): void {
    const step = this.#add(needs, undefined)
    const stage = this.steps[step]!.stage
    this.#wides.push({ step, values: Array.from({ length: width }, (_, i) => resultOf(`${this.#job}/${stage}/${i}`)) })
  }

  #add(needs: Needs, fates: readonly Partial<Fate>[] | undefined, more: Partial<FlowStep> = {}): number {
    const stage = this.fates.length
    this.fates.push((fates ?? []).map((fate, index) => ({ key: `${this.#job}/${stage}/${index}`, ms: 1, ...fate })))
    return this.#step('tasks', needs, { stage, count: fates?.length ?? 0, ...more })
  }

  #step(kind: FlowStep['kind'], needs: Needs, more: Partial<FlowStep>): number {
    this.steps.push({ kind, stage: 0, count: 0, name: '', amount: 0, ...more, needs: needs.map(([one, step]) => ({ kind: one, step })) })
    return this.steps.length - 1
  }

  /** Whose result is the workflow's. */
  get output(): number {
    return this.#singles.at(-1)!.step
  }
}

class Flows implements Workload {
  readonly #name: string
  #left: number

  constructor(name: string, count: number) {
    this.#name = name
    this.#left = count
  }

  get done(): boolean {
    return this.#left === 0
  }

  async live(tools: Tools): Promise<void> {
    while (this.#left > 0) {
      await this.#one(tools, `${this.#name}-${tools.mark()}`)
      this.#left--
    }
  }

  async #one(tools: Tools, job: string): Promise<void> {
    const flow = new RandomFlow(job, tools.random)
    // Nobody else sends the signals: with its client such a workflow ends.
    const detached = flow.signals === 0
    tools.expect({ job, fates: flow.fates.flat(), ends: 'succeeded', mayBeCancelled: !detached })
    const plan: JobPlan = {
      ...{ job, name: 'flow', contentHash: program.id, labels: [], priority: 0, session: tools.client.session!.id, detached },
      stages: flow.fates.map((_, stage) => simStage(`flow-${stage % 3}`)),
    }
    const inputs: Inputs[] = flow.fates.flatMap((fates, stage) =>
      fates.length === 0 ? [] : [{ stage, first: 0, items: chunkOfValues(fates), blocks: [], seal: false }],
    )
    await tools.call('submit', job, 'flow', () => this.#submit(tools, plan, inputs, flow))
    for (let round = 0; ; round++) {
      const state = await tools.call('status', job, '', async () => (await tools.cluster.job(job).status()).state)
      if (state !== 'running') return
      // The same few signals again and again: each counts once.
      if (flow.signals > 0) await this.#signal(tools, job, `signal-${round % flow.signals}`)
      await tools.pause(50 + tools.random.exponential(100))
    }
  }

  async #signal(tools: Tools, job: string, id: string): Promise<void> {
    try {
      await tools.cluster.signal(job, 'go', 'sent', { id })
      tools.history.probe('signal sent')
    } catch (error) {
      const { code } = error as { code?: string }
      if (!['JOB_ENDED', 'NOT_FOUND', 'OVERLOADED', 'CONNECTION_LOST'].includes(code ?? ''))
        tools.history.violate('L3', `a signal was refused: ${String(error)}`, tools.nowMs)
    }
  }

  async #submit(tools: Tools, plan: JobPlan, inputs: Inputs[], flow: RandomFlow): Promise<true> {
    const session = tools.client.session!
    for (;;) {
      const reply = await session.request({
        kind: 'submitJobs',
        jobs: [{ plan, inputs, flow: { steps: flow.steps, output: flow.output }, watch: false }],
      })
      const error = reply.kind === 'submitted' ? reply.outcomes[0]?.error : undefined
      if (!error) return true
      if (error.code === 'PROGRAM_MISSING') await session.request({ kind: 'putProgram', program: program.id, bytes: program.bytes })
      else if (error.code === 'OVERLOADED') await tools.pause(100)
      else throw Object.assign(new Error(error.message), { code: error.code })
    }
  }
}

export const flows: WorkloadMaker = (name, random) => new Flows(name, random.whole(1, 6))

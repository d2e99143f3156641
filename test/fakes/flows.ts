// Makes plans of workflows as clients send them: one stage per different task, one for each step with another number of tasks than one.
import type { FlowPlan, FlowStep, Inputs, NeedKind, StagePlan } from '../../src/protocol/index.ts'
import { inputs, type StageOptions, stage } from './plans.ts'

export interface StepOptions extends StageOptions {
  kind?: FlowStep['kind']
  /** Tasks; 0 where they follow from a need. Default 1. */
  count?: number
  name?: string
  amount?: number
}

/** Needs as pairs of a kind and a step. */
export type Needs = readonly (readonly [NeedKind, number])[]

/** A workflow as it is sent. */
export class Steps {
  readonly stages: StagePlan[] = []
  readonly steps: FlowStep[] = []
  readonly #counts: number[] = []
  readonly #shared = new Map<string, number>()
  output: number | undefined

  /** Adds a step; its number. */
  add(needs: Needs = [], options: StepOptions = {}): number {
    const { kind = 'tasks', count = 1, name = '', amount = 0, ...of } = options
    const number = this.steps.length
    const at = kind === 'tasks' ? this.#stage(of, count) : 0
    if (kind === 'tasks') this.#counts[at]! += count
    this.steps.push({
      kind,
      stage: at,
      count: kind === 'tasks' ? count : 0,
      name,
      amount,
      needs: needs.map(([one, step]) => ({ kind: one, step })),
    })
    return number
  }

  #stage(of: StageOptions, count: number): number {
    const key = JSON.stringify(of)
    const known = count === 1 ? this.#shared.get(key) : undefined
    if (known !== undefined) return known
    this.stages.push(stage(of))
    this.#counts.push(0)
    if (count === 1) this.#shared.set(key, this.stages.length - 1)
    return this.stages.length - 1
  }

  get plan(): FlowPlan {
    return { steps: this.steps, output: this.output ?? this.steps.length - 1 }
  }

  get inputs(): Inputs[] {
    return this.#counts.flatMap((count, at) => (count === 0 ? [] : [inputs(count, { stage: at, open: true })]))
  }
}

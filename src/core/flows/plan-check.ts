// Owns what a plan of a workflow must keep so that it can be run at all. The SDK never sends another one; other clients may.
// Must not know what has run.
import { eventStepFlaw, type FlowPlan, type FlowStep } from '../../protocol/index.ts'

const widthKinds: ReadonlySet<string> = new Set(['each', 'spread', 'fold'])
/** Needs of which the other step must be a single task. */
const singleKinds: ReadonlySet<string> = new Set(['spread', 'taken', 'untaken'])

/** What is wrong with the steps, or undefined. `tasks`: how many were sent for each stage. */
export function flowFlaw(flow: FlowPlan, tasks: readonly number[]): string | undefined {
  const { steps, output } = flow
  if (steps.length === 0) return 'it has no steps'
  if (output >= steps.length) return `its output, step ${output}, does not exist`
  const given = tasks.map(() => 0)
  const owners = new Map<number, { alone: boolean }>()
  const widths = new Widths(steps.length)
  for (const step of steps) {
    const flaw = needsFlaw(widths, step) ?? (step.kind === 'tasks' ? tasksFlaw(step, tasks.length, owners) : otherFlaw(step))
    if (flaw !== undefined) return `step ${widths.length} ${flaw}`
    if (step.kind === 'tasks') given[step.stage]! += step.count
    widths.push(step)
  }
  const stage = tasks.findIndex((count, at) => count !== given[at])
  return stage < 0 ? undefined : `${tasks[stage]} inputs were sent for stage ${stage}, whose steps have ${given[stage]} tasks`
}

/** What others need to know of the steps before them: whether they have tasks, and whether just one. */
class Widths {
  readonly #tasks: Uint8Array
  length = 0

  constructor(steps: number) {
    this.#tasks = new Uint8Array(steps)
  }

  push({ kind, count }: FlowStep): void {
    this.#tasks[this.length++] = kind !== 'tasks' ? 0 : count === 1 ? 1 : 2
  }

  hasTasks(step: number): boolean {
    return this.#tasks[step]! > 0
  }

  isSingle(step: number): boolean {
    return this.#tasks[step] === 1
  }
}

function needsFlaw(before: Widths, step: FlowStep): string | undefined {
  let widths = 0
  for (const { kind, step: producer } of step.needs) {
    if (producer >= before.length) return `needs step ${producer}, which is not before it`
    if (widthKinds.has(kind)) widths++
    if (kind === 'option' && step.kind !== 'choice') return 'has options and is no choice'
    if ((kind === 'each' || kind === 'fold') && !before.hasTasks(producer)) return `takes tasks of step ${producer}, which has none`
    if (singleKinds.has(kind) && !before.isSingle(producer)) return `needs one task of step ${producer}`
    if (kind === 'fold' && step.amount < 2) return `folds ${step.amount} results at a time`
  }
  if (widths > 1 || (widths > 0 && (step.kind !== 'tasks' || step.count > 0))) return 'has its tasks from more than one place'
  return undefined
}

/** A stage has steps of one task each, or a single step of any other number. */
function tasksFlaw(step: FlowStep, stages: number, owners: Map<number, { alone: boolean }>): string | undefined {
  if (step.stage >= stages) return `is of stage ${step.stage}, which does not exist`
  const alone = step.count !== 1
  const before = owners.get(step.stage)
  if (before && (alone || before.alone)) return `shares stage ${step.stage} with another step`
  if (!before) owners.set(step.stage, { alone })
  return undefined
}

function otherFlaw(step: FlowStep): string | undefined {
  if (step.count > 0) return `is a ${step.kind} and has tasks`
  if (step.kind === 'signal' && step.name === '') return 'waits for a signal without a name'
  if (step.kind === 'event' && eventStepFlaw(step.name) !== undefined) return `waits for an event, and ${eventStepFlaw(step.name)}`
  if (step.kind === 'choice' && !step.needs.some(need => need.kind === 'option')) return 'chooses from nothing'
  return undefined
}

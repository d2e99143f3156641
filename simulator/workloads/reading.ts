// Owns what workloads read of the steps of their workflows while these run and afterwards, and what they must get.
// Must not change anything.
import { Gone, type Tools } from './workload.ts'

/** What is known of a workflow beforehand, by step: what it is given, as texts or the keys of its tasks, and what it gives, item by item. */
export interface StepsKnown {
  given: ReadonlyMap<number, readonly unknown[]>
  gives: ReadonlyMap<number, readonly unknown[]>
  /** Whose result is there when the workflow has succeeded. */
  output: number
}

/** Why a step may have nothing to read, besides what happens to the cluster: it has not ended, has no part in this, failed, or is not kept. */
const none = [
  'STEP_NOT_READY',
  'TASK_CANCELLED',
  'NOT_FOUND',
  'RESULT_GONE',
  'JOB_ARCHIVED',
  'TASK_FAILED',
  'TASK_POISONED',
  'TASK_CRASHED',
]
const notKept: ReadonlySet<string> = new Set(['RESULT_GONE', 'JOB_ARCHIVED'])

/** An item as it is known: of what a task was sent its key. */
function known(item: unknown): unknown {
  const { key } = (typeof item === 'object' && item !== null ? item : {}) as { key?: unknown }
  return key ?? item
}

/** Reads steps of one workflow: what was read once stays so. */
export class StepReader {
  readonly #tools: Tools
  readonly #job: string
  readonly #known: StepsKnown
  readonly #seen = new Set<number>()

  constructor(tools: Tools, job: string, known: StepsKnown) {
    this.#tools = tools
    this.#job = job
    this.#known = known
  }

  /** What some step was given, or came to. */
  async any(): Promise<void> {
    const { random } = this.#tools
    const part = random.chance(0.4) ? 'given' : 'gives'
    const steps = [...this.#known[part].keys()]
    if (steps.length > 0) await this.#read(part, random.pick(steps), false)
  }

  /** The workflow has succeeded: its result is there. */
  output(): Promise<void> {
    return this.#read('gives', this.#known.output, true)
  }

  async #read(part: 'given' | 'gives', step: number, sure: boolean): Promise<void> {
    const { history, cluster, nowMs } = this.#tools
    const handle = cluster.job(this.#job)
    const answer = await this.#tools.excused(() => (part === 'given' ? handle.stepInput({ step }) : handle.stepResult({ step })), none)
    const what = `what step ${step} of ${this.#job} ${part === 'given' ? 'was given' : 'came to'}`
    if (answer instanceof Gone) {
      const lost = part === 'gives' && this.#seen.has(step) && answer.code === 'STEP_NOT_READY'
      if (lost || (sure && none.includes(answer.code) && !notKept.has(answer.code)))
        history.violate('S9', `${what} was there, and is answered with ${answer.code}`, nowMs)
      return
    }
    if (part === 'gives') this.#seen.add(step)
    history.probe(part === 'given' ? 'input of a step read' : 'result of a step read')
    const got = JSON.stringify([answer].flat(2).map(known))
    const wanted = JSON.stringify(this.#known[part].get(step))
    if (got !== wanted) history.violate('S9', `${what} is read as ${got} and should be ${wanted}`, nowMs)
  }
}

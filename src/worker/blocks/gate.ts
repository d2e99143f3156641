// Owns the order between blocks and outcomes where there is a durable tier: an outcome is told once the blocks that it names are there.
// Must not change the order of what one executor says, nor hold back what others say.
import { CoxswainError, type Inputs, type Outcome, outcomeBlocks, outcomeTasks, type TaskBlock } from '../../protocol/index.ts'
import type { ExecutorEvent, ExecutorId } from '../machine/index.ts'

/** All blocks that an outcome names, also as inputs of what comes of it. */
function blocksOf(outcome: Outcome): TaskBlock[] {
  const own = outcome.kind === 'committed' ? outcome.outcome : outcome
  const inputs: readonly Inputs[] = [
    ...(own.kind === 'expanded' ? own.inputs : []),
    ...(outcome.kind === 'committed' ? outcome.jobs.flatMap(job => job.inputs) : []),
  ]
  return [...outcomeBlocks(outcome), ...inputs.flatMap(one => one.blocks)]
}

export class BlockGate {
  readonly #store: (block: TaskBlock) => Promise<void>
  readonly #pass: (event: ExecutorEvent) => void
  readonly #tails = new Map<ExecutorId, Promise<void>>()

  /** `store` brings a block to the tier; `pass` is told each event in its turn. */
  constructor(store: (block: TaskBlock) => Promise<void>, pass: (event: ExecutorEvent) => void) {
    this.#store = store
    this.#pass = pass
  }

  take(event: ExecutorEvent): void {
    const before = this.#tails.get(event.executor)
    const names = event.kind === 'outcomes' && event.outcomes.some(outcome => blocksOf(outcome).length > 0)
    // What an executor holds at this moment is no matter of order, and may have to end it.
    if ((!before && !names) || event.kind === 'sampled') return this.#pass(event)
    const stored = this.#stored(event)
    const turn: Promise<void> = Promise.all([stored, before]).then(([ready]) => {
      if (this.#tails.get(event.executor) === turn) this.#tails.delete(event.executor)
      this.#pass(ready)
    })
    this.#tails.set(event.executor, turn)
  }

  async #stored(event: ExecutorEvent): Promise<ExecutorEvent> {
    if (event.kind !== 'outcomes') return event
    const outcomes = await Promise.all(event.outcomes.map(outcome => this.#outcome(outcome)))
    return { ...event, outcomes: outcomes.flat() }
  }

  /** The outcome when its blocks are in the tier; if they cannot be, its tasks have failed and are tried again. */
  async #outcome(outcome: Outcome): Promise<Outcome[]> {
    try {
      await Promise.all(blocksOf(outcome).map(block => this.#store(block)))
      return [outcome]
    } catch (error) {
      const { message } = error as Error
      const code = error instanceof CoxswainError ? error.code : 'OBJECT_STORE_FAILED'
      const text = `Its result cannot be stored in the durable tier: ${message}`.slice(0, 1000)
      const failed: Outcome = { kind: 'failed', code, message: text, stack: '', retryable: true, elapsedMicros: 0 }
      return Array.from({ length: outcomeTasks(outcome) }, () => failed)
    }
  }
}

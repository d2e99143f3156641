// Owns how batches are read: which task stands where.
// Must not run any.
import type { Batch } from '../../src/worker/machine/index.ts'

/** Which task stands at this position of a batch. */
export function taskAt({ runs }: Batch, position: number): { job: string; stage: number; attempt: number; index: number } {
  let before = 0
  for (const { job, stage, attempt, first, count } of runs) {
    if (position < before + count) return { job, stage, attempt, index: first + position - before }
    before += count
  }
  throw new Error(`a batch has no task ${position}`)
}

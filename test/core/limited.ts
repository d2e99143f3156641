// Builds limits for scenarios: what is not said is not limited.
import type { RunPolicy, StagePolicy } from '../../src/protocol/index.ts'

/** Limits of the first stage, unless another one is named. */
export function policy(more: Partial<StagePolicy>): StagePolicy {
  return { stage: 0, key: '', concurrency: 0, rateLimit: 0, ratePerMs: 0, stepTimeoutMs: 0, ...more }
}

/** Limits of a job as a whole. With a key one runs at a time, unless told otherwise. */
export function runPolicy(more: Partial<RunPolicy>): RunPolicy {
  return { key: '', concurrency: more.key === undefined ? 0 : 1, whenBusy: 'queue', timeoutMs: 0, ...more }
}

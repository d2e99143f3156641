// Owns limits in words, as stories tell them. Must not need the state.
import type { RunPolicy, StagePolicy } from '../../protocol/index.ts'
import { keyText } from '../keys/state.ts'

/** Limits of a stage in words. */
export function policyText(policy: StagePolicy): string {
  const { key, concurrency, rateLimit, stepTimeoutMs } = policy
  const parts = [
    ...(concurrency > 0 || rateLimit > 0 ? [keyText({ ...policy, name: key })] : []),
    ...(stepTimeoutMs > 0 ? [`${stepTimeoutMs} ms for a step`] : []),
  ]
  return parts.join(', ')
}

/** Limits of a job as a whole in words. */
export function runText({ key, concurrency, whenBusy, timeoutMs }: RunPolicy): string {
  const parts = [
    ...(key !== '' ? [`the key ${key}, ${concurrency} at once, else ${whenBusy}`] : []),
    ...(timeoutMs > 0 ? [`${timeoutMs} ms from its start`] : []),
  ]
  return parts.join(', ')
}

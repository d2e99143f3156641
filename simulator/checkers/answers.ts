// Owns what answers promise: S3 (durable when acknowledged) and how jobs had to end, held against when facts became durable.
// Must not look into nodes.
import type { Call, History } from '../history.ts'
import type { Facts } from './facts.ts'

function late(call: Call, factMs: number | undefined): boolean {
  return factMs === undefined || factMs > call.endedMs!
}

/** Every acknowledgement rests on a fact that was durable before it. */
export function checkDurability(history: History, facts: Facts): void {
  for (const call of history.calls) {
    if (call.endedMs === undefined || call.code !== undefined) continue
    const { operation, job, key } = call
    const finished = facts.finishedMs.get(job)
    const ended = Math.min(facts.cancelledMs.get(job) ?? Number.POSITIVE_INFINITY, finished?.atMs ?? Number.POSITIVE_INFINITY)
    if (operation === 'submit' && late(call, facts.submittedMs.get(job)))
      history.violate('S3', `job ${job} was acknowledged to ${call.node} and is not in the journal by then`, call.endedMs)
    else if (operation === 'cancel' && late(call, ended))
      history.violate('S3', `the cancel of ${job} was acknowledged and is not in the journal by then`, call.endedMs)
    else if (operation === 'run' && call.value !== undefined && late(call, facts.resultMs.get(key)))
      history.violate('S3', `the result of ${key} was given and is not in the journal by then`, call.endedMs)
    else if (operation === 'status' && call.value !== 'running' && call.value !== undefined && late(call, ended))
      history.violate('S3', `job ${job} was told to be ${String(call.value)} before that was durable`, call.endedMs)
  }
}

/** Jobs end as their tasks' fates say. */
export function checkEnds(history: History, facts: Facts): void {
  for (const { job, ends, mayBeCancelled } of history.expected.values()) {
    const finished = facts.finishedMs.get(job)
    if (!finished || finished.state === ends || facts.poisoned.has(job)) continue
    if (finished.state === 'cancelled' && mayBeCancelled) continue
    history.violate('S11', `job ${job} ended as ${finished.state}, where it had to be ${ends}`, finished.atMs)
  }
}

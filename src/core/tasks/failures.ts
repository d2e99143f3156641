// Owns the rule of what a failed attempt leads to: another attempt after a pause, or a final failure, or quarantine.
// Must not write state.
import type { RecordOf } from '../../protocol/index.ts'
import type { CoreLimits } from '../limits.ts'
import { deathCodes, freeCodes } from './apply.ts'
import type { Lane, LaneRun } from './state.ts'

export interface Failure {
  code: string
  message: string
  stack: string
  retryable: boolean
}

/** The record of a failure of the task at a lane's head. `jitter` is from 0 to 1. */
export function failureOf(
  lane: Lane,
  head: LaneRun,
  failure: Failure,
  nowMs: number,
  jitter: number,
  limits: CoreLimits,
): RecordOf<'TaskFailed'> {
  const { stage } = head
  const record = {
    kind: 'TaskFailed' as const,
    lane: lane.id,
    code: failure.code,
    message: failure.message.slice(0, 1000),
    stack: failure.stack,
  }
  const trouble = stage.troubles.get(head.first)
  const deaths = (trouble?.deaths ?? 0) + (deathCodes.has(failure.code) ? 1 : 0)
  const counted = trouble?.counted ?? 0
  const free = freeCodes.has(failure.code)
  const mayRetry = free || (failure.retryable && counted < stage.plan.retry.retriesMax)
  if (deaths >= limits.deathsMax && mayRetry) {
    return {
      ...record,
      code: 'TASK_POISONED',
      message: `Quarantined after ${deaths} deaths of its executors or workers. The last: ${record.message}`,
      retryAtMs: undefined,
    }
  }
  if (!mayRetry) return { ...record, retryAtMs: undefined }
  // A lost worker is no fault of the task: it goes on at once. Otherwise the pause doubles, half of it by chance (as AWS's "equal jitter").
  const { backoffBaseMs, backoffMsMax } = stage.plan.retry
  const pauseMs = free ? 0 : Math.min(backoffMsMax, backoffBaseMs * 2 ** Math.min(counted, 30)) * (0.5 + jitter / 2)
  return { ...record, stack: '', retryAtMs: nowMs + Math.round(pauseMs) }
}

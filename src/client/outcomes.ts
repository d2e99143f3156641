// Owns how an outcome of a task comes to its caller: a value, a block's value, or an error of the right class.
// Must not wait for outcomes.
import { CoxswainError, isErrorCode, TaskFailedError, type TaskFailure, taskText } from '../protocol/index.ts'
import type { Parts } from './parts.ts'
import type { JobChange, ReplyOf } from './session.ts'

/** The error of a task that failed for good. */
export function failureError(job: string, stage: number, failure: TaskFailure): CoxswainError {
  const task = stage === 0 ? taskText(job, stage, failure.index) : taskText(job, stage, failure.index, stage + 1)
  if (failure.code === 'TASK_CANCELLED') return new CoxswainError('TASK_CANCELLED', failure.message, { id: task })
  return new TaskFailedError(isErrorCode(failure.code) ? failure.code : 'TASK_FAILED', failure.message, {
    task,
    remoteStack: failure.stack,
    attempts: failure.attempts.map(attempt => ({ ...attempt, code: isErrorCode(attempt.code) ? attempt.code : 'TASK_FAILED' })),
  })
}

/** The error of a task that has no outcome although its job ended. */
export function endedError(job: string, state: JobChange['state'], reason: string): CoxswainError {
  if (state === 'cancelled')
    return new CoxswainError('TASK_CANCELLED', `Job ${job} was cancelled${reason === '' ? '' : `: ${reason}`}.`, { id: job })
  if (reason.startsWith('RUN_TIMEOUT: ')) return new CoxswainError('RUN_TIMEOUT', `Job ${job}: ${reason.slice(13)}.`, { id: job })
  return new CoxswainError('RESULT_GONE', `Job ${job} has ended, and the result is not kept any more.`, { id: job })
}

/** Reads outcomes that the leader keeps, page by page, from task `first` up to `end`. */
export async function* readOutcomes(
  parts: Parts,
  job: string,
  stage: number,
  first: number,
  end: number,
): AsyncGenerator<ReplyOf<'resultsRead'>> {
  let from = first
  while (from < end) {
    const reply = await parts.session.request({ kind: 'readResults', job, stage, first: from, count: end - from })
    if (reply.kind !== 'resultsRead') return
    yield reply
    if (reply.next === undefined || reply.next <= from) return
    from = reply.next
  }
}

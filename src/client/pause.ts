// Owns waiting: for a time, or until something is aborted. Must not use any clock but the one it is given.
import type { Clock } from '../platform/index.ts'
import { CoxswainError } from '../protocol/index.ts'

/** The reason of an aborted signal as an error. */
export function abortReason(signal: AbortSignal): unknown {
  return signal.reason ?? new CoxswainError('TASK_CANCELLED', 'The call was aborted by its signal.')
}

/** Resolves after `delayMs`; rejects with the reason of `signal` if that aborts first. */
export function pause(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(abortReason(signal))
      return
    }
    const aborted = (): void => {
      stop()
      reject(abortReason(signal!))
    }
    const stop = clock.timer(delayMs, () => {
      signal?.removeEventListener('abort', aborted)
      resolve()
    })
    signal?.addEventListener('abort', aborted, { once: true })
  })
}

/** The promise's outcome, or the reason of `signal` if that aborts first. */
export function orAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise
  return new Promise((resolve, reject) => {
    const aborted = (): void => reject(abortReason(signal))
    if (signal.aborted) {
      promise.catch(() => undefined)
      aborted()
      return
    }
    signal.addEventListener('abort', aborted, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', aborted))
  })
}

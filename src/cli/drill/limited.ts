// Owns waiting with an end: for a promise, for so long, unless it is interrupted.
// Must not end what is waited for.
import { CoxswainError } from '../../protocol/index.ts'

/** Its outcome; rejects with UNAVAILABLE and these words when that takes longer, and with the signal's reason when it is aborted. */
export async function limited<T>(outcome: Promise<T>, limitMs: number, signal: AbortSignal, what: string): Promise<T> {
  signal.throwIfAborted()
  const ended = Promise.withResolvers<never>()
  const aborted = (): void => ended.reject(signal.reason)
  const timer = setTimeout(() => ended.reject(new CoxswainError('UNAVAILABLE', `In ${limitMs / 1000} s ${what}.`)), limitMs)
  signal.addEventListener('abort', aborted, { once: true })
  try {
    return await Promise.race([outcome, ended.promise])
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', aborted)
  }
}

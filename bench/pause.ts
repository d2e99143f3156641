// Owns waiting: the pause between two looks at something, and the limit of how long something is waited for.
// Must not be a way to wait for what can be heard.

/** Resolves after so many milliseconds. */
export function pause(delayMs: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, delayMs))
}

/** What was waited for, or an error that says that it did not come in time. */
export async function within<T>(limitMs: number, what: string, outcome: Promise<T>): Promise<T> {
  const limit = Promise.withResolvers<never>()
  const timer = setTimeout(() => limit.reject(new Error(`not within ${limitMs / 1000} s: ${what}`)), limitMs)
  try {
    return await Promise.race([outcome, limit.promise])
  } finally {
    clearTimeout(timer)
  }
}

// Owns the time of the real world for a store in etcd. Must not keep a process alive.
import type { StoreClock } from './caller.ts'

/** This process's own clock. */
export const systemClock: StoreClock = {
  monotonicMs: () => performance.now(),
  timer(delayMs, callback) {
    const timer = setTimeout(callback, delayMs)
    timer.unref()
    return () => clearTimeout(timer)
  },
}

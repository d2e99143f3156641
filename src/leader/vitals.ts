// Owns what the leader's process says of itself on a real machine. Must not be used where the world is simulated.
import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { Vitals } from './context.ts'

/** How often the event loop's delay is sampled: each sample wakes the process, also when there is nothing to do. */
const resolutionMs = 250

/** Reads the process's own counters; the delay is the mean since the last call. */
export function processVitals(): () => Vitals {
  const delay = monitorEventLoopDelay({ resolution: resolutionMs })
  delay.enable()
  return () => {
    const eventLoopDelayMs = Number.isFinite(delay.mean) ? Math.max(0, delay.mean / 1e6 - resolutionMs) : 0
    delay.reset()
    return { pid: process.pid, rssBytes: process.memoryUsage.rss(), eventLoopDelayMs }
  }
}

// Owns the time within an executor, on the same scale as its agent's clock. Must not be used for dates.

// hrtime is CLOCK_MONOTONIC of the machine; performance.now() counts from this process's start and is cheaper.
const offsetMs = Number(process.hrtime.bigint()) / 1e6 - performance.now()

/** Milliseconds of the machine's monotonic clock, comparable with those of the agent. */
export function nowMs(): number {
  return performance.now() + offsetMs
}

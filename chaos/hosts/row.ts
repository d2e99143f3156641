// Owns what a row on hosts is, and how figures are told.
// Must not run one.
import type { Row, RowOutcome } from '../row.ts'
import type { Hosts } from './network.ts'

/** One row. It is judged as those of `npm run chaos` are. */
export interface HostRow extends Omit<Row, 'run' | 'ci'> {
  run(hosts: Hosts, rounds: number): Promise<RowOutcome>
}

/** The value below which so large a part of them lies, by nearest rank. */
export function percentile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((one, other) => one - other)
  return sorted[Math.max(0, Math.ceil(sorted.length * part) - 1)] ?? 0
}

/** Median and maximum of times, in words. */
export function timesText(what: string, timesMs: readonly number[]): string {
  const [median, most] = [percentile(timesMs, 0.5), percentile(timesMs, 1)].map(ms => `${Math.round(ms)} ms`)
  return `${what}: median ${median}, max ${most} of ${timesMs.length}`
}

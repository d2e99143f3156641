// Owns what a bar is: a figure that the project promises, how it is measured and when it is met.
// Must not know any single bar.
import type { Cluster } from '../src/index.ts'
import type { ClusterProcess } from './cluster.ts'
import type { MachineLimits } from './machine.ts'
import { percentile } from './statistics.ts'

/** One figure of a bar. */
export interface Figure {
  what: string
  unit: string
  /** One value per repeat. */
  values: number[]
  /** The bar, and on which side of it the median must be; a figure without one is only told. */
  bar?: { at: number; side: 'at least' | 'at most' }
  /** The figure against what the machine itself could do in the same minute, in words. */
  ratio?: string
}

/** How much is measured, of ours and of others. */
export interface Rounds {
  /** Tiny sizes: only that everything works. */
  smoke: boolean
  repeats: number
}

/** What a bar gets to measure with. */
export interface Bench extends Rounds {
  /** Measured right before this bar. */
  machine: MachineLimits
  /** Starts a cluster of its own for the bar, connected; it is stopped when the bar ends. */
  cluster(options?: readonly string[]): Promise<{ process: ClusterProcess; client: Cluster }>
  /** `node` arguments that start `cox`. */
  cox: readonly string[]
  /** A folder that is removed when the bar ends. */
  folder: string
}

/** Somebody else's system on the same work, on the same machine in the same minutes. */
export interface Peer {
  name: string
  title: string
  /** What ours must be of theirs: the first figure of the bar to their first figure. */
  bar?: NonNullable<Figure['bar']>
  /** Its figures; rejects with why it cannot be measured here, and what to install. */
  measure(how: Rounds): Promise<Figure[]>
}

/** One line of the table of bars. */
export interface Bar {
  name: string
  title: string
  /** Measured right behind it, so that both meet the machine at the same speed. */
  peers?: readonly Peer[]
  /** Bytes per task that the journal must take, for the machine's own rate of the same. */
  journalBytesPerTask?: number
  measure(bench: Bench): Promise<Figure[]>
}

/** How many of something: all of it, or a tiny part in a smoke run. */
export function sized(bench: Bench, full: number, smoke: number): number {
  return bench.smoke ? smoke : full
}

/** Measures `repeats` times after one unmeasured round that warms everything up. */
export async function repeated<T>({ repeats }: Rounds, measure: (round: number) => Promise<T>): Promise<T[]> {
  const values: T[] = []
  await measure(-1)
  for (let round = 0; round < repeats; round++) values.push(await measure(round))
  return values
}

/** The figures of rounds of calls, each with the milliseconds of its calls. */
export function latencyFigures(rounds: readonly number[][], p50: Pick<Figure, 'bar' | 'ratio'> = {}): Figure[] {
  return [
    { what: 'p50', unit: 'ms', values: rounds.map(took => percentile(took, 0.5)), ...p50 },
    { what: 'p99', unit: 'ms', values: rounds.map(took => percentile(took, 0.99)) },
  ]
}

/** Runs something and gives the seconds it took. */
export async function seconds(work: () => Promise<unknown>): Promise<number> {
  const startedMs = performance.now()
  await work()
  return (performance.now() - startedMs) / 1000
}

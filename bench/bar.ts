// Owns what a bar is: a figure that the project promises, how it is measured and when it is met.
// Must not know any single bar.
import type { Cluster } from '../src/index.ts'
import type { ClusterProcess } from './cluster.ts'
import type { MachineLimits } from './machine.ts'

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

/** What a bar gets to measure with. */
export interface Bench {
  /** Tiny sizes: only that everything works. */
  smoke: boolean
  repeats: number
  /** Measured right before this bar. */
  machine: MachineLimits
  /** Starts a cluster of its own for the bar, connected; it is stopped when the bar ends. */
  cluster(options?: readonly string[]): Promise<{ process: ClusterProcess; client: Cluster }>
  /** `node` arguments that start `cox`. */
  cox: readonly string[]
  /** A folder that is removed when the bar ends. */
  folder: string
}

/** One line of the table of bars. */
export interface Bar {
  name: string
  title: string
  /** Bytes per task that the journal must take, for the machine's own rate of the same. */
  journalBytesPerTask?: number
  measure(bench: Bench): Promise<Figure[]>
}

/** How many of something: all of it, or a tiny part in a smoke run. */
export function sized(bench: Bench, full: number, smoke: number): number {
  return bench.smoke ? smoke : full
}

/** Measures `repeats` times after one unmeasured round that warms everything up. */
export async function repeated(bench: Bench, measure: (round: number) => Promise<number>): Promise<number[]> {
  const values: number[] = []
  await measure(-1)
  for (let round = 0; round < bench.repeats; round++) values.push(await measure(round))
  return values
}

/** Runs something and gives the seconds it took. */
export async function seconds(work: () => Promise<unknown>): Promise<number> {
  const startedMs = performance.now()
  await work()
  return (performance.now() - startedMs) / 1000
}

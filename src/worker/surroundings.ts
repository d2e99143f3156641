// Owns what a worker has of its machine: a name, executor processes, measures. A simulated worker is given others.
// Must not hold behaviour of its own.
import { hostname } from 'node:os'
import type { Platform } from '../platform/index.ts'
import { ExecutorPool, type PoolHandlers, type PoolOptions } from './executors/pool.ts'
import { VitalSigns } from './vitals.ts'

/** The executors of a worker, as its exchange needs them. */
export type Executors = Pick<ExecutorPool, 'size' | 'empty' | 'start' | 'send' | 'cancel' | 'forget' | 'signal' | 'stopAll' | 'killAll'>

/** What a worker has of its machine. */
export interface Surroundings {
  host: string
  pid: number
  vitals: Pick<VitalSigns, 'measure' | 'stop'>
  executors(options: PoolOptions, platform: Platform, handlers: PoolHandlers): Executors
}

/** The real ones. */
export function realSurroundings(folder: string): Surroundings {
  return {
    host: hostname(),
    pid: process.pid,
    vitals: new VitalSigns(folder),
    executors: (options, platform, handlers) => new ExecutorPool(options, platform, handlers),
  }
}

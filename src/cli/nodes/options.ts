// Owns how a supervisor passes options to its node processes: by flags, with everything secret left in files.
// Must not have defaults: the supervisor decides everything.
import { parseArgs } from 'node:util'
import type { Resources } from '../../protocol/index.ts'
import type { OidcOptions } from '../oidc/oidc.ts'
import type { JournalPlace } from './journal.ts'

/** How much a node logs. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

/** All log levels, from the least important. */
export const logLevels: readonly LogLevel[] = ['debug', 'info', 'warn', 'error']

/** Options of `cox node candidate`. */
export interface CandidateOptions extends JournalPlace {
  home: string
  name: string
  host: string
  port: number
  /** P0. */
  priority: number
  /** In a journal that nobody ever led: how long to leave that to the others. */
  firstDelayMs: number
  /** `HOST:PORT` at which others reach it, where that is not what it listens on. */
  advertise?: string
  /** File with the keys that all that is kept is sealed with; its name is no secret. */
  encryptionKeyFile?: string
  /** Where it is not as usual: what is kept of finished jobs. */
  limits?: { finishedJobsMax?: number; historyJobsMax?: number; finishedJobAgeMs?: number }
  /** The identity provider whose tokens are accepted too. */
  oidc?: OidcOptions
  logLevel: LogLevel
}

/** Options of `cox node worker`. */
export interface WorkerOptions {
  home: string
  name: string
  host: string
  capacity: Resources
  executors: number
  labels: string[]
  drainMs: number
  /** Port of its blocks, and `HOST:PORT` at which others reach them, where these are not a free one and the host. */
  blockPort?: number
  blockAdvertise?: string
  /** Where blocks are kept besides: `s3://BUCKET/PREFIX`. */
  blocks?: string
  logLevel: LogLevel
}

/** The arguments that start such a candidate. */
export function candidateArguments(options: CandidateOptions): string[] {
  return ['node', 'candidate', '--options', JSON.stringify(options)]
}

/** The arguments that start such a worker. */
export function workerArguments(options: WorkerOptions): string[] {
  return ['node', 'worker', '--options', JSON.stringify(options)]
}

/** The options in a node process's arguments, which only a supervisor of the same release writes. */
export function parseNodeOptions<T extends CandidateOptions | WorkerOptions>(args: string[]): T {
  const { values } = parseArgs({ args, options: { options: { type: 'string' } } })
  return JSON.parse(values.options ?? '{}') as T
}

// Owns how users write limits: of tasks by key, number and rate, of runs by key, and the refusal of what is none.
// Must stay light: it is bundled into every program.
import { type BusyRule, busyRules, CoxswainError, limits, type RunPolicy, type StagePolicy } from '../protocol/index.ts'
import { type Duration, durationMs } from './amounts.ts'

/** How often tasks may begin. */
export interface Rate {
  /** So many in any `per`, however they are spread within it. */
  limit: number
  per: Duration
}

/** What limits tasks while they run, besides the resources of workers. */
export interface TaskLimits {
  /** A text of your choice, such as `host:example.com`. All tasks of the cluster with the same key share its limits, which must be the same wherever they are said. */
  concurrencyKey?: string
  /** How many of them are handed out at once. Default with a key and without a rate: 1. */
  concurrency?: number
  rate?: Rate
}

/** What limits a job as a whole. */
export interface RunLimits {
  /** A text of your choice. Of all jobs with the same key `concurrency` run at once. */
  concurrencyKey?: string
  /** How many jobs with this key run at once. Default 1. */
  concurrency?: number
  /**
   * What happens if as many run already: it waits for its turn (`queue`, the default), the oldest jobs with the key are cancelled to make room (`cancel`),
   * or it is refused with KEY_BUSY (`reject`).
   */
  whenBusy?: BusyRule
  /** From its start to its end. A job that takes longer fails with RUN_TIMEOUT, and what runs of it is stopped. */
  timeout?: Duration
}

const countMax = 1_000_000

type Code = 'INVALID_WORKFLOW' | 'INVALID_ARGUMENT'

function keyOf(key: unknown, where: string, code: Code): string {
  if (key === undefined) return ''
  if (typeof key !== 'string' || key === '' || Buffer.byteLength(key) > limits.nameBytesMax)
    throw new CoxswainError(code, `${where}concurrencyKey must be a text of 1 to ${limits.nameBytesMax} bytes.`, { id: 'concurrencyKey' })
  return key
}

function countOf(count: unknown, field: string, where: string, code: Code): number {
  if (!Number.isInteger(count) || (count as number) < 1 || (count as number) > countMax)
    throw new CoxswainError(code, `${where}${field} is ${String(count)}: it must be a whole number from 1 to ${countMax}.`, { id: field })
  return count as number
}

/** The limits of tasks as plain data, or undefined where there are none. `where` begins the message of what is wrong. Throws `code`. */
export function parseTaskLimits(
  { concurrencyKey, concurrency, rate }: TaskLimits,
  where: string,
  code: Code,
): Omit<StagePolicy, 'stage' | 'stepTimeoutMs'> | undefined {
  if (concurrencyKey === undefined && concurrency === undefined && rate === undefined) return undefined
  const key = keyOf(concurrencyKey, where, code)
  const rateLimit = rate === undefined ? 0 : countOf(rate.limit, 'rate.limit', where, code)
  const ratePerMs = rate === undefined ? 0 : durationMs(rate.per, `${where}rate.per`, code)
  if (rate !== undefined && ratePerMs < 1) throw new CoxswainError(code, `${where}rate.per must be at least 1 ms.`, { id: 'rate.per' })
  const alone = rate === undefined ? 1 : 0
  return { key, concurrency: concurrency === undefined ? alone : countOf(concurrency, 'concurrency', where, code), rateLimit, ratePerMs }
}

/** The limits of a job as plain data, or undefined where there are none. Throws INVALID_ARGUMENT. */
export function parseRunLimits({ concurrencyKey, concurrency, whenBusy, timeout }: RunLimits): RunPolicy | undefined {
  if (concurrencyKey === undefined && timeout === undefined) {
    if (concurrency === undefined && whenBusy === undefined) return undefined
    throw new CoxswainError('INVALID_ARGUMENT', 'concurrency and whenBusy of a job need a concurrencyKey.', { id: 'concurrencyKey' })
  }
  const key = keyOf(concurrencyKey, '', 'INVALID_ARGUMENT')
  if (whenBusy !== undefined && !busyRules.includes(whenBusy))
    throw new CoxswainError('INVALID_ARGUMENT', `whenBusy is ${JSON.stringify(whenBusy)}, and must be one of ${busyRules.join(', ')}.`, {
      id: 'whenBusy',
    })
  const timeoutMs = timeout === undefined ? 0 : durationMs(timeout, 'timeout', 'INVALID_ARGUMENT')
  if (timeout !== undefined && timeoutMs < 1)
    throw new CoxswainError('INVALID_ARGUMENT', 'timeout must be at least 1 ms.', { id: 'timeout' })
  const count = concurrency === undefined ? 1 : countOf(concurrency, 'concurrency', '', 'INVALID_ARGUMENT')
  return { key, concurrency: key === '' ? 0 : count, whenBusy: whenBusy ?? 'queue', timeoutMs }
}

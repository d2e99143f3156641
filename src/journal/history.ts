// Owns what the history is on every backend: a row per finished job, what a question may ask for, and the order of the answers.
// Must not know what a row's body means.
import { crc32 } from 'node:zlib'
import { CoxswainError } from '../protocol/errors.ts'
import type { JobId, PayloadId, Range } from '../protocol/index.ts'

/** How a job may have ended; the position of each is how it is kept. */
export const endStates = ['succeeded', 'failed', 'cancelled'] as const

/** How a job ended. */
export type EndState = (typeof endStates)[number]

/** A finished job as the history keeps it. */
export interface HistoryRow {
  /** Its place among all jobs that were ever submitted: the newest has the largest. */
  number: number
  /** Its place among all that came into the history: the first go first. */
  place: number
  job: JobId
  name: string
  state: EndState
  labels: readonly string[]
  /** Cluster time; it never goes back, so that it grows with `number`. */
  submittedAtMs: number
  /** Payloads that belong to this row alone: they are dropped with it. */
  payloads: readonly PayloadId[]
  /** All else that is kept of it, as its writer will read it. */
  body: Uint8Array
}

/** What one append does to the history. */
export interface HistoryChange {
  rows: readonly HistoryRow[]
  /** Places of rows whose payloads go; the rows stay. */
  emptied?: Range | undefined
  /** Places of rows that go with all they have. */
  forgotten?: Range | undefined
}

/** Which rows are asked for. All conditions hold together. */
export interface HistoryQuery {
  /** Only rows with a smaller number; without it the newest come first. */
  below?: number | undefined
  state?: EndState | undefined
  name?: string | undefined
  label?: string | undefined
  /** With what the job's id begins. */
  prefix?: string | undefined
  /** Submitted at this time or later, and before this one. */
  sinceMs?: number | undefined
  untilMs?: number | undefined
  rowsMax: number
}

/** Rows in falling order of their numbers. There may be fewer than asked for although more follow: the answer is bounded in what was looked at. */
export interface HistoryPage {
  rows: HistoryRow[]
  /** Ask for those below this number next; undefined at the end. */
  next: number | undefined
}

/** The finished jobs that are no longer in the state. Written by appends only. */
export interface History {
  /** Rejects with JOURNAL_CORRUPT where a row is not what was written. */
  page(query: HistoryQuery): Promise<HistoryPage>
  /** The row of this job, or undefined. */
  row(job: JobId): Promise<HistoryRow | undefined>
}

/** Rows that one question looks at, at most: what comes next waits no longer than that takes. */
export const rowsLookedAtMax = 2000

/** True if the row is one of those asked for, its number apart. */
export function matches(row: Omit<HistoryRow, 'payloads' | 'body' | 'place' | 'number'>, query: HistoryQuery): boolean {
  const { state, name, label, prefix, sinceMs, untilMs } = query
  return (
    (state === undefined || row.state === state) &&
    (name === undefined || row.name === name) &&
    (label === undefined || row.labels.includes(label)) &&
    (prefix === undefined || row.job.startsWith(prefix)) &&
    (sinceMs === undefined || row.submittedAtMs >= sinceMs) &&
    (untilMs === undefined || row.submittedAtMs < untilMs)
  )
}

/** The error of a row that is not what was written. */
export function corruptHistory(job: JobId): CoxswainError {
  return new CoxswainError('JOURNAL_CORRUPT', `The history's row of job ${job} is not what was written.`, { id: job })
}

/** The checksum of a row. */
export function historyChecksum({ number, place, job, name, state, labels, submittedAtMs, payloads, body }: HistoryRow): number {
  return crc32(body, crc32(JSON.stringify([number, place, job, name, state, labels, submittedAtMs, payloads])))
}

/** A row as tables of databases keep it: the state by its position, lists as JSON. */
export interface HistoryColumns {
  number: number
  place: number
  job: string
  name: string
  state: number
  labels: string
  submittedAtMs: number
  payloads: string
  body: Uint8Array
  checksum: number
}

/** The row in these columns; `nameOf` reads its name, where that is not kept as it is. Throws JOURNAL_CORRUPT where it is not what was written. */
export function rowFromColumns(kept: HistoryColumns, nameOf: (kept: string) => string = name => name): HistoryRow {
  const { checksum, state, name, labels, payloads, ...rest } = kept
  try {
    const row: HistoryRow = {
      ...rest,
      name: nameOf(name),
      state: endStates[state]!,
      labels: JSON.parse(labels),
      payloads: JSON.parse(payloads),
    }
    if (historyChecksum(row) === checksum) return row
  } catch {
    // Damage may leave anything.
  }
  throw corruptHistory(kept.job)
}

/** By what a name, a label, or both together are found. */
export function historyKey({ label, name }: Pick<HistoryQuery, 'label' | 'name'>): string {
  return JSON.stringify({ label, name })
}

/** All keys of a row, each once. */
export function historyKeys({ name, labels }: Pick<HistoryRow, 'name' | 'labels'>): string[] {
  return [historyKey({ name }), ...[...new Set(labels)].flatMap(label => [historyKey({ label }), historyKey({ label, name })])]
}

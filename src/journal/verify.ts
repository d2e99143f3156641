// Owns the check of a whole store: every row, hash, payload and snapshot. It only reads.
// Must not stop at the first problem where it can look further, and must not repair anything.
import { CoxswainError } from '../protocol/errors.ts'
import type { Journal, JournalRow } from './journal.ts'
import { sameBytes } from './row.ts'
import type { Inspectable } from './rules.ts'

/** What was checked, and what is wrong. */
export interface VerifyReport {
  rows: number
  records: number
  payloads: number
  snapshots: number
  firstIndex: number
  lastIndex: number
  /** Each in words, with the index or number it is about; empty if all is well. */
  problems: string[]
}

/** What `verifyStore` reads. */
export interface Verifiable extends Inspectable {
  journal: Pick<Journal, 'read' | 'payload' | 'size'>
}

const rowsAtOnce = 256
const idsAtOnce = 4096
/** Problems that a report names; those beyond are only counted. */
const problemsMax = 100

/** Checks everything in a store. */
export async function verifyStore(store: Verifiable): Promise<VerifyReport> {
  const { firstIndex, lastIndex, rows: rowsCounted } = await store.journal.size()
  const report: VerifyReport = { rows: 0, records: 0, payloads: 0, snapshots: 0, firstIndex, lastIndex, problems: [] }
  const problems: string[] = []
  await verifyRows(store, report, problems)
  if (problems.length === 0 && report.rows < rowsCounted) problems.push(`${report.rows} rows were read where ${rowsCounted} are counted.`)
  await verifyPayloads(store, report, problems)
  for (const { index, holds } of await store.inspect.snapshots()) {
    report.snapshots++
    if (!holds) problems.push(`The snapshot at record ${index} is not what was saved.`)
  }
  problems.push(...((await attempt(() => store.inspect.problems(), problems)) ?? []))
  report.problems = problems.slice(0, problemsMax)
  if (problems.length > problemsMax) report.problems.push(`${problems.length - problemsMax} more.`)
  return report
}

/** The rows, in order; nothing behind a bad one can be believed, so there the walk ends. */
async function verifyRows(store: Verifiable, report: VerifyReport, problems: string[]): Promise<void> {
  let next = report.firstIndex
  let before: JournalRow | undefined
  let rowsMax = rowsAtOnce
  // A journal that is being written grows: what came after the begin is not looked at.
  while (next <= report.lastIndex) {
    let rows: JournalRow[]
    try {
      rows = await store.journal.read(next, rowsMax)
    } catch (error) {
      if (rowsMax === 1) {
        problems.push(`${wordsOf(error)} Rows from record ${next} on were not believed.`)
        return
      }
      // One of them is bad: those before it are counted one by one.
      rowsMax = 1
      continue
    }
    if (rows.length === 0) {
      problems.push(`The journal ends before record ${next}, where ${report.lastIndex} is its last.`)
      return
    }
    for (const row of rows) {
      if (before !== undefined && !sameBytes(before.hash, row.previousHash))
        problems.push(`The chain is broken at record ${row.firstIndex}.`)
      before = row
      report.rows++
      report.records += row.count
      next = row.firstIndex + row.count
    }
  }
}

async function verifyPayloads(store: Verifiable, report: VerifyReport, problems: string[]): Promise<void> {
  for (let after = 0; ; ) {
    const ids = await attempt(() => store.inspect.payloadIds(after, idsAtOnce), problems)
    if (ids === undefined || ids.length === 0) return
    for (const payload of ids) {
      report.payloads++
      await attempt(() => store.journal.payload(payload), problems)
      after = payload
    }
  }
}

async function attempt<T>(work: () => Promise<T>, problems: string[]): Promise<T | undefined> {
  try {
    return await work()
  } catch (error) {
    problems.push(wordsOf(error))
    return undefined
  }
}

/** Expected errors in words; anything else is a bug and goes up. */
function wordsOf(error: unknown): string {
  if (error instanceof CoxswainError) return error.message
  throw error
}

// Owns reading the audit log: the newest lines that match, and whether all lines are those that were written.
// Must not write, and must not keep the loop from anything for long.
import { join } from 'node:path'
import type { Clock, Files } from '../../platform/index.ts'
import { type AuditCheck, type AuditEntry, type AuditQuery, CoxswainError } from '../../protocol/index.ts'
import type { LeaderContext } from '../context.ts'
import { fieldsOf, hashOf, noLine } from './chain.ts'
import { auditFiles, numberOf } from './folder.ts'

const linesDefault = 100
const linesMax = 10_000
/** Lines that are looked at in one go. */
const linesAtOnce = 1000
/** Problems that are told. */
const problemsMax = 100

/** Where the log lies, and what reads it. */
export interface AuditPlace {
  root: string
  files: Files
  clock: Clock
}

/** The audit log of this leader, with all that was noted so far. Throws NOT_FOUND where there is none. */
export async function auditPlace({ audit, platform }: LeaderContext): Promise<AuditPlace> {
  if (!audit) throw new CoxswainError('NOT_FOUND', 'This leader keeps no audit log.')
  await audit.flush()
  return { root: audit.root, files: platform.files, clock: platform.clock }
}

/** Folders of all candidates of this machine. */
async function foldersOf({ root, files }: AuditPlace): Promise<string[]> {
  return (await files.list(root)).map(name => join(root, name))
}

/** Lets what waits for the loop go first. */
function breathe(clock: Clock): Promise<void> {
  return new Promise(resolve => clock.soon(resolve))
}

/** The lines of a file that are whole; the last one may have been cut by the death of its process. */
async function linesOf(files: Files, path: string): Promise<string[]> {
  const text = (await files.read(path)).toString()
  const lines = text.split('\n')
  lines.pop()
  return lines
}

/** Those that match, oldest first; at most the newest `limit`. */
export async function readAudit(place: AuditPlace, query: AuditQuery): Promise<AuditEntry[]> {
  const { denied, user, sinceMs = 0 } = query
  if (!Number.isFinite(sinceMs)) throw new CoxswainError('INVALID_ARGUMENT', 'A time of the audit log is no number.')
  const limit = Number.isSafeInteger(query.limit) ? Math.min(Math.max(query.limit!, 1), linesMax) : linesDefault
  const matches = (entry: AuditEntry): boolean =>
    (denied !== true || entry.outcome === 'denied') && (user === undefined || entry.who === user) && Date.parse(entry.time) >= sinceMs
  const found: AuditEntry[] = []
  for (const folder of await foldersOf(place)) found.push(...(await newestIn(place, folder, matches, limit)))
  return found.sort((one, other) => (one.time < other.time ? -1 : one.time > other.time ? 1 : 0)).slice(-limit)
}

/** The newest of a folder that match, oldest first. */
async function newestIn(place: AuditPlace, folder: string, matches: (entry: AuditEntry) => boolean, limit: number): Promise<AuditEntry[]> {
  const { files, clock } = place
  const found: AuditEntry[] = []
  for (const name of (await auditFiles(files, folder)).reverse()) {
    const lines = (await linesOf(files, join(folder, name))).reverse()
    for (const [at, line] of lines.entries()) {
      if (at % linesAtOnce === linesAtOnce - 1) await breathe(clock)
      const entry = entryOf(line)
      if (entry && matches(entry)) found.push(entry)
      if (found.length >= limit) return found.reverse()
    }
  }
  return found.reverse()
}

function entryOf(line: string): AuditEntry | undefined {
  const fields = fieldsOf(line)
  if (!fields || typeof fields['time'] !== 'string') return undefined
  const { previous: _, ...entry } = fields
  // What stands in a line was written by this code, or `--verify` finds it.
  return entry as unknown as AuditEntry
}

/** Whether each line holds the hash of the one before it, in all folders. */
export async function checkAudit(place: AuditPlace): Promise<AuditCheck> {
  const check: AuditCheck = { files: 0, lines: 0, problems: [] }
  for (const folder of await foldersOf(place)) await checkFolder(place, folder, check)
  check.problems.splice(problemsMax)
  return check
}

async function checkFolder({ root, files, clock }: AuditPlace, folder: string, check: AuditCheck): Promise<void> {
  const short = folder.slice(root.length + 1)
  let expected: string | undefined
  let number: number | undefined
  for (const name of await auditFiles(files, folder)) {
    const path = `${short}/${name}`
    check.files++
    if (number !== undefined && numberOf(name) !== number + 1) check.problems.push(`${path}: files before it are missing`)
    // The first of all has nothing before it; where older files were removed, what stood in them is not known.
    if (number === undefined) expected = numberOf(name) === 1 ? noLine : undefined
    number = numberOf(name)
    for (const [at, line] of (await linesOf(files, join(folder, name))).entries()) {
      if (at % linesAtOnce === linesAtOnce - 1) await breathe(clock)
      check.lines++
      const previous = fieldsOf(line)?.['previous']
      if (typeof previous !== 'string') check.problems.push(`${path}:${at + 1}: is no line of this log`)
      else if (expected !== undefined && previous !== expected)
        check.problems.push(`${path}:${at + 1}: the line before it was altered, or lines between them are gone`)
      expected = hashOf(line)
    }
  }
}

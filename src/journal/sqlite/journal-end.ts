// Owns the look at where the journal ends, and what keeps a process from going on there: an end that cannot be believed, or somebody who holds it.
// Must not write.
import { CoxswainError } from '../../protocol/errors.ts'
import { corruptRow, noHash, rowProblem } from '../row.ts'
import { rowFrom } from './database.ts'
import type { Mark } from './files.ts'
import { type LeaderRow, readLeader } from './leader-row.ts'
import type { LedgerStatements } from './ledger-statements.ts'

/** Where a journal ends. */
export interface JournalEnd {
  leader: LeaderRow
  /** Of the newest row. */
  hash: Uint8Array
  /** False where the mark of what was acknowledged cannot be read. */
  markHolds: boolean
}

/** Reads where the journal ends, and refuses to go on from an end that cannot be believed. */
export function journalEnd(run: LedgerStatements, mark: Mark): JournalEnd {
  const leader = readLeader(run.leader)
  const columns = run.newest.get()
  let hash = noHash
  if (columns === undefined) {
    if (leader.lastIndex !== 0) throw corruptRow(leader.lastIndex, 'is missing')
  } else {
    const row = rowFrom(columns)
    const problem = rowProblem(row, undefined)
    if (problem !== undefined) throw corruptRow(row.firstIndex, problem)
    const end = row.firstIndex + row.count - 1
    if (end !== leader.lastIndex) throw corruptRow(end, `is the newest, where the leader's row says that ${leader.lastIndex} is`)
    if (row.epoch !== leader.epoch) throw corruptRow(end, `is of epoch ${row.epoch}, where the leader's row says ${leader.epoch}`)
    hash = row.hash
  }
  const acknowledged = mark.read()
  if (acknowledged !== undefined && acknowledged > leader.lastIndex)
    throw corruptRow(leader.lastIndex + 1, `is missing, although all up to ${acknowledged} were acknowledged`)
  return { leader, hash, markHolds: acknowledged !== undefined }
}

/** Who holds the folder, in words. */
export function folderInUse(folder: string, { leader, pid, address, epoch }: LeaderRow): CoxswainError {
  const who =
    epoch === 0
      ? 'Another process, not yet leader,'
      : `${leader} (pid ${pid}${address === '' ? '' : `, ${address}`}), leader of epoch ${epoch},`
  return new CoxswainError('STATE_FOLDER_IN_USE', `${who} holds the journal in ${folder}.`, { id: folder })
}

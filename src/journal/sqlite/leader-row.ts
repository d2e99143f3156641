// Owns the one row that says who leads, how far the journal goes and what is kept, and the checksum of what a claim wrote there.
// Must not write it: the ledger does.
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { crc32 } from 'node:zlib'
import { CoxswainError } from '../../protocol/errors.ts'
import type { LeadershipView } from '../journal.ts'

/** The checksum of what a claim writes into the leader's row. All else in that row is compared with the journal's rows and totals. */
export function leaderChecksum(view: LeadershipView, records: number): number {
  const { epoch, leader, pid, processStart, address } = view
  return crc32(JSON.stringify([epoch, leader, pid, processStart, address, records]))
}

/** The leader's row: who leads, how far the journal goes, and what is kept. */
export interface LeaderRow extends LeadershipView {
  lastIndex: number
  rows: number
  rowBytes: number
  payloads: number
  payloadBytes: number
  historyRows: number
}

/** What `leaderStatement` reads. */
interface LeaderColumns extends LeaderRow {
  records: number
  checksum: number
}

/** Reads the leader's row with a statement made by `leaderStatement`. Throws JOURNAL_CORRUPT where it is missing or not what a claim wrote. */
export function readLeader(statement: StatementSync): LeaderRow {
  // The statement names its columns as the interface does.
  const columns = statement.get() as unknown as LeaderColumns | undefined
  if (columns === undefined) throw new CoxswainError('JOURNAL_CORRUPT', "The leader's row of the journal is missing.", { id: 'leader' })
  const { records, checksum, ...row } = columns
  if (leaderChecksum(row, records) !== checksum)
    throw new CoxswainError('JOURNAL_CORRUPT', "The leader's row of the journal does not match its checksum.", { id: 'leader' })
  return row
}

/** Columns of the leader's row that it has in every format, as `LeaderRow` names them. */
export const leaderColumns = `epoch, name AS leader, pid, process_start AS processStart, address, last_index AS lastIndex, row_count AS "rows",
  row_bytes AS rowBytes, payload_count AS payloads, payload_bytes AS payloadBytes, record_version AS records`

/** The statement that `readLeader` runs. */
export function leaderStatement(database: DatabaseSync): StatementSync {
  return database.prepare(`SELECT ${leaderColumns}, history_rows AS historyRows, checksum FROM leader WHERE id = 1`)
}

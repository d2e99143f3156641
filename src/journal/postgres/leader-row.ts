// Owns the one row that says who leads, how far the journal goes and what is kept, and the checksum of what a claim wrote there.
// Must not write it.
import { crc32 } from 'node:zlib'
import { CoxswainError } from '../../protocol/errors.ts'
import type { LeadershipView } from '../journal.ts'
import type { Statement } from './session.ts'

/** The checksum of what a claim writes into the leader's row. All else in that row is compared with the journal's rows and totals. */
export function leaderChecksum({ epoch, leader, pid, processStart, address }: Omit<LeadershipView, 'lease'>): number {
  return crc32(JSON.stringify([epoch, leader, pid, processStart, address]))
}

/** The leader's row as it is read. */
export interface LeaderRow {
  epoch: number
  leader: string
  pid: number
  processStart: string
  address: string
  checksum: number
  holder: string
  lastIndex: number
  hash: Uint8Array
  rows: number
  rowBytes: number
  payloads: number
  payloadBytes: number
  historyRows: number
  /** Its lease was renewed within its time, by the database's clock. */
  held: boolean
}

/** The statement that reads it. A lease that was not renewed for so long is gone. */
export function leaderStatement(schema: string, leaseMs: number): Statement {
  return {
    name: 'leader',
    text: `SELECT l.epoch, name AS leader, pid, process_start AS "processStart", address, checksum, holder, last_index AS "lastIndex", hash, row_count AS rows,
      row_bytes AS "rowBytes", payload_count AS payloads, payload_bytes AS "payloadBytes", history_rows AS "historyRows",
      e.epoch = l.epoch AND e.renewed_at > clock_timestamp() - interval '${leaseMs} milliseconds' AS held
      FROM ${schema}.leader AS l, ${schema}.lease AS e WHERE l.id = 1 AND e.id = 1`,
  }
}

/** The row, checked. Throws JOURNAL_CORRUPT where it is missing or not what a claim wrote. */
export function checkedLeader(row: LeaderRow | undefined): LeaderRow {
  if (row === undefined) throw new CoxswainError('JOURNAL_CORRUPT', "The leader's row of the journal is missing.", { id: 'leader' })
  if (leaderChecksum(row) !== row.checksum)
    throw new CoxswainError('JOURNAL_CORRUPT', "The leader's row of the journal does not match its checksum.", { id: 'leader' })
  return row
}

/** Who leads, as candidates ask. */
export function viewOf({ epoch, leader, pid, processStart, address, held }: LeaderRow): LeadershipView {
  const view = { epoch, leader, pid, processStart, address }
  return epoch === 0 ? view : { ...view, lease: held ? 'held' : 'gone' }
}

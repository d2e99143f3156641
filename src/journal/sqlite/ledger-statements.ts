// Owns the SQL of what is written.
// Must not run any of it.
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { recordVersion } from '../../protocol/limits.ts'
import { rowColumns } from './database.ts'
import { leaderStatement } from './leader-row.ts'

/** The prepared statements of a ledger. */
export type LedgerStatements = ReturnType<typeof ledgerStatements>

/** Prepares all statements that write. */
export function ledgerStatements(database: DatabaseSync) {
  return {
    begin: database.prepare('BEGIN IMMEDIATE'),
    commit: database.prepare('COMMIT'),
    rollback: database.prepare('ROLLBACK'),
    leader: leaderStatement(database),
    newest: database.prepare(`SELECT ${rowColumns} FROM journal ORDER BY first_index DESC LIMIT 1`),
    advance: database.prepare('UPDATE leader SET last_index = ? WHERE epoch = ? AND last_index = ?'),
    count: database.prepare(`UPDATE leader SET row_count = row_count + ?, row_bytes = row_bytes + ?,
      payload_count = payload_count + ?, payload_bytes = payload_bytes + ?, history_rows = history_rows + ? WHERE epoch = ?`),
    claim: database.prepare(`UPDATE leader SET epoch = ?, last_index = ?, name = ?, pid = ?, process_start = ?, address = ?,
      record_version = ${recordVersion}, checksum = ? WHERE epoch = ? AND last_index = ?`),
    insertRow: database.prepare(`INSERT INTO journal (${rowColumns}) VALUES (?, ?, ?, ?, ?, ?, ?)`),
    insertPayload: database.prepare('INSERT INTO payload (payload, size, checksum, segment, position, bytes) VALUES (?, ?, ?, ?, ?, ?)'),
    dropPayload: database.prepare('DELETE FROM payload WHERE payload = ? RETURNING size, segment'),
    liveSegments: database.prepare(
      `SELECT segment, sum(size) AS bytes, count(*) AS payloads FROM payload WHERE segment > 0 GROUP BY segment`,
    ),
    rowEndingAt: database.prepare(
      'SELECT hash, first_index + count - 1 AS last FROM journal WHERE first_index <= ? ORDER BY first_index DESC LIMIT 1',
    ),
    newestSnapshot: database.prepare('SELECT last_index AS lastIndex FROM snapshot ORDER BY last_index DESC LIMIT 1'),
    snapshotFiles: database.prepare('SELECT file FROM snapshot'),
    oldSnapshots: database.prepare('DELETE FROM snapshot WHERE last_index < ? OR last_index = ? RETURNING file'),
    endFallbacks: database.prepare('UPDATE snapshot SET fallback = 0'),
    insertSnapshot: database.prepare(
      `INSERT INTO snapshot (last_index, epoch, hash, size, checksum, file, fallback) VALUES (?, ?, ?, ?, ?, ?, ?)`,
    ),
  } satisfies Record<string, StatementSync>
}

// Owns the format of the database: its tables and their version, how they are made, recognised and brought up to date.
// Must not read or write rows but the leader's.
import { DatabaseSync } from 'node:sqlite'
import { CoxswainError } from '../../protocol/errors.ts'
import { recordVersion } from '../../protocol/limits.ts'
import type { LeadershipView } from '../journal.ts'
import { databasePath } from './files.ts'
import { historyTables } from './history.ts'
import { type LeaderRow, leaderChecksum, leaderColumns } from './leader-row.ts'
import { FolderLock } from './lock.ts'

/**
 * Version of the tables below. A folder of a newer one is refused; an older one is changed when it is opened for writing: in format 1 the leader's row had
 * no checksum, and up to format 2 there was no history.
 */
const journalFormat = 3
/** "COXJ": marks the file as ours. */
const applicationId = 0x434f584a
/** How long a first start waits for another that makes the tables, and how often it looks. */
const creationMs = 5000
const creationLookMs = 5

/** Who leads a journal that nobody has claimed. */
const nobody: LeadershipView = { epoch: 0, leader: '', pid: 0, processStart: '', address: '' }

const leaderTable = `
  CREATE TABLE leader (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    epoch INTEGER NOT NULL, last_index INTEGER NOT NULL,
    name TEXT NOT NULL, pid INTEGER NOT NULL, process_start TEXT NOT NULL, address TEXT NOT NULL,
    record_version INTEGER NOT NULL,
    row_count INTEGER NOT NULL, row_bytes INTEGER NOT NULL, payload_count INTEGER NOT NULL, payload_bytes INTEGER NOT NULL,
    history_rows INTEGER NOT NULL,
    checksum INTEGER NOT NULL
  ) STRICT;
`

const schema = `
  ${leaderTable}
  INSERT INTO leader VALUES (1, 0, 0, '', 0, '', '', ${recordVersion}, 0, 0, 0, 0, 0, ${leaderChecksum(nobody, recordVersion)});
  CREATE TABLE journal (
    first_index INTEGER PRIMARY KEY, count INTEGER NOT NULL, epoch INTEGER NOT NULL,
    previous_hash BLOB NOT NULL, hash BLOB NOT NULL, manifest BLOB NOT NULL, records BLOB NOT NULL
  ) STRICT;
  CREATE TABLE payload (
    payload INTEGER PRIMARY KEY, size INTEGER NOT NULL, checksum INTEGER NOT NULL,
    segment INTEGER NOT NULL, position INTEGER NOT NULL, bytes BLOB
  ) STRICT;
  CREATE INDEX payload_by_segment ON payload (segment) WHERE segment > 0;
  CREATE TABLE snapshot (
    last_index INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, hash BLOB NOT NULL,
    size INTEGER NOT NULL, checksum BLOB NOT NULL, file TEXT NOT NULL, fallback INTEGER NOT NULL
  ) STRICT;
  ${historyTables}
  PRAGMA application_id = ${applicationId};
  PRAGMA user_version = ${journalFormat};
`

/** A value of a pragma. */
export function pragma(database: DatabaseSync, name: string): unknown {
  const row = database.prepare(`PRAGMA ${name}`).get()
  return row === undefined ? undefined : Object.values(row)[0]
}

/** Says what a database is; throws where it is not ours, of a newer release, or has other tables than it should. */
export function checkFormat(database: DatabaseSync, folder: string): 'empty' | 'older' | 'ours' {
  const format = Number(pragma(database, 'user_version'))
  const application = Number(pragma(database, 'application_id'))
  // A first start that was killed halfway leaves a file without tables.
  const tables = Number(database.prepare('SELECT count(*) AS tables FROM sqlite_schema').get()?.['tables'])
  if (format === 0 && application === 0 && tables === 0) return 'empty'
  if (application !== applicationId) {
    throw new CoxswainError('STATE_FOLDER_UNUSABLE', `${databasePath(folder)} is the database of another program.`, { id: folder })
  }
  if (format > journalFormat) {
    throw new CoxswainError('JOURNAL_VERSION', `The journal in ${folder} has format ${format}; this release knows ${journalFormat}.`, {
      id: folder,
    })
  }
  const records = Number(database.prepare('SELECT record_version AS version FROM leader').get()?.['version'])
  if (records > recordVersion) {
    throw new CoxswainError(
      'JOURNAL_VERSION',
      `The journal in ${folder} has records of version ${records}; this release knows ${recordVersion}.`,
      {
        id: folder,
      },
    )
  }
  if (format < journalFormat) return 'older'
  if (tablesOf(database) !== tablesMade())
    throw new CoxswainError('JOURNAL_CORRUPT', `The tables of the journal in ${folder} are not those of format ${format}.`, { id: folder })
  return 'ours'
}

/** All tables and indexes of a database with their texts. */
function tablesOf(database: DatabaseSync): string {
  return JSON.stringify(database.prepare('SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name').all())
}

let made: string | undefined

/** The tables and indexes of this format. */
function tablesMade(): string {
  if (made === undefined) {
    const database = new DatabaseSync(':memory:')
    database.exec(schema)
    made = tablesOf(database)
    database.close()
  }
  return made
}

/** Brings an older database up to date. Under the lock: an older release that leads would not keep what is new. */
export function upgrade(database: DatabaseSync, folder: string): void {
  const lock = new FolderLock(folder)
  try {
    if (!lock.take()) {
      throw new CoxswainError('STATE_FOLDER_IN_USE', `An older release leads in ${folder}. Stop all its nodes, then start this one.`, {
        id: folder,
      })
    }
    database.exec('BEGIN IMMEDIATE')
    try {
      if (checkFormat(database, folder) === 'older') {
        database.exec(Number(pragma(database, 'user_version')) === 1 ? firstChecksum(database) : '')
        database.exec(upgradeToHistory)
      }
      database.exec('COMMIT')
    } catch (error) {
      if (database.isTransaction) database.exec('ROLLBACK')
      throw error
    }
  } finally {
    lock.close()
  }
}

/** From format 1 to 2: the leader's row gets its checksum, and older snapshots name no fall-back. */
function firstChecksum(database: DatabaseSync): string {
  // The statement names its columns as the interface does.
  const kept = database.prepare(`SELECT ${leaderColumns} FROM leader`).get() as unknown as LeaderRow & { records: number }
  return `ALTER TABLE leader ADD COLUMN checksum INTEGER NOT NULL DEFAULT ${leaderChecksum(kept, kept.records)};
    UPDATE snapshot SET fallback = 0 WHERE last_index < (SELECT max(last_index) FROM snapshot);`
}

/** From format 2 to 3. The leader's table is made anew and not altered: the texts of the tables are compared with those above. */
const upgradeToHistory = `
  CREATE TEMP TABLE kept AS SELECT * FROM leader; DROP TABLE leader; ${leaderTable}
  INSERT INTO leader SELECT id, epoch, last_index, name, pid, process_start, address, record_version, row_count, row_bytes, payload_count, payload_bytes,
    0, checksum FROM kept;
  DROP TABLE kept;
  ${historyTables}
  PRAGMA user_version = ${journalFormat};
`

/** Creates the tables. Under the lock, so that two first starts do not meet. */
export function create(database: DatabaseSync, folder: string): void {
  const lock = new FolderLock(folder)
  const sleeper = new Int32Array(new SharedArrayBuffer(4))
  const endMs = performance.now() + creationMs
  try {
    // A held lock means that another process makes, or has made, the tables; it may lead already and keep the lock.
    while (!lock.take()) {
      if (checkFormat(database, folder) !== 'empty') return
      if (performance.now() > endMs)
        throw new CoxswainError('STATE_FOLDER_IN_USE', `Another process holds the lock of ${folder}.`, { id: folder })
      Atomics.wait(sleeper, 0, 0, creationLookMs)
    }
    if (checkFormat(database, folder) !== 'empty') return
    database.exec('PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL')
    database.exec(`BEGIN IMMEDIATE; ${schema} COMMIT`)
    // The tables themselves are not left to the write-ahead log, which ends without a word where it is damaged.
    database.exec('PRAGMA wal_checkpoint(TRUNCATE)')
  } finally {
    lock.close()
  }
}

// Owns how the database is opened: the library's version, safety pragmas and their read-back; and the reading of rows.
// Must not run in the leader's own thread: every call blocks.
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { CoxswainError } from '../../protocol/errors.ts'
import { corruptRow, type KeptRow } from '../row.ts'
import { fault, isBusy } from './faults.ts'
import { databasePath } from './files.ts'
import { checkFormat, create, pragma, upgrade } from './format.ts'

/** SQLite before this one can corrupt a database when its write-ahead log is reset. */
const sqliteVersionMin = [3, 51, 3]
const busyTimeoutMs = 5000

/** Brings the write-ahead log into the database as far as readers allow. Says how long the log was, or undefined if another connection was at it. */
export function checkpointedLogBytes(database: DatabaseSync): number | undefined {
  const { busy, log } = database.prepare('PRAGMA wal_checkpoint(PASSIVE)').get() as { busy: number; log: number }
  return busy !== 0 || log < 0 ? undefined : log * Number(pragma(database, 'page_size'))
}

function setAndCheck(database: DatabaseSync, name: string, word: string, value: number | string): void {
  database.exec(`PRAGMA ${name} = ${word}`)
  assert.equal(pragma(database, name), value, `SQLite does not keep ${name} = ${word}`)
}

function checkLibrary(database: DatabaseSync): void {
  const version = String(database.prepare('SELECT sqlite_version() AS version').get()!['version'])
  const parts = version.split('.').map(Number)
  const difference = sqliteVersionMin.map((least, i) => (parts[i] ?? 0) - least).find(one => one !== 0) ?? 0
  assert.ok(difference >= 0, `SQLite ${version} is older than ${sqliteVersionMin.join('.')}, which the journal needs`)
}

/** Opens the database for writing, made if it is not there, with its safety pragmas set and read back. */
export function openForWriting(folder: string): DatabaseSync {
  const database = open(folder, false)
  try {
    checkLibrary(database)
    const format = checkFormat(database, folder)
    if (format === 'empty') create(database, folder)
    if (format === 'older') upgrade(database, folder)
    setAndCheck(database, 'journal_mode', 'WAL', 'wal')
    setAndCheck(database, 'synchronous', 'FULL', 2)
    setAndCheck(database, 'fullfsync', 'ON', 1)
    setAndCheck(database, 'checkpoint_fullfsync', 'ON', 1)
    setAndCheck(database, 'trusted_schema', 'OFF', 0)
    setAndCheck(database, 'cell_size_check', 'ON', 1)
    // Checkpoints that SQLite starts by itself hide their errors: ours do not.
    setAndCheck(database, 'wal_autocheckpoint', '0', 0)
    return database
  } catch (error) {
    database.close()
    throw fault(error, isBusy(error) ? 'STATE_FOLDER_IN_USE' : 'STATE_FOLDER_UNUSABLE', `The journal in ${folder} does not open`)
  }
}

/** Opens the database for reading only. */
export function openForReading(folder: string): DatabaseSync {
  if (!existsSync(databasePath(folder))) {
    throw new CoxswainError('STATE_FOLDER_UNUSABLE', `There is no journal in ${folder}.`, { id: folder })
  }
  const database = open(folder, true)
  try {
    checkLibrary(database)
    const format = checkFormat(database, folder)
    if (format === 'empty') throw new CoxswainError('STATE_FOLDER_UNUSABLE', `The journal in ${folder} is empty.`, { id: folder })
    if (format === 'older') {
      throw new CoxswainError(
        'JOURNAL_VERSION',
        `The journal in ${folder} is of an older release. Start a cluster on it once: that brings it up to date.`,
        {
          id: folder,
        },
      )
    }
    setAndCheck(database, 'trusted_schema', 'OFF', 0)
    setAndCheck(database, 'cell_size_check', 'ON', 1)
    return database
  } catch (error) {
    database.close()
    throw fault(error, 'STATE_FOLDER_UNUSABLE', `The journal in ${folder} does not open`)
  }
}

function open(folder: string, readOnly: boolean): DatabaseSync {
  try {
    return new DatabaseSync(databasePath(folder), { readOnly, timeout: busyTimeoutMs })
  } catch (error) {
    throw fault(error, 'STATE_FOLDER_UNUSABLE', `The journal in ${folder} does not open`)
  }
}

/** Columns of a row of the journal, for `rowFrom`. */
export const rowColumns = 'first_index, count, epoch, previous_hash, hash, manifest, records'

/** A row of the journal from its columns; throws JOURNAL_CORRUPT where they are not what a row has. */
export function rowFrom(columns: Record<string, unknown>): KeptRow {
  const { first_index: firstIndex, count, epoch, previous_hash: previousHash, hash, manifest, records } = columns
  const blobs = [previousHash, hash, manifest, records]
  if (
    typeof firstIndex !== 'number' ||
    typeof count !== 'number' ||
    typeof epoch !== 'number' ||
    !blobs.every(one => one instanceof Uint8Array)
  ) {
    throw corruptRow(Number(firstIndex), 'is damaged')
  }
  const [before, own, names, bytes] = blobs as Uint8Array[]
  return { firstIndex, count, epoch, previousHash: before!, hash: own!, manifest: names!, records: bytes! }
}

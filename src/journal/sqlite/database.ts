// Owns the SQLite files' format: tables, pragmas and their read-back, versions, the lock, and the reading of rows.
// Must not run in the leader's own thread: every call blocks.
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { crc32 } from 'node:zlib'
import { CoxswainError, recordVersion } from '../../protocol/index.ts'
import type { LeadershipView } from '../journal.ts'
import { corruptRow, type KeptRow } from '../row.ts'
import { fault, isBusy } from './faults.ts'
import { databasePath, lockPath } from './files.ts'

/** Version of the tables below. A folder of a newer one is refused; one of format 1, whose leader's row had no checksum, is changed when it is opened for writing. */
const journalFormat = 2
/** "COXJ": marks the file as ours. */
const applicationId = 0x434f584a
/** SQLite before this one can corrupt a database when its write-ahead log is reset. */
const sqliteVersionMin = [3, 51, 3]
const busyTimeoutMs = 5000
/** How long a first start waits for another that makes the tables, and how often it looks. */
const creationMs = 5000
const creationLookMs = 5

/** Who leads a journal that nobody has claimed. */
const nobody: LeadershipView = { epoch: 0, leader: '', pid: 0, processStart: '', address: '' }

/** The checksum of what a claim writes into the leader's row. All else in that row is compared with the journal's rows and totals. */
export function leaderChecksum(view: LeadershipView, records: number): number {
  const { epoch, leader, pid, processStart, address } = view
  return crc32(JSON.stringify([epoch, leader, pid, processStart, address, records]))
}

const leaderTable = `
  CREATE TABLE leader (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    epoch INTEGER NOT NULL, last_index INTEGER NOT NULL,
    name TEXT NOT NULL, pid INTEGER NOT NULL, process_start TEXT NOT NULL, address TEXT NOT NULL,
    record_version INTEGER NOT NULL,
    row_count INTEGER NOT NULL, row_bytes INTEGER NOT NULL, payload_count INTEGER NOT NULL, payload_bytes INTEGER NOT NULL,
    checksum INTEGER NOT NULL
  ) STRICT;
`

const schema = `
  ${leaderTable}
  INSERT INTO leader VALUES (1, 0, 0, '', 0, '', '', ${recordVersion}, 0, 0, 0, 0, ${leaderChecksum(nobody, recordVersion)});
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
  PRAGMA application_id = ${applicationId};
  PRAGMA user_version = ${journalFormat};
`

/** A value of a pragma. */
export function pragma(database: DatabaseSync, name: string): unknown {
  const row = database.prepare(`PRAGMA ${name}`).get()
  return row === undefined ? undefined : Object.values(row)[0]
}

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

function checkFormat(database: DatabaseSync, folder: string): 'empty' | 'older' | 'ours' {
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

/** Gives the leader's row of format 1 its checksum. Under the lock: an older release that leads would not keep it. */
function upgrade(database: DatabaseSync, folder: string): void {
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
        // The statement names its columns as the interface does.
        const kept = database.prepare(`SELECT ${leaderColumns} FROM leader`).get() as unknown as LeaderRow & { records: number }
        const checksum = leaderChecksum(kept, kept.records)
        // Made anew and not altered: the texts of the tables are compared with those above.
        database.exec(`CREATE TEMP TABLE kept AS SELECT *, ${checksum} FROM leader; DROP TABLE leader; ${leaderTable}
          INSERT INTO leader SELECT * FROM kept; DROP TABLE kept;
          UPDATE snapshot SET fallback = 0 WHERE last_index < (SELECT max(last_index) FROM snapshot); PRAGMA user_version = ${journalFormat}`)
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

/** Creates the tables. Under the lock, so that two first starts do not meet. */
function create(database: DatabaseSync, folder: string): void {
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

/** The lock that the leader's process holds on the folder. The kernel frees it when the process dies. */
export class FolderLock {
  readonly #database: DatabaseSync
  #held = false

  constructor(folder: string) {
    try {
      // Nobody waits for it: it is held for a leader's life.
      this.#database = new DatabaseSync(lockPath(folder), { timeout: 0 })
    } catch (error) {
      throw fault(error, 'STATE_FOLDER_UNUSABLE', `The lock in ${folder} does not open`)
    }
  }

  get held(): boolean {
    return this.#held
  }

  /** Takes the lock; false if another process has it. */
  take(): boolean {
    if (this.#held) return true
    try {
      // IMMEDIATE takes one lock at once. EXCLUSIVE takes several, one after the other: two processes could stop each other, and none would get it.
      this.#database.exec('PRAGMA journal_mode = MEMORY; BEGIN IMMEDIATE')
      return (this.#held = true)
    } catch (error) {
      if (isBusy(error)) return false
      throw fault(error, 'STATE_FOLDER_UNUSABLE', 'The lock of the journal does not open')
    }
  }

  release(): void {
    if (!this.#held) return
    this.#held = false
    this.#database.exec('ROLLBACK')
  }

  close(): void {
    this.#held = false
    this.#database.close()
  }
}

/** The leader's row: who leads, how far the journal goes, and what is kept. */
export interface LeaderRow extends LeadershipView {
  lastIndex: number
  rows: number
  rowBytes: number
  payloads: number
  payloadBytes: number
}

/** What `leaderStatement` reads. */
interface LeaderColumns extends LeaderRow {
  records: number
  checksum: number
}

/** Columns of a row of the journal, for `rowFrom`. */
export const rowColumns = 'first_index, count, epoch, previous_hash, hash, manifest, records'

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

/** Columns of the leader's row, as `LeaderRow` names them. */
const leaderColumns = `epoch, name AS leader, pid, process_start AS processStart, address, last_index AS lastIndex, row_count AS "rows",
  row_bytes AS rowBytes, payload_count AS payloads, payload_bytes AS payloadBytes, record_version AS records`

/** The statement that `readLeader` runs. */
export function leaderStatement(database: DatabaseSync): StatementSync {
  return database.prepare(`SELECT ${leaderColumns}, checksum FROM leader WHERE id = 1`)
}

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

// Owns temporary folders with SQLite journals for tests, and how single bytes in them are damaged.
// Must not assert anything.
import { closeSync, mkdtempSync, openSync, readSync, writeSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { Place } from '../../src/journal/conformance/index.ts'
import { openSqliteStore } from '../../src/journal/index.ts'

/** A new empty folder. */
export function temporaryFolder(): string {
  return mkdtempSync(join(tmpdir(), 'cox-journal-'))
}

/** Runs SQL on a journal that no store has open. */
export function withDatabase<T>(folder: string, work: (database: DatabaseSync) => T): T {
  const database = new DatabaseSync(join(folder, 'journal.db'))
  try {
    return work(database)
  } finally {
    database.close()
  }
}

/** Changes one bit of a byte of a file. */
export function flipByte(path: string, position: number): void {
  const file = openSync(path, 'r+')
  try {
    const byte = Buffer.alloc(1)
    readSync(file, byte, 0, 1, position)
    byte[0]! ^= 0x10
    writeSync(file, byte, 0, 1, position)
  } finally {
    closeSync(file)
  }
}

/** Changes one bit of a blob in a table. */
export function flipInTable(folder: string, table: string, column: string, key: string, value: number, position: number): void {
  withDatabase(folder, database => {
    const row = database.prepare(`SELECT ${column} AS bytes FROM ${table} WHERE ${key} = ?`).get(value) as { bytes: Uint8Array }
    row.bytes[position]! ^= 0x10
    database.prepare(`UPDATE ${table} SET ${column} = ? WHERE ${key} = ?`).run(row.bytes, value)
  })
}

/** Where a payload is. */
export function payloadPlace(folder: string, payload: number): { segment: number; position: number; size: number } {
  return withDatabase(folder, database => ({
    ...database.prepare('SELECT segment, position, size FROM payload WHERE payload = ?').get(payload),
  })) as {
    segment: number
    position: number
    size: number
  }
}

/** The path of a segment's file. */
export function segmentFile(folder: string, segment: number): string {
  return join(folder, `payloads-${String(segment).padStart(6, '0')}.seg`)
}

/** A place for the conformance suite. */
export function sqlitePlace(rowBytesKept: number): Place & { folder: string } {
  const folder = temporaryFolder()
  return {
    folder,
    open: () => openSqliteStore({ folder, rowBytesKept }),
    damage: {
      async row(index) {
        const first = withDatabase(folder, database =>
          database.prepare('SELECT max(first_index) AS first FROM journal WHERE first_index <= ?').get(index),
        )
        flipInTable(folder, 'journal', 'records', 'first_index', Number(first?.['first']), 0)
      },
      async payload(payload) {
        const { segment, position, size } = payloadPlace(folder, payload)
        if (segment > 0) flipByte(segmentFile(folder, segment), position + (size >> 1))
        else flipInTable(folder, 'payload', 'bytes', 'payload', payload, size >> 1)
      },
      async history(job) {
        const number = withDatabase(folder, database => database.prepare('SELECT number FROM history WHERE job = ?').get(job))
        flipInTable(folder, 'history', 'body', 'number', Number(number?.['number']), 0)
      },
      async snapshot(index) {
        const row = withDatabase(folder, database => database.prepare('SELECT file, size FROM snapshot WHERE last_index = ?').get(index))
        flipByte(join(folder, String(row?.['file'])), Number(row?.['size']) >> 1)
      },
    },
    remove: () => rm(folder, { recursive: true, force: true }),
  }
}

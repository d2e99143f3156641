// Shows that no changed byte on the disk is ever taken for what was written.
// Must not open a live journal's files: only copies that no store has open.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { copyFileSync, cpSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, describe, it, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { rejectsWith, TestLeader } from '../../src/journal/conformance/index.ts'
import { type HistoryRow, openSqliteStore } from '../../src/journal/index.ts'
import { fault, readFault } from '../../src/journal/sqlite/faults.ts'
import { Library } from '../../src/journal/sqlite/library.ts'
import { SnapshotFiles } from '../../src/journal/sqlite/snapshots.ts'
import { flipByte, flipInTable, payloadPlace, segmentFile, temporaryFolder, withDatabase } from './sqlite-place.ts'

/** Bytes that the journal under test takes, about. */
const journalBytes = 64 << 10
/** With these in the environment every so-many-th byte is tried, from one on (`npm run chaos` sets them: 1 is every byte); else a smaller part. */
const everyBytes = Number(process.env['COX_DAMAGE_EVERY'] ?? 0)
const fromByte = Number(process.env['COX_DAMAGE_FROM'] ?? 0)

/** Positions below `size` that are tried: each so-many-th, and never fewer than each `sampled`-th. What is written alike all over needs only each `alike`-th. */
function* positions(size: number, sampled: number, alike = 1): Generator<number> {
  const step = everyBytes > 0 ? Math.min(sampled, everyBytes * alike) : sampled
  for (let position = fromByte % step; position < size; position += step) yield position
}

/** What whoever starts on a folder gets out of it. */
interface Reading {
  /** The rows that were believed, in their order, up to the first that was not. */
  rows: string[]
  /** The payloads that were believed, by their numbers. */
  payloads: Map<number, string>
  /** The rows of the history, newest first. */
  history: string[]
  epoch: number | undefined
  /** Indexes of the snapshots, if all of them hold. */
  snapshots: number[]
  /** True if nothing was found wrong. */
  whole: boolean
}

/** Bytes as a text of as many letters: compared as quickly, and made more quickly than a hash of them. */
function letters(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
}

/** Runs a part of a reading; an error that is not damage, told as such, is a bug. */
function believed<T>(work: () => T): T | undefined {
  try {
    return work()
  } catch (error) {
    const ours = fault(readFault(error, 'x'), 'STATE_FOLDER_UNUSABLE', 'read')
    assert.ok(['JOURNAL_CORRUPT', 'STATE_FOLDER_UNUSABLE', 'JOURNAL_VERSION'].includes(ours.code), String(error))
    return undefined
  }
}

/** The rows as a start reads them: each has to begin where the one before ended. Undefined if they were not read to an end. */
function readRows(library: Library, rows: string[]): true | undefined {
  for (let next = 1, rowsMax = 100; ; ) {
    const some = believed(() => library.read(next, rowsMax))
    if (some === undefined && rowsMax === 1) return undefined
    if (some?.length === 0) return true
    // One of them is bad: those before it are read one by one.
    rowsMax = some === undefined ? 1 : rowsMax
    for (const row of some ?? []) {
      if (row.firstIndex !== next) return undefined
      rows.push(`${row.firstIndex} ${row.count} ${row.epoch} ${letters(row.hash)} ${letters(row.records)}`)
      next = row.firstIndex + row.count
    }
  }
}

/** Reads everything in a folder. */
function contents(folder: string): Reading {
  const reading: Reading = { rows: [], payloads: new Map(), history: [], epoch: undefined, snapshots: [], whole: false }
  const library = believed(() => new Library(folder))
  if (library === undefined) return reading
  try {
    const read = readRows(library, reading.rows)
    const ids = believed(() => library.payloadIds(0, 1000))
    const bytes = ids?.map(id => {
      const kept = believed(() => library.payload(id))
      if (kept !== undefined) reading.payloads.set(id, letters(kept))
      return kept
    })
    const history = believed(() => library.history({ rowsMax: 100 }).rows)
    reading.history = (history ?? []).map(({ body, ...row }) => `${JSON.stringify(row)} ${letters(body)}`)
    const problems = believed(() => library.problems())
    const snapshots = believed(() => new SnapshotFiles(folder, library.database).list())
    reading.epoch = believed(() => library.view().epoch)
    const snapshotsHold = snapshots?.every(one => one.holds) === true
    if (snapshotsHold) reading.snapshots = snapshots.map(one => one.index)
    reading.whole =
      read === true && bytes?.every(one => one !== undefined) === true && problems?.length === 0 && snapshotsHold && history !== undefined
    return reading
  } finally {
    library.close()
  }
}

/** Asserts that a reading holds nothing but what was written, and nothing behind a gap; says whether the damage was found. */
function found(reading: Reading, truth: Reading, what: string): boolean {
  assert.deepEqual(reading.rows, truth.rows.slice(0, reading.rows.length), `${what}: rows that were never written`)
  // Under a number that was never written nobody asks for anything.
  for (const [id, bytes] of reading.payloads) assert.equal(bytes, truth.payloads.get(id) ?? bytes, `${what}: payload ${id}`)
  for (const row of reading.history) assert.ok(truth.history.includes(row), `${what}: a row of the history that was never written`)
  if (!reading.whole) return true
  assert.deepEqual(reading.history, truth.history, `${what}: rows of the history are missing without a word`)
  assert.equal(reading.rows.length, truth.rows.length, `${what}: rows are missing without a word`)
  assert.equal(reading.epoch, truth.epoch, `${what}: another epoch`)
  assert.deepEqual(reading.snapshots, truth.snapshots, `${what}: snapshots are missing without a word`)
  assert.deepEqual([...reading.payloads.keys()], [...truth.payloads.keys()], `${what}: payloads are missing without a word`)
  return false
}

/** Names and bytes of all files that hold something. */
function fingerprint(folder: string): string[] {
  return readdirSync(folder)
    .filter(name => !name.endsWith('-shm') && statSync(join(folder, name)).size > 0)
    .sort()
    .map(
      name =>
        `${name} ${createHash('sha256')
          .update(readFileSync(join(folder, name)))
          .digest('base64')}`,
    )
}

interface Tally {
  detected: number
  /** Where a change altered nothing that anybody reads. */
  harmless: number[]
}

/** Changes byte after byte of one file, each on its own, and reads everything. Nothing is ever removed. */
function flipAll(pristine: string, name: string, sampled: number, alike = 1): Tally {
  const folder = temporaryFolder()
  const tally: Tally = { detected: 0, harmless: [] }
  try {
    cpSync(pristine, folder, { recursive: true })
    const truth = contents(folder)
    assert.ok(truth.whole && truth.rows.length > 0)
    const before = fingerprint(folder)
    const path = join(folder, name)
    for (const position of positions(statSync(path).size, sampled, alike)) {
      flipByte(path, position)
      if (found(contents(folder), truth, `byte ${position} of ${name}`)) tally.detected++
      else tally.harmless.push(position)
      flipByte(path, position)
    }
    assert.deepEqual(fingerprint(folder), before, 'nothing was changed or removed')
    return tally
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Says what was found, for whoever runs all of it. */
function tell(context: TestContext, { detected, harmless }: Tally): void {
  context.diagnostic(
    `${detected + harmless.length} bytes changed, one by one: ${detected} of those that hold something, all found; ${harmless.length} that hold nothing; 0 applied, 0 removed`,
  )
}

/** Where the head of the file has what no reader looks at: versions' spare bits, counters for caches, what is reserved, and who wrote it last. */
const headUnread: readonly (readonly [from: number, to: number])[] = [
  [18, 20],
  [24, 32],
  [40, 47],
  [48, 52],
  [56, 60],
  [64, 68],
  [72, 100],
]

/** Bytes that hold nothing, for each page of a database, as SQLite itself counts them; a page that no table has is free. */
function unusedBytes(folder: string): { pageBytes: number; unusedOn: (page: number) => number } {
  return withDatabase(folder, database => {
    const pageBytes = Number(database.prepare('PRAGMA page_size').get()!['page_size'])
    const pages = Number(database.prepare('PRAGMA page_count').get()!['page_count'])
    const rows = database.prepare('SELECT pageno AS page, unused FROM dbstat').all() as { page: number; unused: number }[]
    const unused = new Map(rows.map(row => [row.page, row.unused]))
    // Page 2 of a file with auto_vacuum says for each page behind it, in five bytes, whose it is.
    unused.set(2, pageBytes - 5 * (pages - 2))
    // The highest row number in SQLite's own table of tables: nobody finds anything by it.
    unused.set(1, unused.get(1)! + 1)
    return { pageBytes, unusedOn: page => unused.get(page) ?? pageBytes }
  })
}

/** Asserts that what was changed and not found is no more, on any page, than what holds nothing there. */
function nothingThere(folder: string, harmless: readonly number[]): void {
  const { pageBytes, unusedOn } = unusedBytes(folder)
  const onPage = Map.groupBy(
    harmless.filter(position => !headUnread.some(([from, to]) => position >= from && position < to)),
    position => Math.floor(position / pageBytes) + 1,
  )
  const more = [...onPage].filter(([page, positions]) => positions.length > unusedOn(page))
  assert.deepEqual(
    more.map(([page, positions]) => `page ${page}: ${unusedOn(page)} unused, ${positions.length} not found: ${positions}`),
    [],
  )
}

function historyRow(place: number): HistoryRow {
  const job = `job-${place}`
  const rest = { name: 'nightly', labels: ['red', `of ${place}`], submittedAtMs: 1000 + place, payloads: [place + 500] }
  return { number: place * 3, place, job, state: 'failed', ...rest, body: Buffer.alloc(60, job) }
}

/** A journal with everything in it. */
async function writeJournal(folder: string): Promise<void> {
  const store = await openSqliteStore({ folder })
  const leader = await TestLeader.claim(store)
  for (let i = 0; i < 45; i++)
    await leader.append({ count: 3, recordBytes: 270 + i, payloads: i % 3 === 0 ? [leader.payload(900 + i, i)] : [] })
  await leader.append({ payloads: [leader.payload(270_000, 9)] })
  await leader.snapshot(Buffer.alloc(1500, 'older'))
  await leader.append({ history: { rows: Array.from({ length: 20 }, (_, at) => historyRow(at + 1)) } })
  await leader.snapshot(Buffer.alloc(1500, 'newer'))
  await leader.append()
  await store.close()
}

describe('a changed byte', () => {
  let folder: string
  before(async () => {
    folder = temporaryFolder()
    await writeJournal(folder)
  })
  after(() => rmSync(folder, { recursive: true, force: true }))

  it('anywhere in the database is found, if anything is there', context => {
    assert.ok(statSync(join(folder, 'journal.db')).size >= journalBytes)
    const tally = flipAll(folder, 'journal.db', 131)
    assert.ok(tally.detected > tally.harmless.length, `${tally.detected} found, ${tally.harmless.length} harmless`)
    nothingThere(folder, tally.harmless)
    tell(context, tally)
  })

  it('in any column of a row is found', () => {
    const copy = temporaryFolder()
    cpSync(folder, copy, { recursive: true })
    const truth = contents(copy)
    for (const [column, bytes] of [
      ['records', 810],
      ['hash', 32],
      ['previous_hash', 32],
      ['manifest', 16],
    ] as const) {
      for (const position of positions(bytes, bytes < 100 ? 1 : 90)) {
        flipInTable(copy, 'journal', column, 'first_index', 2, position)
        const reading = contents(copy)
        assert.ok(found(reading, truth, `${column} at ${position}`), `${column} at ${position}`)
        assert.equal(reading.rows.length, 1, 'the rows before it are read, and no other')
        flipInTable(copy, 'journal', column, 'first_index', 2, position)
      }
    }
    assert.ok(contents(copy).whole)
    rmSync(copy, { recursive: true, force: true })
  })

  it('in the mark is found by verification', context => {
    const tally = flipAll(folder, 'mark', 1)
    assert.ok(tally.detected >= 9 && tally.harmless.length === 0, `${tally.detected} found, ${tally.harmless.length} harmless`)
    tell(context, tally)
  })

  it('in a segment is found', context => {
    const [segment] = readdirSync(folder).filter(name => name.endsWith('.seg'))
    const tally = flipAll(folder, segment!, 9001, 97)
    assert.ok(tally.detected >= 29 && tally.harmless.length === 0, `${tally.detected} found, ${tally.harmless.length} harmless`)
    tell(context, tally)
  })

  it('in the newest snapshot is found, and the older one is started from', () => {
    const copy = temporaryFolder()
    cpSync(folder, copy, { recursive: true })
    const library = new Library(copy)
    const snapshots = new SnapshotFiles(copy, library.database)
    const newest = snapshots.latest(() => undefined)
    const path = join(copy, readdirSync(copy).find(name => name.startsWith(`snapshot-${newest!.index}-`))!)
    for (const position of positions(1500, 47)) {
      flipByte(path, position)
      const older = snapshots.latest(() => undefined)
      assert.equal(older?.index, newest!.index - 1)
      assert.ok(Buffer.alloc(1500, 'older').equals(older.state))
      flipByte(path, position)
    }
    for (const size of positions(1500, 211)) {
      const pristine = readFileSync(path)
      truncateSync(path, size)
      assert.equal(snapshots.latest(() => undefined)?.index, newest!.index - 1)
      writeFileSync(path, pristine)
    }
    assert.equal(snapshots.latest(() => undefined)?.index, newest!.index)
    library.close()
    rmSync(copy, { recursive: true, force: true })
  })
})

describe("a record's torn tail", () => {
  it('is found in every row, at every length; the rows before it are read, and no other', async context => {
    const folder = temporaryFolder()
    await writeJournal(folder)
    const truth = contents(folder)
    const rows = withDatabase(folder, database =>
      database.prepare('SELECT first_index AS first, length(records) AS bytes FROM journal ORDER BY first_index').all(),
    ) as { first: number; bytes: number }[]
    let torn = 0
    for (const [before, { first, bytes }] of rows.entries()) {
      const pristine = withDatabase(folder, database => database.prepare('SELECT records FROM journal WHERE first_index = ?').get(first))![
        'records'
      ]!
      const write = (records: Uint8Array) =>
        withDatabase(folder, database => database.prepare('UPDATE journal SET records = ? WHERE first_index = ?').run(records, first))
      for (const kept of positions(bytes, Math.ceil(bytes / 4))) {
        write((pristine as Uint8Array).subarray(0, kept))
        const reading = contents(folder)
        assert.ok(found(reading, truth, `row ${first} torn after ${kept} bytes`))
        assert.equal(reading.rows.length, before)
        torn++
      }
      write(pristine as Uint8Array)
    }
    assert.ok(contents(folder).whole)
    context.diagnostic(`${torn} torn tails of ${rows.length} rows: all found`)
    rmSync(folder, { recursive: true, force: true })
  })
})

describe('a changed byte after kill -9', () => {
  let folder: string
  before(async () => {
    folder = temporaryFolder()
    const script = fileURLToPath(new URL('./append-loop.ts', import.meta.url))
    const appends = 8
    const child = spawn(process.execPath, [script, folder, String(appends)], { stdio: ['ignore', 'pipe', 'inherit'] })
    let lines = 0
    for await (const _ of createInterface({ input: child.stdout! })) if (++lines > appends) break
    child.kill('SIGKILL')
    await once(child, 'exit')
  })
  after(() => rmSync(folder, { recursive: true, force: true }))

  it('in the write-ahead log loses no acknowledged row without a word', context => {
    const size = statSync(join(folder, 'journal.db-wal')).size
    assert.ok(size > 20_000)
    const tally = flipAll(folder, 'journal.db-wal', Math.ceil(size / 150))
    assert.ok(tally.detected > 20, `${tally.detected} found`)
    tell(context, tally)
  })

  it('or a write-ahead log that ends early, at any byte, loses no acknowledged row without a word', context => {
    const copy = temporaryFolder()
    cpSync(folder, copy, { recursive: true })
    const truth = contents(copy)
    const path = join(copy, 'journal.db-wal')
    const pristine = readFileSync(path)
    let cuts = 0
    for (const size of positions(pristine.length, Math.ceil(pristine.length / 100))) {
      truncateSync(path, size)
      // What the last commit wrote is found missing; what stands behind it, of a log that began anew, is nobody's.
      found(contents(copy), truth, `a log of ${size} bytes`)
      writeFileSync(path, pristine)
      cuts++
    }
    context.diagnostic(`${cuts} lengths: no row is missing without a word`)
    rmSync(copy, { recursive: true, force: true })
  })

  it('in a segment is found', () => {
    const copy = temporaryFolder()
    cpSync(folder, copy, { recursive: true })
    const { segment, position, size } = placeOfFirstLarge(copy)
    const file = segmentFile(copy, segment)
    const pristine = readFileSync(file)
    for (const at of [0, 1, size >> 1, size - 1]) {
      flipByte(file, position + at)
      assert.equal(contents(copy).whole, false)
      flipByte(file, position + at)
    }
    assert.ok(pristine.equals(readFileSync(file)))
    assert.ok(contents(copy).whole)
    rmSync(copy, { recursive: true, force: true })
  })

  it('and a write-ahead log cut short is refused by the next leader', async () => {
    const copy = temporaryFolder()
    cpSync(folder, copy, { recursive: true })
    rmSync(join(copy, 'journal.db-shm'), { force: true })
    flipByte(join(copy, 'journal.db-wal'), 10_000)
    const store = await openSqliteStore({ folder: copy })
    await rejectsWith(TestLeader.claim(store), 'JOURNAL_CORRUPT')
    await store.close()
    rmSync(copy, { recursive: true, force: true })
    const other = temporaryFolder()
    copyFileSync(join(folder, 'mark'), join(other, 'mark'))
    const empty = await openSqliteStore({ folder: other })
    await rejectsWith(TestLeader.claim(empty), 'JOURNAL_CORRUPT')
    await empty.close()
    rmSync(other, { recursive: true, force: true })
  })
})

function placeOfFirstLarge(folder: string): { segment: number; position: number; size: number } {
  const library = new Library(folder)
  const ids = library.payloadIds(0, 1000)
  library.close()
  const large = ids.map(id => payloadPlace(folder, id)).find(({ segment }) => segment > 0)
  assert.ok(large)
  return large
}

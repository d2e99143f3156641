// Shows that no changed byte on the disk is ever taken for what was written.
// Must not open a live journal's files: only copies that no store has open.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { copyFileSync, cpSync, readFileSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { rejectsWith, TestLeader } from '../../src/journal/conformance/index.ts'
import { openSqliteStore } from '../../src/journal/index.ts'
import { fault } from '../../src/journal/sqlite/faults.ts'
import { Library } from '../../src/journal/sqlite/library.ts'
import { flipByte, flipInTable, payloadPlace, segmentFile, temporaryFolder } from './sqlite-place.ts'

/** Everything a folder says when read to the end; an error is JOURNAL_CORRUPT or it is a bug. */
function contents(folder: string): string {
  let library: Library | undefined
  try {
    library = new Library(folder)
    const said: unknown[] = [library.view()]
    const { firstIndex, lastIndex } = library.size()
    for (let next = firstIndex; ; ) {
      const rows = library.read(next, 100)
      if (rows.length === 0) break
      for (const row of rows)
        said.push([row.firstIndex, row.count, row.epoch, Buffer.from(row.hash).toString('hex'), Buffer.from(row.records).toString('hex')])
      next = rows.at(-1)!.firstIndex + rows.at(-1)!.count
    }
    said.push(firstIndex, lastIndex)
    for (const id of library.payloadIds(0, 1000)) said.push([id, Buffer.from(library.payload(id)!).toString('base64')])
    // The leader's name and address are words for people; all else is covered by hashes.
    const [, ...facts] = said
    return library.problems().length > 0 ? 'corrupt' : createHash('sha256').update(JSON.stringify(facts)).digest('hex')
  } catch (error) {
    const ours = fault(error, 'STATE_FOLDER_UNUSABLE', 'read')
    assert.ok(['JOURNAL_CORRUPT', 'STATE_FOLDER_UNUSABLE', 'JOURNAL_VERSION'].includes(ours.code), String(error))
    return 'corrupt'
  } finally {
    library?.close()
  }
}

/** Positions all over a file: every `step`th byte, from a start that differs. */
function* positions(size: number, step: number): Generator<number> {
  for (let at = 3; at < size; at += step) yield at
}

interface Tally {
  detected: number
  harmless: number
}

/** Changes byte after byte of one file, each in the pristine state, and reads everything. */
function flipAll(pristine: string, name: string, step: number): Tally {
  const truth = contents(pristine)
  assert.notEqual(truth, 'corrupt')
  const folder = temporaryFolder()
  const tally: Tally = { detected: 0, harmless: 0 }
  try {
    for (const position of positions(statSync(join(pristine, name)).size, step)) {
      cpSync(pristine, folder, { recursive: true })
      rmSync(join(folder, 'journal.db-shm'), { force: true })
      flipByte(join(folder, name), position)
      const found = contents(folder)
      if (found === 'corrupt') tally.detected++
      else {
        assert.equal(found, truth, `byte ${position} of ${name} changed what is read`)
        tally.harmless++
      }
    }
    return tally
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** A small journal with everything in it. */
async function writeJournal(folder: string): Promise<void> {
  const store = await openSqliteStore({ folder })
  const leader = await TestLeader.claim(store)
  for (let i = 0; i < 12; i++)
    await leader.append({ count: 3, recordBytes: 40 + i, payloads: i % 3 === 0 ? [leader.payload(600 + i, i)] : [] })
  await leader.snapshot()
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

  it('anywhere in the database is found, or changes nothing', () => {
    const { detected, harmless } = flipAll(folder, 'journal.db', 61)
    assert.ok(detected > 50, `${detected} found, ${harmless} harmless`)
  })

  it('in any column of a row is found', () => {
    const copy = temporaryFolder()
    for (const [column, bytes] of [
      ['records', 120],
      ['hash', 32],
      ['previous_hash', 32],
      ['manifest', 16],
    ] as const) {
      for (let position = 0; position < bytes; position += 5) {
        cpSync(folder, copy, { recursive: true })
        flipInTable(copy, 'journal', column, 'first_index', 2, position)
        assert.equal(contents(copy), 'corrupt', `${column} at ${position}`)
      }
    }
    rmSync(copy, { recursive: true, force: true })
  })

  it('in the mark is found by verification', () => {
    const { detected, harmless } = flipAll(folder, 'mark', 1)
    assert.ok(detected >= 9 && harmless === 0, `${detected} found, ${harmless} harmless`)
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

  it('in the write-ahead log loses no acknowledged row without a word', () => {
    const size = statSync(join(folder, 'journal.db-wal')).size
    assert.ok(size > 20_000)
    const { detected } = flipAll(folder, 'journal.db-wal', Math.ceil(size / 150))
    assert.ok(detected > 20, `${detected} found`)
  })

  it('in a segment is found', () => {
    const copy = temporaryFolder()
    cpSync(folder, copy, { recursive: true })
    const { segment, position, size } = placeOfFirstLarge(copy)
    const file = segmentFile(copy, segment)
    const pristine = readFileSync(file)
    for (const at of [0, 1, size >> 1, size - 1]) {
      flipByte(file, position + at)
      assert.equal(contents(copy), 'corrupt')
      flipByte(file, position + at)
    }
    assert.ok(pristine.equals(readFileSync(file)))
    assert.notEqual(contents(copy), 'corrupt')
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

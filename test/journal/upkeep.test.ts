// Shows that what is on disk stays bounded: rows, segments, free pages, the write-ahead log; and that nothing needed goes with it.
// Must not measure time.
import assert from 'node:assert/strict'
import { existsSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { rejectsWith, TestLeader, type TestStore } from '../../src/journal/conformance/index.ts'
import { openSqliteStore, type PayloadWrite, verifyStore } from '../../src/journal/index.ts'
import { segmentBytesMax, segmentLivePart } from '../../src/journal/sqlite/segments.ts'
import { flipByte, payloadPlace, segmentFile, sqlitePlace, temporaryFolder } from './sqlite-place.ts'

const mebibyte = 1 << 20

describe('upkeep', () => {
  let place: ReturnType<typeof sqlitePlace>
  let store: TestStore
  let leader: TestLeader
  beforeEach(async () => {
    place = sqlitePlace(0)
    store = await place.open()
    leader = await TestLeader.claim(store)
  })
  afterEach(async () => {
    await store.close()
    await place.remove()
  })

  /** Fills a segment and begins the next. */
  async function fillSegment(): Promise<PayloadWrite[]> {
    const written: PayloadWrite[] = []
    for (let bytes = 0; bytes <= segmentBytesMax; bytes += 2 * mebibyte) {
      const payload = leader.payload(2 * mebibyte, written.length)
      written.push(payload)
      await leader.append({ payloads: [payload] })
    }
    return written
  }

  it('removes a segment when the last payload in it is dropped', async () => {
    const written = await fillSegment()
    assert.ok(existsSync(segmentFile(place.folder, 1)))
    await leader.append({ drops: written.slice(0, -1).map(({ payload }) => payload) })
    assert.equal(existsSync(segmentFile(place.folder, 1)), false)
    assert.equal((await store.journal.payload(written.at(-1)!.payload))?.length, 2 * mebibyte)
  })

  it('moves the few live payloads out of a segment, whatever is read meanwhile', async () => {
    const written = await fillSegment()
    const live = [written[3]!, written[20]!]
    assert.ok(live.length * 2 * mebibyte < segmentBytesMax * segmentLivePart)
    await leader.append({
      drops: written
        .slice(0, -1)
        .filter(one => !live.includes(one))
        .map(({ payload }) => payload),
    })
    assert.ok(existsSync(segmentFile(place.folder, 1)))
    const reads = Array.from({ length: 50 }, () => store.journal.payload(live[1]!.payload))
    await store.journal.compact(1, 1)
    for (const bytes of await Promise.all(reads)) assert.equal(bytes?.[0], 20)
    assert.equal(existsSync(segmentFile(place.folder, 1)), false)
    for (const { payload, bytes } of live) assert.ok(Buffer.from((await store.journal.payload(payload))!).equals(Buffer.from(bytes)))
    assert.deepEqual((await verifyStore(store)).problems, [])
  })

  it('leaves a segment with a damaged payload where it is', async () => {
    const written = await fillSegment()
    const [good, bad] = [written[3]!, written[20]!]
    await leader.append({
      drops: written
        .slice(0, -1)
        .filter(one => one !== good && one !== bad)
        .map(({ payload }) => payload),
    })
    await store.close()
    flipByte(segmentFile(place.folder, 1), payloadPlace(place.folder, bad.payload).position + 5)
    store = await place.open()
    leader = await TestLeader.claim(store)
    await store.journal.compact(2, 1)
    assert.ok(existsSync(segmentFile(place.folder, 1)))
    await rejectsWith(store.journal.payload(bad.payload), 'JOURNAL_CORRUPT', `payload ${bad.payload}`)
    assert.equal((await store.journal.payload(good.payload))?.[0], 3)
  })

  it('keeps disk and write-ahead log bounded while much is written and dropped', async () => {
    const live: number[] = []
    let written = 0
    async function writeSome(appends: number): Promise<void> {
      for (let i = 0; i < appends; i++) {
        const payload = leader.payload(30_000, i % 251)
        live.push(payload.payload)
        const drops = live.length > 40 ? live.splice(0, 1) : []
        const append = leader.make({ count: 3, recordBytes: 300, payloads: [payload], drops })
        assert.equal(await store.journal.append(append), 'durable')
        written += payload.bytes.length
      }
    }
    for (let round = 0; round < 8; round++) {
      await Promise.all([writeSome(200), writeSome(200)])
      await leader.snapshot()
      await store.journal.compact(1, leader.next)
    }
    assert.ok(written > 90 * mebibyte)
    const { rows, diskBytes } = await store.journal.size()
    assert.ok(rows < 1000, `${rows} rows`)
    assert.ok(diskBytes < 60 * mebibyte, `${diskBytes} bytes on disk`)
    // It begins anew at about 32 MiB, or a few checkpoints later where one was just under way; at 64 it would be told of.
    assert.ok(statSync(join(place.folder, 'journal.db-wal')).size < 64 * mebibyte)
    assert.deepEqual((await verifyStore(store)).problems, [])
  })

  it('says so when the write-ahead log cannot begin anew because somebody stands still in the middle of a read', async () => {
    const folder = temporaryFolder()
    const told: { event: string; bytes: number }[] = []
    const own = await openSqliteStore({ folder, log: (_level, event, fields) => told.push({ event, bytes: Number(fields?.['bytes']) }) })
    const writer = await TestLeader.claim(own)
    const reader = new DatabaseSync(join(folder, 'journal.db'), { readOnly: true })
    reader.exec('BEGIN; SELECT count(*) FROM journal')
    while (told.length === 0) await writer.append({ count: 1, recordBytes: mebibyte })
    assert.equal(told[0]!.event, 'journal-log-grows')
    assert.ok(told[0]!.bytes >= 64 * mebibyte)
    reader.exec('COMMIT')
    reader.close()
    const size = (): number => statSync(join(folder, 'journal.db-wal')).size
    const grown = size()
    for (let i = 0; i < 120; i++) await writer.append({ count: 1, recordBytes: mebibyte })
    assert.ok(size() < grown + 80 * mebibyte, 'the log began anew')
    await own.close()
    rmSync(folder, { recursive: true, force: true })
  })

  it('gives free pages back to the disk', async () => {
    const written: number[] = []
    for (let i = 0; i < 300; i++) {
      const payload = leader.payload(200_000, i)
      written.push(payload.payload)
      await leader.append({ payloads: [payload] })
    }
    await leader.append({ drops: written })
    await store.journal.compact(1, 1)
    await store.close()
    const bytes = statSync(join(place.folder, 'journal.db')).size
    assert.ok(bytes < 20 * mebibyte, `${bytes} bytes`)
    store = await place.open()
    assert.deepEqual((await verifyStore(store)).problems, [])
  })

  it('lets appends pass between its steps, and all of both is done', async () => {
    for (let i = 0; i < 40; i++) await Promise.all(Array.from({ length: 100 }, () => leader.append()))
    await leader.snapshot()
    await leader.append()
    await leader.snapshot()
    let compacted = false
    const compaction = store.journal.compact(1, leader.next).then(() => (compacted = true))
    let between = 0
    while (!compacted) {
      await leader.append()
      between++
    }
    await compaction
    assert.ok(between > 3, `${between} appends`)
    assert.ok((await store.journal.size()).rows < 4 + between)
    assert.deepEqual((await verifyStore(store)).problems, [])
  })
})

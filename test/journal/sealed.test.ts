// Shows what sealing keeps: nothing readable in the files, no key no reading, and nothing that was moved, changed or put there in clear is believed.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { plain, rejectsWith, TestLeader } from '../../src/journal/conformance/leader.ts'
import { type HistoryRow, historyChecksum } from '../../src/journal/history.ts'
import {
  createMemoryStore,
  keyUse,
  type MemoryDisk,
  openSqliteReader,
  openSqliteStore,
  sealedReader,
  sealedStore,
  verifyStore,
} from '../../src/journal/index.ts'
import { payloadChecksum, rowHash, snapshotHash } from '../../src/journal/row.ts'
import { withBeginning } from '../../src/journal/sealed/beginning.ts'
import type { Keyring } from '../../src/platform/node/index.ts'
import { encodeRecords, isSealed, sealedMark } from '../../src/protocol/index.ts'
import { keyring } from './sealing.ts'
import { sqlitePlace } from './sqlite-place.ts'

const canary = 'the canary sings behind closed doors'

function historyRow(place: number, body: string = canary): HistoryRow {
  const ended = { state: 'succeeded', labels: ['red'], submittedAtMs: 1000, payloads: [] } as const
  return { number: place, place, job: `job-${place}`, name: 'nightly', ...ended, body: Buffer.from(body) }
}

/** A journal of everything that is kept: rows, payloads on both of SQLite's ways, a row of the history, a snapshot. All of it holds the canary. */
async function fill(leader: TestLeader): Promise<{ small: number; large: number }> {
  const small = { ...leader.payload(0), bytes: Buffer.from(canary) }
  const large = { ...leader.payload(0), bytes: Buffer.from(canary.repeat(10_000)) }
  const append = leader.make({
    payloads: [small, large],
    history: { rows: [historyRow(leader.epoch * 10 + 1), historyRow(leader.epoch * 10 + 2)] },
  })
  assert.equal(await leader.store.journal.append({ ...append, records: Buffer.from(canary) }), 'durable')
  await leader.append()
  await leader.snapshot(Buffer.from(canary))
  await leader.append()
  return { small: small.payload, large: large.payload }
}

function open(disk: MemoryDisk, ring: Keyring | undefined) {
  return sealedStore(disk.open(), ring)
}

/** Puts other records into a row and makes all hashes right again, as whoever can write the store can. */
function forgeRow(disk: MemoryDisk, at: number, records: Uint8Array, epoch = disk.rows[at]!.epoch): void {
  disk.rows[at] = { ...disk.rows[at]!, records, epoch }
  for (let next = at; next < disk.rows.length; next++) {
    const row = { ...disk.rows[next]!, previousHash: disk.rows[next - 1]?.hash ?? disk.rows[next]!.previousHash }
    disk.rows[next] = { ...row, hash: rowHash(row) }
  }
}

function forgePayload(disk: MemoryDisk, payload: number, bytes: Uint8Array): void {
  disk.payloads.set(payload, { bytes, checksum: payloadChecksum(bytes) })
}

function forgeHistory(disk: MemoryDisk, row: HistoryRow): void {
  disk.history.set(row.number, { row, checksum: historyChecksum(row) })
}

function forgeSnapshot(disk: MemoryDisk, state: Uint8Array): void {
  const kept = disk.snapshots.at(-1)!
  const { index, epoch, hash } = kept.snapshot
  disk.snapshots = [{ ...kept, snapshot: { ...kept.snapshot, state }, checksum: snapshotHash(index, epoch, hash).update(state).digest() }]
}

/** A filled journal under key 1, with nobody leading. */
async function filled(): Promise<{ disk: MemoryDisk; small: number; large: number }> {
  const disk = createMemoryStore({ rowBytesKept: 0 })
  const store = open(disk, await keyring(1))
  const numbers = await fill(await TestLeader.claim(store))
  await store.leadership.resign()
  return { disk, ...numbers }
}

describe('a sealed journal', () => {
  it('leaves nothing to read in the files of SQLite', async () => {
    for (const ring of [undefined, await keyring(1)]) {
      const place = sqlitePlace(0)
      const store = sealedStore(await place.open(), ring)
      await fill(await TestLeader.claim(store))
      const holding = (): string[] => readdirSync(place.folder).filter(name => readFileSync(join(place.folder, name)).includes(canary))
      const whileOpen = holding()
      await store.close()
      const found = [...new Set([...whileOpen, ...holding()])].map(name => name.replace(/[-\d].*|\..*/, '')).sort()
      // Without a key the same look finds it: in the database, the segment of payloads and the snapshot.
      if (ring === undefined) assert.deepEqual(new Set(found), new Set(['journal', 'payloads', 'snapshot']))
      else assert.deepEqual(found, [])
      await place.remove()
    }
  })

  it('is read by who has the key, also only to read it', async () => {
    const place = sqlitePlace(0)
    const store = sealedStore(await place.open(), await keyring(1))
    const { small, large } = await fill(await TestLeader.claim(store))
    await store.close()
    const reader = sealedReader(await openSqliteReader(place.folder), await keyring(1))
    assert.deepEqual(plain(await reader.journal.payload(small)), Buffer.from(canary))
    assert.deepEqual(plain(await reader.journal.payload(large)), Buffer.from(canary.repeat(10_000)))
    assert.deepEqual(plain((await reader.journal.read(2, 1))[0]!.records), Buffer.from(canary))
    assert.deepEqual(plain((await reader.snapshots.latest())?.state), Buffer.from(canary))
    assert.deepEqual(plain((await reader.history.row('job-11'))?.body), Buffer.from(canary))
    assert.deepEqual(
      (await reader.history.page({ rowsMax: 10, label: 'red' })).rows.map(row => row.number),
      [12, 11],
    )
    assert.deepEqual((await verifyStore(reader)).problems, [])
    await reader.close()
    const without = sealedReader(await openSqliteReader(place.folder), undefined)
    await rejectsWith(without.journal.read(1, 10), 'ENCRYPTION_KEY_MISSING', '1')
    await rejectsWith(without.snapshots.latest(), 'ENCRYPTION_KEY_MISSING')
    await without.close()
    // What the chain and the checksums show needs no key.
    const below = await openSqliteReader(place.folder)
    assert.deepEqual((await verifyStore(below)).problems, [])
    await below.close()
    await place.remove()
  })

  it('is refused without its key and with a foreign one, and nothing is changed', async () => {
    const { disk } = await filled()
    const before = structuredClone({ rows: disk.rows, payloads: disk.payloads, history: disk.history, view: disk.view })
    for (const [ring, code] of [
      [undefined, 'ENCRYPTION_KEY_MISSING'],
      [await keyring(2), 'ENCRYPTION_KEY_WRONG'],
    ] as const) {
      const store = open(disk, ring)
      await rejectsWith(store.journal.read(1, 10), code)
      await rejectsWith(store.snapshots.latest(), code)
      await rejectsWith(TestLeader.claim(store), code)
    }
    const foreign = open(disk, await keyring(2))
    await rejectsWith(foreign.history.row('job-11'), 'ENCRYPTION_KEY_WRONG')
    await rejectsWith(foreign.journal.payload(1000), 'ENCRYPTION_KEY_WRONG', (await keyring(1)).keys[0]!)
    const after = { rows: disk.rows, payloads: disk.payloads, history: disk.history, view: disk.view }
    assert.deepEqual(structuredClone(after), before)
  })

  it('without a key, a journal in clear is written and read as ever', async () => {
    const disk = createMemoryStore()
    const store = open(disk, undefined)
    const leader = await TestLeader.claim(store)
    const { small } = await fill(leader)
    assert.deepEqual(plain(disk.rows[1]!.records), Buffer.from(canary))
    assert.deepEqual(plain(await store.journal.payload(small)), Buffer.from(canary))
    assert.deepEqual(plain((await store.snapshots.latest())?.state), Buffer.from(canary))
    assert.deepEqual((await verifyStore(store)).problems, [])
  })

  it('has the optional methods that its backend has, and no others', async () => {
    const { journal: bare, history, snapshots, leadership, inspect } = createMemoryStore().open()
    const beneath = { journal: bare, history, snapshots, leadership, inspect, close: async () => undefined }
    const asked: unknown[] = []
    const waking = { ...bare, rouse: () => void asked.push('rouse'), standStill: (msMax: number) => void asked.push(msMax) }
    for (const ring of [undefined, await keyring(1)]) {
      const { journal } = sealedStore(beneath, ring)
      assert.deepEqual(['rouse' in journal, 'standStill' in journal], [false, false])
      const { journal: other } = sealedStore({ ...beneath, journal: waking }, ring)
      other.rouse?.()
      other.standStill?.(7)
    }
    assert.deepEqual(asked, ['rouse', 7, 'rouse', 7])
  })

  it('a standby with the key follows a journal that another one seals', async () => {
    const disk = createMemoryStore()
    const standby = open(disk, await keyring(1))
    assert.deepEqual(await standby.journal.read(1, 10), [])
    const leading = open(disk, await keyring(1))
    const leader = await TestLeader.claim(leading)
    await fill(leader)
    assert.deepEqual((await standby.journal.read(1, 10)).length, 4)
    const next = await TestLeader.claim(standby, 'two')
    await next.append()
    assert.deepEqual((await verifyStore(open(disk, await keyring(1)))).problems, [])
  })
})

describe('a journal that was begun in clear', () => {
  /** Rows in clear, then sealed ones. */
  async function begunInClear() {
    const disk = createMemoryStore()
    const clear = disk.open()
    const first = await TestLeader.claim(clear)
    const old = await fill(first)
    // A payload is anyone's bytes: also those of something sealed.
    const sly = { ...first.payload(0), bytes: Buffer.concat([sealedMark, Buffer.alloc(100, 5)]) }
    await first.append({ payloads: [sly] })
    const store = open(disk, await keyring(1))
    const second = await TestLeader.claim(store, 'two')
    const fresh = await fill(second)
    await store.leadership.resign()
    return { disk, old, fresh, sly, sealedFrom: first.next }
  }

  it('goes on under a key: what is old is read as it is, all that is new is sealed', async () => {
    const { disk, old, fresh, sly, sealedFrom } = await begunInClear()
    assert.deepEqual(
      disk.rows.filter(row => isSealed(row.records)).map(row => row.firstIndex),
      disk.rows.map(row => row.firstIndex).filter(index => index >= sealedFrom),
    )
    const store = open(disk, await keyring(1))
    for (const payload of [old.small, fresh.small]) assert.deepEqual(plain(await store.journal.payload(payload)), Buffer.from(canary))
    assert.deepEqual(plain(await store.journal.payload(sly.payload)), sly.bytes)
    for (const job of ['job-11', 'job-21']) assert.deepEqual(plain((await store.history.row(job))?.body), Buffer.from(canary))
    const rows = await store.journal.read(1, 100)
    assert.equal(rows.filter(row => plain(row.records)!.equals(Buffer.from(canary))).length, 2)
    assert.deepEqual((await verifyStore(store)).problems, [])
    assert.equal(isSealed(disk.payloads.get(fresh.large)!.bytes), true)
  })

  it('believes nothing in clear that is put behind where sealing began', async () => {
    const behind: [
      string,
      (disk: MemoryDisk, fresh: { small: number }) => void,
      (store: ReturnType<typeof open>, fresh: { small: number }) => Promise<unknown>,
    ][] = [
      ['a row within', disk => forgeRow(disk, disk.rows.length - 2, Buffer.from(canary)), store => store.journal.read(1, 100)],
      ['the last row', disk => forgeRow(disk, disk.rows.length - 1, Buffer.from(canary)), store => store.journal.read(1, 100)],
      ['the last row, at a claim', disk => forgeRow(disk, disk.rows.length - 1, Buffer.from(canary)), store => TestLeader.claim(store)],
      ['a snapshot', disk => forgeSnapshot(disk, Buffer.from(canary)), store => store.snapshots.latest()],
      [
        'a payload',
        (disk, { small }) => forgePayload(disk, small, Buffer.from(canary)),
        (store, { small }) => store.journal.payload(small),
      ],
      ['a row of the history', disk => forgeHistory(disk, historyRow(21)), store => store.history.row('job-21')],
    ]
    for (const [what, forge, read] of behind) {
      const { disk, fresh } = await begunInClear()
      await read(open(disk, await keyring(1)), fresh)
      forge(disk, fresh)
      await assert.rejects(read(open(disk, await keyring(1)), fresh), { code: 'JOURNAL_CORRUPT' }, what)
    }
  })

  it('a snapshot and a last row in clear do not hide the sealed rows before them', async () => {
    const { disk } = await begunInClear()
    forgeRow(disk, disk.rows.length - 1, Buffer.from(canary))
    forgeSnapshot(disk, Buffer.from(canary))
    await rejectsWith(open(disk, await keyring(1)).snapshots.latest(), 'JOURNAL_CORRUPT')
  })

  it('a row in clear that was believed before anything sealed was seen is named as soon as something sealed is', async () => {
    const { disk } = await begunInClear()
    const [before, last] = disk.rows.slice(-2).map(row => row.firstIndex)
    forgeRow(disk, disk.rows.length - 1, Buffer.from(canary))
    const store = open(disk, await keyring(1))
    assert.deepEqual(plain((await store.journal.read(last!, 1))[0]!.records), Buffer.from(canary))
    await rejectsWith(store.journal.read(before!, 1), 'JOURNAL_CORRUPT', String(last))
  })

  it('the very next payload and row of the history are sealed, and believed in no other way', async () => {
    const payload = 1000
    const fresh = createMemoryStore()
    const clear = await TestLeader.claim(fresh.open())
    await clear.append({ payloads: [{ payload, bytes: Buffer.from(canary) }], history: { rows: [historyRow(7)] } })
    const store = open(fresh, await keyring(1))
    const next = { payload: payload + 1, bytes: Buffer.from(canary) }
    await (await TestLeader.claim(store, 'two')).append({ payloads: [next], history: { rows: [historyRow(8)] } })
    forgePayload(fresh, next.payload, next.bytes)
    forgeHistory(fresh, historyRow(8))
    await assert.rejects(store.journal.payload(next.payload), /in clear/)
    await rejectsWith(store.history.row('job-8'), 'JOURNAL_CORRUPT', 'job-8')
    assert.deepEqual(plain(await store.journal.payload(payload)), Buffer.from(canary))
    assert.deepEqual(plain((await store.history.row('job-7'))?.body), Buffer.from(canary))
  })

  it('nobody who knows that it is sealed leads on a last row in clear', async () => {
    const { disk } = await begunInClear()
    const store = open(disk, await keyring(1))
    const last = disk.rows.at(-1)!.firstIndex
    await store.journal.read(last, 1)
    forgeRow(disk, disk.rows.length - 1, Buffer.from(canary))
    await rejectsWith(TestLeader.claim(store), 'JOURNAL_CORRUPT', String(last))
  })

  it('a row that says encryption began behind it is refused', async () => {
    const { disk } = await filled()
    const ring = await keyring(1)
    const later = { journal: ring.instance, index: 5, payload: 1, place: 1 }
    forgeRow(disk, 2, ring.seal(withBeginning(later, Buffer.from(canary)), 'row 3 1 1'))
    await rejectsWith(open(disk, ring).journal.read(3, 1), 'JOURNAL_CORRUPT', '3')
  })

  it('while all is in clear, its rows are looked through once, not for each payload', async () => {
    const disk = createMemoryStore()
    const leader = await TestLeader.claim(disk.open())
    const { small } = await fill(leader)
    const { journal, history, snapshots, leadership, inspect } = disk.open()
    let reads = 0
    const counting = { ...journal, read: (from: number, rowsMax: number) => journal.read(from, rowsMax).finally(() => reads++) }
    const store = sealedStore(
      { journal: counting, history, snapshots, leadership, inspect, close: async () => undefined },
      await keyring(1),
    )
    for (let i = 0; i < 5; i++) assert.deepEqual(plain(await store.journal.payload(small)), Buffer.from(canary))
    assert.equal(reads, 2)
    await leader.append()
    await store.journal.payload(small)
    assert.equal(reads, 4)
  })

  it('an opening that loses leaves no beginning behind', async () => {
    const disk = createMemoryStore()
    const one = open(disk, await keyring(1))
    const view = { seenEpoch: 0, leader: 'x', pid: 1, processStart: '', address: '' }
    const opening = { epoch: 1, firstIndex: 1, count: 1, records: Buffer.from('x'), payloads: [], drops: [] }
    const rival = disk.open()
    await TestLeader.claim(rival)
    assert.equal(await one.leadership.claim({ ...view, opening }), 'lost')
    assert.equal(await one.journal.append({ ...opening, firstIndex: 2 }), 'fenced')
    const second = await TestLeader.claim(one)
    await second.append()
    const [last] = await open(disk, await keyring(1)).journal.read(3, 1)
    assert.equal(last?.firstIndex, 3)
    assert.deepEqual(
      disk.rows.map(row => isSealed(row.records)),
      [false, true, true],
    )
  })
})

describe('what is sealed belongs to its place', () => {
  const changes: [string, (disk: MemoryDisk, numbers: { small: number; large: number }) => void][] = [
    ['a row under another number', disk => forgeRow(disk, 2, disk.rows[3]!.records)],
    ['a row of another epoch', disk => forgeRow(disk, 3, disk.rows[3]!.records, 2)],
    ['a changed row', disk => forgeRow(disk, 3, flipped(disk.rows[3]!.records, -1))],
    ['a row that ends early', disk => forgeRow(disk, 3, disk.rows[3]!.records.subarray(0, -1))],
    ['two payloads for each other', swapPayloads],
    ['a changed payload', (disk, { small }) => forgePayload(disk, small, flipped(disk.payloads.get(small)!.bytes, -1))],
    ['two bodies of the history for each other', swapBodies],
    ['a label that is another', disk => forgeHistory(disk, { ...disk.history.get(11)!.row, labels: ['blue'] })],
    ['an end that is another', disk => forgeHistory(disk, { ...disk.history.get(11)!.row, state: 'failed' })],
    ['a changed snapshot', disk => forgeSnapshot(disk, flipped(disk.snapshots[0]!.snapshot.state, 100))],
    ['a row for a snapshot', disk => forgeSnapshot(disk, disk.rows[2]!.records)],
    ['a payload for a row', (disk, { small }) => forgeRow(disk, 3, disk.payloads.get(small)!.bytes)],
  ]

  function flipped(bytes: Uint8Array, at: number): Uint8Array {
    const copy = Uint8Array.from(bytes)
    copy[at < 0 ? copy.length + at : at]! ^= 1
    return copy
  }

  function swapPayloads(disk: MemoryDisk, { small, large }: { small: number; large: number }): void {
    const [one, other] = [disk.payloads.get(small)!, disk.payloads.get(large)!]
    disk.payloads.set(small, other)
    disk.payloads.set(large, one)
  }

  function swapBodies(disk: MemoryDisk): void {
    const [one, other] = [disk.history.get(11)!.row, disk.history.get(12)!.row]
    forgeHistory(disk, { ...one, body: other.body })
    forgeHistory(disk, { ...other, body: one.body })
  }

  for (const [what, change] of changes) {
    it(`${what}: named, not used`, async () => {
      const { disk, small, large } = await filled()
      change(disk, { small, large })
      // Everything that needs no key holds.
      assert.deepEqual((await verifyStore(disk.open())).problems, [])
      const { problems } = await verifyStore(open(disk, await keyring(1)))
      assert.notEqual(problems.length, 0)
    })
  }

  it('pieces of another journal under the same key are refused', async () => {
    const [one, other] = [await filled(), await filled()]
    forgePayload(one.disk, one.small, other.disk.payloads.get(other.small)!.bytes)
    forgeRow(one.disk, 2, other.disk.rows[2]!.records)
    const store = open(one.disk, await keyring(1))
    await rejectsWith(store.journal.payload(one.small), 'JOURNAL_CORRUPT')
    await rejectsWith(store.journal.read(1, 10), 'JOURNAL_CORRUPT', '3')
  })
})

describe('a new key', () => {
  it('in front seals what is new; the old one opens what is old, until nothing is left of it', async () => {
    const { disk, small } = await filled()
    const [oldKey, newKey] = [(await keyring(1)).keys[0]!, (await keyring(2)).keys[0]!]
    const store = open(disk, await keyring(2, 1))
    assert.deepEqual(plain(await store.journal.payload(small)), Buffer.from(canary))
    const leader = await TestLeader.claim(store, 'two')
    const fresh = await fill(leader)
    const { clear, sealed } = await keyUse(disk.open())
    assert.deepEqual([clear, [...sealed.keys()].sort()], [0, [oldKey, newKey].sort()])
    // Who has only one of them reads what that one opens, and is told about the other.
    await rejectsWith(open(disk, await keyring(2)).journal.payload(small), 'ENCRYPTION_KEY_WRONG', oldKey)
    await rejectsWith(open(disk, await keyring(1)).journal.read(5, 1), 'ENCRYPTION_KEY_WRONG', newKey)
    assert.deepEqual(plain(await open(disk, await keyring(1, 2)).journal.payload(fresh.small)), Buffer.from(canary))
    // What the old key sealed goes: payloads, the history, and rows behind two snapshots.
    await leader.append({
      drops: [...disk.payloads.keys()].filter(id => id < 2000),
      history: { rows: [], forgotten: { first: 1, count: 20 } },
    })
    for (let i = 0; i < 2; i++) {
      await leader.snapshot(Buffer.from(canary))
      await leader.append()
    }
    await store.journal.compact(2, leader.next)
    assert.deepEqual([...(await keyUse(disk.open())).sealed.keys()], [newKey])
    assert.deepEqual((await verifyStore(open(disk, await keyring(2)))).problems, [])
  })
})

describe('the mark of what is sealed', () => {
  it('is no beginning of a record', () => {
    const record = encodeRecords([{ kind: 'CandidateJoined', candidate: 'one', priority: 1 }])
    assert.notEqual(record[0], sealedMark[0])
    assert.equal(isSealed(Buffer.concat([sealedMark, Buffer.alloc(64)])), true)
    assert.equal(isSealed(Buffer.concat([sealedMark, Buffer.alloc(63)])), false)
  })

  it('openSqliteStore beneath a sealed store is closed with it', async () => {
    const place = sqlitePlace(0)
    const store = sealedStore(await openSqliteStore({ folder: place.folder }), await keyring(1))
    await store.close()
    await rejectsWith(store.leadership.resign(), 'JOURNAL_WRITE_FAILED')
    await place.remove()
  })
})

// Owns the suite's cases about the history: what is found, in which order, what goes, and what damage does.
// Must not know any backend.
import assert from 'node:assert/strict'
import { type EndState, endStates, type HistoryQuery, type HistoryRow, matches, rowsLookedAtMax } from '../history.ts'
import { verifyStore } from '../verify.ts'
import type { Case, TestStore } from './backend.ts'
import { plain, rejectsWith, TestLeader } from './leader.ts'

/** The row of a job whose number is not its place: those that end first were not submitted first. */
function rowOf(place: number, change: Partial<HistoryRow> = {}): HistoryRow {
  const number = (place ^ 3) * 10 + 1
  return {
    number,
    place,
    job: `job-${number}-${'abc'[number % 3]}`,
    name: ['nightly', 'hourly'][number % 2]!,
    state: endStates[place % 3]!,
    labels: place % 4 === 0 ? [] : place % 4 === 1 ? ['red'] : ['red', `of ${place % 5}`],
    submittedAtMs: 1000 + Math.floor(number / 7),
    payloads: [],
    body: Buffer.from(`body of ${place}`),
    ...change,
  }
}

/** All pages of a question, put together. */
async function all(store: TestStore, query: HistoryQuery): Promise<HistoryRow[]> {
  const rows: HistoryRow[] = []
  for (let below = query.below; ; ) {
    const page = await store.history.page({ ...query, below })
    assert.ok(page.rows.length <= query.rowsMax)
    rows.push(...page.rows)
    if (page.next === undefined) return rows
    assert.ok(below === undefined || page.next < below, 'a page goes on')
    below = page.next
  }
}

const numbersOf = (rows: readonly HistoryRow[]): number[] => rows.map(({ number }) => number)

/** Each row with its bytes in a form that compares. */
const plainRows = (rows: readonly HistoryRow[]): unknown[] => rows.map(row => ({ ...row, body: plain(row.body) }))

/** Cases about the history. */
export const history: Record<string, Case> = {
  async 'rows are there with their append, and are found by all that they can be asked for'(place) {
    const store = await place.open()
    const leader = await TestLeader.claim(store)
    const rows = Array.from({ length: 60 }, (_, at) => rowOf(at + 4))
    for (let at = 0; at < 60; at += 20) await leader.append({ history: { rows: rows.slice(at, at + 20) } })
    const newestFirst = [...rows].sort((a, b) => b.number - a.number)
    assert.deepEqual(plainRows(await all(store, { rowsMax: 7 })), plainRows(newestFirst))
    const parts: Partial<HistoryQuery>[] = [
      ...endStates.map((state: EndState) => ({ state })),
      { name: 'nightly' },
      { name: 'nightly', state: 'failed' },
      { label: 'red' },
      { label: 'red', state: 'succeeded' },
      { label: 'of 2', name: 'hourly' },
      { label: 'nobody has it' },
      { prefix: 'job-1' },
      { prefix: 'job-101-' },
      { prefix: 'job-1', label: 'red', state: 'failed' },
      { sinceMs: 1030 },
      { untilMs: 1030 },
      { sinceMs: 1020, untilMs: 1050, state: 'failed' },
      { sinceMs: 9000 },
      { untilMs: 1000 },
      { below: 301, label: 'red' },
    ]
    for (const part of parts) {
      const expected = newestFirst.filter(row => matches(row, { ...part, rowsMax: 1 }) && row.number < (part.below ?? 1e9))
      for (const rowsMax of [1, 4, 100]) {
        const found = await all(store, { ...part, rowsMax })
        assert.deepEqual(numbersOf(found), numbersOf(expected), JSON.stringify(part))
      }
    }
    assert.deepEqual(plainRows([(await store.history.row('job-101-c'))!]), plainRows(rows.filter(row => row.job === 'job-101-c')))
    assert.equal(await store.history.row('job-101'), undefined)
    assert.equal((await store.journal.size()).historyRows, 60)
    assert.deepEqual((await verifyStore(store)).problems, [])
    await store.close()
    const again = await place.open()
    assert.deepEqual(plainRows(await all(again, { rowsMax: 100 })), plainRows(newestFirst))
    await again.close()
  },

  async 'an answer looks at a bounded number of rows, and says where to go on'(place) {
    const store = await place.open()
    const leader = await TestLeader.claim(store)
    const count = rowsLookedAtMax + 50
    const half = (at: number): Partial<HistoryRow> =>
      at % 2 === 0 ? { name: 'same', labels: ['same'] } : { job: `other-${at}`, name: 'other', labels: ['other'] }
    const rows = Array.from({ length: 2 * count }, (_, at) => rowOf(at + 4, { state: 'succeeded', ...half(at) }))
    const oldest = rows.reduce((one, other) => (other.number < one.number ? other : one))
    rows[rows.indexOf(oldest)] = { ...oldest, job: 'other-of-all', name: 'rare', labels: ['same', 'rare'] }
    await leader.append({ history: { rows } })
    const query: HistoryQuery = { prefix: 'other-', label: 'same', rowsMax: 10 }
    const first = await store.history.page(query)
    assert.deepEqual([first.rows.length, typeof first.next], [0, 'number'])
    const alike: Partial<HistoryQuery>[] = [
      query,
      { label: 'rare' },
      { label: 'same', name: 'rare' },
      { label: 'same', name: 'rare', state: 'succeeded', prefix: 'other-' },
    ]
    for (const one of alike) assert.deepEqual(numbersOf(await all(store, { ...one, rowsMax: 10 })), [oldest.number])
    for (const none of [{ label: 'other', name: 'same' }, { label: 'same', name: 'rare', state: 'failed' } as const])
      assert.deepEqual(await all(store, { ...none, rowsMax: 10 }), [])
    assert.equal((await all(store, { rowsMax: 1000 })).length, 2 * count)
    await store.close()
  },

  async 'a refused append adds no row, and takes none'(place) {
    const store = await place.open()
    const leader = await TestLeader.claim(store)
    await leader.append({ history: { rows: [rowOf(1)] } })
    const refused = leader.make({ history: { rows: [rowOf(2)], forgotten: { first: 1, count: 1 } } })
    assert.equal(await store.journal.append({ ...refused, firstIndex: 99 }), 'fenced')
    assert.deepEqual(numbersOf(await all(store, { rowsMax: 10 })), [rowOf(1).number])
    assert.deepEqual((await verifyStore(store)).problems, [])
    await store.close()
  },

  async 'the payloads of a row go with it, or before it'(place, { bytesPerPayload = 0 }) {
    const store = await place.open()
    const leader = await TestLeader.claim(store)
    const payloads = [leader.payload(100), leader.payload(300_000), leader.payload(100), leader.payload(100)]
    for (const payload of payloads) await leader.append({ payloads: [payload] })
    const numbers = payloads.map(({ payload }) => payload)
    const rows = [rowOf(1, { payloads: numbers.slice(0, 2) }), rowOf(2, { payloads: numbers.slice(2, 3) }), rowOf(3)]
    await leader.append({ history: { rows } })
    assert.equal((await store.journal.size()).payloads, 4)
    await leader.append({ history: { rows: [], emptied: { first: 1, count: 1 } } })
    assert.deepEqual((await store.history.row(rows[0]!.job))?.payloads, [])
    assert.deepEqual(await store.inspect.payloadIds(0, 10), numbers.slice(2))
    await leader.append({ history: { rows: [rowOf(4)], forgotten: { first: 1, count: 2 } } })
    assert.deepEqual(await store.inspect.payloadIds(0, 10), numbers.slice(3), 'a payload that is no row’s stays')
    assert.deepEqual((await all(store, { rowsMax: 10 })).map(one => one.place).sort(), [3, 4])
    assert.equal((await all(store, { rowsMax: 10, label: 'red' })).length, 1)
    const { payloads: kept, payloadBytes, historyRows } = await store.journal.size()
    assert.deepEqual([kept, payloadBytes, historyRows], [1, 100 + bytesPerPayload, 2])
    assert.deepEqual((await verifyStore(store)).problems, [])
    await store.close()
  },

  async 'a damaged row is named, others are read, and what it seems to own stays'(place) {
    const store = await place.open()
    const leader = await TestLeader.claim(store)
    const payload = leader.payload(10)
    const rows = [rowOf(1), rowOf(2, { payloads: [payload.payload] }), rowOf(3)]
    await leader.append({ payloads: [payload], history: { rows } })
    await store.close()
    await place.damage!.history(rows[1]!.job)
    const hurt = await place.open()
    await rejectsWith(hurt.history.row(rows[1]!.job), 'JOURNAL_CORRUPT', rows[1]!.job)
    await rejectsWith(hurt.history.page({ rowsMax: 10 }), 'JOURNAL_CORRUPT', rows[1]!.job)
    assert.equal((await hurt.history.row(rows[0]!.job))?.place, 1)
    assert.match((await verifyStore(hurt)).problems.join(' '), new RegExp(rows[1]!.job))
    const next = await TestLeader.claim(hurt, 'two')
    await next.append({ history: { rows: [], forgotten: { first: 1, count: 2 } } })
    assert.deepEqual(await hurt.inspect.payloadIds(0, 10), [payload.payload])
    assert.deepEqual(numbersOf(await all(hurt, { rowsMax: 10 })), [rows[2]!.number])
    await hurt.close()
  },
}

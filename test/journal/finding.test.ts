// Shows that a question about the history is answered from one range of an index, whatever it asks for together and however many rows have a part of it.
// Must not measure time: that is the bench's.
import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import { after, before, describe, it } from 'node:test'
import { TestLeader } from '../../src/journal/conformance/leader.ts'
import { type HistoryQuery, type HistoryRow, openSqliteStore, type Store } from '../../src/journal/index.ts'
import { temporaryFolder, withDatabase } from './sqlite-place.ts'

const rows = 30_000

/** Two halves that share no name and no label; one row of the first has a label of its own. */
function rowOf(place: number): HistoryRow {
  const half = place % 2 === 0 ? 'red' : 'blue'
  return {
    number: place * 3,
    place,
    job: `${half}-${place}`,
    name: half,
    state: 'succeeded',
    labels: place === 2 ? [half, 'all', 'one'] : [half, 'all'],
    submittedAtMs: place,
    payloads: [],
    body: Buffer.from('{}'),
  }
}

describe('a history in which many rows have a part of what is asked for', () => {
  const folder = temporaryFolder()
  let store: Store
  before(async () => {
    store = await openSqliteStore({ folder })
    const leader = await TestLeader.claim(store as never)
    for (let first = 1; first <= rows; first += 1000)
      await leader.append({ history: { rows: Array.from({ length: 1000 }, (_, at) => rowOf(first + at)), forgotten: undefined } })
  })
  after(async () => {
    await store.close()
    await rm(folder, { recursive: true })
  })

  const cases: [what: string, query: Partial<HistoryQuery>, jobs: string[]][] = [
    ['a name and a label that never go together', { name: 'red', label: 'blue' }, []],
    ['all of a name that have a label', { name: 'red', label: 'one' }, ['red-2']],
    ['both, and a state that none has', { name: 'red', label: 'all', state: 'failed' }, []],
    ['a label, and a begin of ids of which few have it', { label: 'one', prefix: 'red' }, ['red-2']],
    ['a begin that few have, and a label that all have', { label: 'all', prefix: 'blue-29999' }, ['blue-29999']],
    [
      'a name, a label, a begin, and a time',
      { name: 'red', label: 'all', prefix: 'red-1000', sinceMs: 9000, untilMs: 10_001 },
      ['red-10000'],
    ],
  ]
  for (const [what, query, jobs] of cases) {
    it(`finds in one answer ${what}`, async () => {
      const page = await store.history.page({ ...query, rowsMax: 10 })
      assert.deepEqual(
        page.rows.map(row => row.job),
        jobs,
      )
      assert.equal(page.next, undefined)
    })
  }

  it('reads no row for it that is not asked for, by the plan of the question', () => {
    const sql = 'SELECT number FROM history_key WHERE key = ? AND state = 0 AND number < 9 AND number >= 0 ORDER BY number DESC LIMIT 10'
    const plan = withDatabase(folder, database => database.prepare(`EXPLAIN QUERY PLAN ${sql}`).all('x'))
    assert.match(JSON.stringify(plan), /SEARCH history_key USING PRIMARY KEY \(key=\? AND state=\? AND number>\? AND number<\?\)/)
    assert.doesNotMatch(JSON.stringify(plan), /TEMP B-TREE|SCAN/)
  })
})

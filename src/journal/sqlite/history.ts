// Owns the tables of the history: how rows get in and out, and how they are found without looking at all.
// Must not begin or end a transaction.
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { JobId, PayloadId } from '../../protocol/index.ts'
import {
  endStates,
  type HistoryChange,
  type HistoryColumns,
  type HistoryPage,
  type HistoryQuery,
  type HistoryRow,
  historyChecksum,
  historyKey,
  historyKeys,
  matches,
  rowFromColumns,
  rowsLookedAtMax,
} from '../history.ts'
import type { Log } from './ledger.ts'

/**
 * `number` is the table's own order, so that every index gives its rows newest first. A row has a key for each way in which its name and labels can be asked
 * for, alone and together, and its state stands behind it: whatever of these is asked for, one range of one index is the answer.
 */
export const historyTables = `
  CREATE TABLE history (
    number INTEGER PRIMARY KEY, place INTEGER NOT NULL, job TEXT NOT NULL, name TEXT NOT NULL, state INTEGER NOT NULL,
    labels TEXT NOT NULL, submitted_ms INTEGER NOT NULL, payloads TEXT NOT NULL, body BLOB NOT NULL, checksum INTEGER NOT NULL
  ) STRICT;
  CREATE UNIQUE INDEX history_by_place ON history (place);
  CREATE UNIQUE INDEX history_by_job ON history (job);
  CREATE INDEX history_by_state ON history (state);
  CREATE TABLE history_key (
    key TEXT NOT NULL, state INTEGER NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (key, state, number)
  ) STRICT, WITHOUT ROWID;
`

/** Bytes of bodies in one answer (one row may pass it). */
const pageBytesMax = 4 << 20
/** Ids with one beginning that are sorted by their numbers; beyond that they are looked for among what else is asked for. */
const prefixRowsMax = 5_000

const columns = 'number, place, job, name, state, labels, submitted_ms AS submittedAtMs, payloads, body, checksum'

/** What an append did to the history: rows more or less, and the payloads that went with them. */
export interface HistoryEffect {
  rows: number
  drops: PayloadId[]
}

/** The tables as the ledger's thread writes them. */
export class HistoryLedger {
  readonly #log: Log
  readonly #insert: StatementSync
  readonly #insertKey: StatementSync
  readonly #at: StatementSync
  readonly #delete: StatementSync
  readonly #deleteKey: StatementSync
  readonly #empty: StatementSync

  constructor(database: DatabaseSync, log: Log) {
    this.#log = log
    this.#insert = database.prepare(`INSERT INTO history
      (number, place, job, name, state, labels, submitted_ms, payloads, body, checksum) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`)
    this.#insertKey = database.prepare('INSERT INTO history_key (key, state, number) VALUES (?, ?, ?)')
    this.#at = database.prepare(`SELECT ${columns} FROM history WHERE place = ?`)
    this.#delete = database.prepare('DELETE FROM history WHERE number = ?')
    this.#deleteKey = database.prepare('DELETE FROM history_key WHERE key = ? AND state = ? AND number = ?')
    this.#empty = database.prepare("UPDATE history SET payloads = '[]', checksum = ? WHERE number = ?")
  }

  /** Does what an append says. */
  change({ rows, emptied, forgotten }: HistoryChange): HistoryEffect {
    const effect: HistoryEffect = { rows: 0, drops: [] }
    for (const row of rows) this.#add(row)
    effect.rows += rows.length
    for (const range of [emptied, forgotten]) {
      if (range === undefined) continue
      for (let place = range.first; place < range.first + range.count; place++) this.#letGo(place, range === forgotten, effect)
    }
    return effect
  }

  #add(row: HistoryRow): void {
    const { number, place, job, name, labels, submittedAtMs, payloads, body } = row
    const state = endStates.indexOf(row.state)
    const lists = [JSON.stringify(labels), JSON.stringify(payloads)] as const
    this.#insert.run(number, place, job, name, state, lists[0], submittedAtMs, lists[1], body, historyChecksum(row))
    for (const key of historyKeys(row)) this.#insertKey.run(key, state, number)
  }

  #letGo(place: number, whole: boolean, effect: HistoryEffect): void {
    // A table made STRICT keeps the types of its columns.
    const kept = this.#at.get(place) as unknown as HistoryColumns | undefined
    if (kept === undefined) return
    let row: HistoryRow | undefined
    try {
      row = rowFromColumns(kept)
    } catch (error) {
      // What a damaged row names may be another's: its payloads stay.
      this.#log('error', 'history-damaged', { job: kept.job, message: String(error) })
    }
    if (row) effect.drops.push(...row.payloads)
    if (whole) {
      this.#delete.run(kept.number)
      effect.rows--
      for (const key of row ? historyKeys(row) : []) this.#deleteKey.run(key, kept.state, kept.number)
    } else if (row && row.payloads.length > 0) this.#empty.run(historyChecksum({ ...row, payloads: [] }), kept.number)
  }
}

/** Numbers in falling order, from the parts that one index gives for each state. */
function byState(part: string): { each: string; one: string } {
  const end = ` ORDER BY number DESC LIMIT ${rowsLookedAtMax + 1}`
  const each = endStates.map((_, state) => part.replace('$state', String(state))).join(' UNION ALL ')
  return { each: each + end, one: part.replace('$state', '?4') + end }
}

const ofKey = byState('SELECT number FROM history_key WHERE key = ?3 AND state = $state AND number < ?1 AND number >= ?2')

/** The tables as they are read. */
export class HistoryShelf {
  readonly #database: DatabaseSync
  readonly #prepared = new Map<string, StatementSync>()

  constructor(database: DatabaseSync) {
    this.#database = database
  }

  /** Rows that are asked for, each checked. */
  page(query: HistoryQuery): HistoryPage {
    const rows: HistoryRow[] = []
    let bytes = 0
    let looked = 0
    // Where the index gives exactly what is asked for, nothing else is to be looked at.
    const exact = query.prefix === undefined
    for (const number of this.#numbers(query)) {
      if (looked === rowsLookedAtMax || rows.length === query.rowsMax || bytes >= pageBytesMax) return { rows, next: number + 1 }
      looked++
      const row = exact || this.#matches(number, query) ? this.#row(number) : undefined
      if (!row) continue
      rows.push(row)
      bytes += row.body.length
    }
    return { rows, next: undefined }
  }

  /** The row of this job, checked. */
  row(job: JobId): HistoryRow | undefined {
    return this.#one(`SELECT ${columns} FROM history WHERE job = ?`, job)
  }

  /** What is wrong with the rows, in words; `rowsCounted` is how many there should be. Looks at all of them. */
  *problems(rowsCounted: number): Generator<string, void> {
    const hasKey = this.#run('SELECT 1 FROM history_key WHERE key = ? AND state = ? AND number = ?')
    let rows = 0
    let keys = 0
    // As above.
    for (const kept of this.#run(`SELECT ${columns} FROM history`).iterate() as unknown as Iterable<HistoryColumns>) {
      rows++
      try {
        const row = rowFromColumns(kept)
        for (const key of historyKeys(row)) {
          keys++
          if (hasKey.get(key, kept.state, kept.number) === undefined) yield `Job ${row.job} is not found by ${key}.`
        }
      } catch (error) {
        yield (error as Error).message
      }
    }
    if (rows !== rowsCounted) yield `The history has ${rows} rows where the leader's row counts ${rowsCounted}.`
    const listed = Number(this.#run('SELECT count(*) AS number FROM history_key').get()?.['number'])
    if (listed !== keys) yield `The history lists ${listed} names and labels where its rows have ${keys}.`
  }

  #run(sql: string): StatementSync {
    const known = this.#prepared.get(sql)
    if (known) return known
    const statement = this.#database.prepare(sql)
    this.#prepared.set(sql, statement)
    return statement
  }

  #row(number: number): HistoryRow | undefined {
    return this.#one(`SELECT ${columns} FROM history WHERE number = ?`, number)
  }

  #one(sql: string, key: number | string): HistoryRow | undefined {
    // A table made STRICT keeps the types of its columns.
    const kept = this.#run(sql).get(key) as unknown as HistoryColumns | undefined
    return kept && rowFromColumns(kept)
  }

  /** True if the row is one of those asked for. What cannot be read is: then its damage is met. */
  #matches(number: number, query: HistoryQuery): boolean {
    const kept = this.#run('SELECT job, name, state, labels, submitted_ms AS submittedAtMs FROM history WHERE number = ?').get(number) as
      | Pick<HistoryColumns, 'job' | 'name' | 'state' | 'labels' | 'submittedAtMs'>
      | undefined
    if (kept === undefined) return false
    try {
      return matches({ ...kept, state: endStates[kept.state]!, labels: JSON.parse(kept.labels) }, query)
    } catch {
      return true
    }
  }

  /** Numbers among which are all that are asked for, in falling order; one more than may be looked at. */
  #numbers(query: HistoryQuery): Iterable<number> {
    const from = query.sinceMs === undefined ? 0 : this.#firstSince(query.sinceMs)
    const until = query.untilMs === undefined ? Number.MAX_SAFE_INTEGER : this.#firstSince(query.untilMs)
    const below = Math.min(query.below ?? Number.MAX_SAFE_INTEGER, until)
    if (!query.prefix) return this.#withKey(query, below, from)
    // Of the two the one with fewer rows; both are known only as far as that takes no time.
    const others = [...this.#withKey(query, below, from)]
    return others.length <= rowsLookedAtMax ? others : (this.#withPrefix(query.prefix, below, from) ?? others)
  }

  /** Those with this name, label and state. */
  #withKey(query: HistoryQuery, below: number, from: number): Iterable<number> {
    const state = query.state === undefined ? [] : [endStates.indexOf(query.state)]
    if (query.label !== undefined || query.name !== undefined)
      return numbersIn(this.#run(state.length > 0 ? ofKey.one : ofKey.each), [below, from, historyKey(query), ...state])
    const sql = `SELECT number FROM history WHERE ${state.length > 0 ? 'state = ?3 AND ' : ''}number < ?1 AND number >= ?2`
    return numbersIn(this.#run(`${sql} ORDER BY number DESC LIMIT ${rowsLookedAtMax + 1}`), [below, from, ...state])
  }

  /** All rows whose id begins so, if they are not too many to be sorted. */
  #withPrefix(prefix: string, below: number, from: number): number[] | undefined {
    const sql = `SELECT number FROM history WHERE job >= ?1 AND job < ?2 LIMIT ${prefixRowsMax + 1}`
    const found = [...numbersIn(this.#run(sql), [prefix, `${prefix}\u{10ffff}`])]
    if (found.length > prefixRowsMax) return undefined
    return found.filter(number => number < below && number >= from).sort((a, b) => b - a)
  }

  /** The smallest number of a row that was submitted at this time or later: times grow with numbers. */
  #firstSince(ms: number): number {
    const next = this.#run('SELECT number, submitted_ms AS ms FROM history WHERE number >= ? ORDER BY number LIMIT 1')
    const newest = this.#run('SELECT max(number) AS number FROM history').get()?.['number']
    let low = 0
    let high = Number(newest ?? 0) + 1
    while (low < high) {
      const middle = Math.floor((low + high) / 2)
      const row = next.get(middle) as { number: number; ms: number } | undefined
      if (row === undefined || row.ms >= ms) high = middle
      else low = row.number + 1
    }
    return low
  }
}

function* numbersIn(statement: StatementSync, values: (number | string)[]): Generator<number, void> {
  for (const row of statement.iterate(...values)) yield Number(row['number'])
}

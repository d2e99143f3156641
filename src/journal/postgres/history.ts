// Owns how rows of the history are found without looking at all, and which ones an append takes out.
// Must not write.
import type { JobId } from '../../protocol/index.ts'
import {
  endStates,
  type History,
  type HistoryChange,
  type HistoryColumns,
  type HistoryPage,
  type HistoryQuery,
  type HistoryRow,
  matches,
  rowsLookedAtMax,
} from '../history.ts'
import { type Going, goingIn, historyColumns, historyRowFrom, keyOf, keysOf } from './history-change.ts'
import type { Reader } from './reader.ts'
import type { Session, Statement } from './session.ts'

/** Says something to the operator. */
type Log = (level: 'info' | 'warn' | 'error', event: string, fields?: Record<string, unknown>) => void

/** Bytes of bodies in one answer (one row may pass it). */
const pageBytesMax = 4 << 20
/** Ids with one beginning that are sorted by their numbers; beyond that they are looked for among what else is asked for. */
const prefixRowsMax = 5000
const rowsPerCheck = 500
const numberMax = Number.MAX_SAFE_INTEGER

type Head = Pick<HistoryColumns, 'number' | 'job' | 'name' | 'state' | 'labels' | 'submittedAtMs'> & { bytes: number }

/** True if the row is one of those asked for. What cannot be read is: then its damage is met. */
function isAsked({ job, name, state, labels, submittedAtMs }: Head, query: HistoryQuery): boolean {
  try {
    return matches({ job, name: JSON.parse(name), state: endStates[state]!, labels: JSON.parse(labels), submittedAtMs }, query)
  } catch {
    return true
  }
}

/** The history in the tables of a schema. */
export class HistoryShelf implements History {
  readonly #reader: Reader
  readonly #schema: string
  readonly #log: Log

  constructor(reader: Reader, schema: string, log: Log) {
    this.#reader = reader
    this.#schema = schema
    this.#log = log
  }

  async page(query: HistoryQuery): Promise<HistoryPage> {
    const numbers = await this.#numbers(query)
    const looked = numbers.slice(0, rowsLookedAtMax)
    const heads = await this.#heads(looked)
    const chosen: number[] = []
    let bytes = 0
    let next: number | undefined = numbers[rowsLookedAtMax] === undefined ? undefined : numbers[rowsLookedAtMax - 1]
    for (const number of looked) {
      const head = heads.get(number)
      if (head === undefined || !isAsked(head, query)) continue
      if (chosen.length === query.rowsMax || bytes >= pageBytesMax) {
        next = chosen.at(-1)
        break
      }
      chosen.push(number)
      bytes += head.bytes
    }
    const text = `SELECT ${historyColumns} FROM ${this.#schema}.history WHERE number = ANY ($1) ORDER BY number DESC`
    const kept = chosen.length === 0 ? [] : await this.#reader.ask<HistoryColumns>({ name: 'history rows', text }, [chosen])
    return { rows: kept.map(historyRowFrom), next }
  }

  async row(job: JobId): Promise<HistoryRow | undefined> {
    const text = `SELECT ${historyColumns} FROM ${this.#schema}.history WHERE job = $1`
    const [kept] = await this.#reader.ask<HistoryColumns>({ name: 'history row', text }, [job])
    return kept && historyRowFrom(kept)
  }

  /** The rows that these changes take out or empty, read and checked; those that come with them included. */
  async going(changes: readonly HistoryChange[]): Promise<Going[]> {
    const going: Going[] = []
    for (const change of changes) {
      const ranges = [change.emptied, change.forgotten].filter(range => range !== undefined)
      const found = new Map<number, { number: number; place: number; row: HistoryRow | undefined }>()
      for (const { first, count } of ranges) {
        const text = `SELECT ${historyColumns} FROM ${this.#schema}.history WHERE place >= $1 AND place < $2`
        for (const kept of await this.#reader.ask<HistoryColumns>({ name: 'history places', text }, [first, first + count]))
          found.set(kept.number, { number: kept.number, place: kept.place, row: this.#believed(kept) })
      }
      const own = change.rows.map(row => ({ number: row.number, place: row.place, row }))
      going.push(...goingIn(change, [...found.values(), ...own]))
    }
    return going
  }

  /** What is wrong with the rows, in words, as one session sees all of them at once. */
  async problems(session: Session): Promise<string[]> {
    const s = this.#schema
    const problems: string[] = []
    const page = {
      name: 'check rows',
      text: `SELECT ${historyColumns} FROM ${s}.history WHERE number > $1 ORDER BY number LIMIT ${rowsPerCheck}`,
    }
    const listed = { name: 'check keys', text: `SELECT key, state, number FROM ${s}.history_key WHERE number = ANY ($1)` }
    let rows = 0
    let keys = 0
    for (let after = 0; ; ) {
      const some = await session.query<HistoryColumns>(page, [after])
      if (some.length === 0) break
      after = some.at(-1)!.number
      rows += some.length
      const there = await session.query<{ key: Buffer; state: number; number: number }>(listed, [some.map(({ number }) => number)])
      const known = new Set(there.map(({ key, state, number }) => `${key.toString('hex')} ${state} ${number}`))
      for (const kept of some) keys += this.#checkOne(kept, known, problems)
    }
    const text = `SELECT history_rows AS counted, (SELECT count(*) FROM ${s}.history_key) AS keys FROM ${s}.leader WHERE id = 1`
    const [totals] = await session.query<{ counted: number; keys: number }>({ name: 'check totals', text })
    if (rows !== totals!.counted) problems.push(`The history has ${rows} rows where the leader's row counts ${totals!.counted}.`)
    if (keys !== totals!.keys) problems.push(`The history lists ${totals!.keys} names and labels where its rows have ${keys}.`)
    return problems
  }

  #checkOne(kept: HistoryColumns, known: ReadonlySet<string>, problems: string[]): number {
    try {
      const row = historyRowFrom(kept)
      const keys = keysOf(row)
      for (const key of keys)
        if (!known.has(`${key.toString('hex')} ${kept.state} ${kept.number}`))
          problems.push(`Job ${row.job} is not found by its name or a label.`)
      return keys.length
    } catch (error) {
      problems.push((error as Error).message)
      return 0
    }
  }

  #believed(kept: HistoryColumns): HistoryRow | undefined {
    try {
      return historyRowFrom(kept)
    } catch (error) {
      // What a damaged row names may be another's: its payloads stay.
      this.#log('error', 'history-damaged', { job: kept.job, message: String(error) })
      return undefined
    }
  }

  async #heads(numbers: readonly number[]): Promise<Map<number, Head>> {
    if (numbers.length === 0) return new Map()
    const text = `SELECT number, job, name, state, labels, submitted_ms AS "submittedAtMs", octet_length(body) AS bytes FROM ${this.#schema}.history
      WHERE number = ANY ($1)`
    const heads = await this.#reader.ask<Head>({ name: 'history heads', text }, [numbers])
    return new Map(heads.map(head => [head.number, head]))
  }

  /** Numbers among which are all that are asked for, in falling order; one more than may be looked at. */
  async #numbers(query: HistoryQuery): Promise<number[]> {
    const from = query.sinceMs === undefined ? 0 : await this.#firstSince(query.sinceMs)
    const until = query.untilMs === undefined ? numberMax : await this.#firstSince(query.untilMs)
    const below = Math.min(query.below ?? numberMax, until)
    // Where the index gives exactly what is asked for, no more of it is needed than one page.
    const exact = !query.prefix
    const others = await this.#withKey(query, below, from, exact ? Math.min(query.rowsMax, rowsLookedAtMax) + 1 : rowsLookedAtMax + 1)
    if (exact || others.length <= rowsLookedAtMax) return others
    return (await this.#withPrefix(query.prefix!, below, from)) ?? others
  }

  /** Those with this name, label and state, the newest first. */
  async #withKey(query: HistoryQuery, below: number, from: number, limit: number): Promise<number[]> {
    const s = this.#schema
    const range = `number < $1 AND number >= $2 ORDER BY number DESC LIMIT ${limit}`
    const state = query.state === undefined ? undefined : endStates.indexOf(query.state)
    if (query.label === undefined && query.name === undefined) {
      const text = `SELECT number FROM ${s}.history WHERE ${state === undefined ? '' : `state = ${state} AND `}${range}`
      return this.#list(`numbers ${state ?? 'all'} ${limit}`, text, [below, from])
    }
    const part = (of: number): string => `(SELECT number FROM ${s}.history_key WHERE key = $3 AND state = ${of} AND ${range})`
    const parts = state === undefined ? endStates.map((_, at) => part(at)) : [part(state)]
    const text = `SELECT number FROM (${parts.join(' UNION ALL ')}) AS found ORDER BY number DESC LIMIT ${limit}`
    return this.#list(`keyed ${state ?? 'all'} ${limit}`, text, [below, from, keyOf(query)])
  }

  /** All rows whose id begins so, if they are not too many to be sorted. */
  async #withPrefix(prefix: string, below: number, from: number): Promise<number[] | undefined> {
    const text = `SELECT number FROM ${this.#schema}.history WHERE job >= $1 AND job < $2 LIMIT ${prefixRowsMax + 1}`
    const found = await this.#list('prefixed', text, [prefix, `${prefix}\u{10ffff}`])
    if (found.length > prefixRowsMax) return undefined
    return found.filter(number => number < below && number >= from).sort((a, b) => b - a)
  }

  /** The smallest number of a row that was submitted at this time or later: times grow with numbers. */
  async #firstSince(ms: number): Promise<number> {
    const text = `SELECT number FROM ${this.#schema}.history WHERE submitted_ms >= $1 ORDER BY submitted_ms, number LIMIT 1`
    return (await this.#list('since', text, [Math.max(0, Math.floor(ms))]))[0] ?? numberMax
  }

  async #list(name: string, text: string, values: readonly unknown[]): Promise<number[]> {
    const statement: Statement = { name: `history ${name}`, text }
    return (await this.#reader.ask<{ number: number }>(statement, values)).map(({ number }) => number)
  }
}

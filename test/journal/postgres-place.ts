// Owns schemas for tests with journals on PostgreSQL, and how single bytes in them are damaged.
// Must not assert anything.
import type { Place, TestStore } from '../../src/journal/conformance/index.ts'
import { openPostgresStore } from '../../src/journal/index.ts'
import type { TestPostgres } from '../services/postgres.ts'

let schemas = 0

/** A name that no other test has. */
export function freshSchema(): string {
  return `journal_${++schemas}`
}

/** A bytea with one bit of one byte changed. */
const flipped = (column: string, at: string): string => `set_byte(${column}, ${at}, get_byte(${column}, ${at}) # 16)`

/** A place for the conformance suite. A claim is over here when those whom it deposed have heard of it. */
export function postgresPlace(server: TestPostgres, rowBytesKept: number): Place & { schema: string } {
  const schema = freshSchema()
  const leading = new Map<TestStore, Promise<void>>()
  const change = async (sql: string, values: unknown[]): Promise<void> => {
    await server.sql(sql, values)
  }
  return {
    schema,
    async open() {
      const store = await openPostgresStore({ url: server.url(schema), rowBytesKept, allowUnsafe: true })
      const { leadership } = store
      const { claim, resign } = leadership
      const close = store.close.bind(store)
      leadership.claim = async asked => {
        const outcome = await claim(asked)
        if (outcome === 'lost') return outcome
        leading.delete(store)
        await Promise.all(leading.values())
        leading.clear()
        leading.set(store, new Promise(heard => leadership.onLost(() => heard())))
        return outcome
      }
      leadership.resign = () => {
        leading.delete(store)
        return resign()
      }
      store.close = () => {
        leading.delete(store)
        return close()
      }
      return store
    },
    damage: {
      row: index =>
        change(
          `UPDATE ${schema}.journal SET records = ${flipped('records', '0')} WHERE first_index =
          (SELECT max(first_index) FROM ${schema}.journal WHERE first_index <= $1)`,
          [index],
        ),
      payload: payload => change(`UPDATE ${schema}.payload SET bytes = ${flipped('bytes', 'size / 2')} WHERE payload = $1`, [payload]),
      history: job => change(`UPDATE ${schema}.history SET body = ${flipped('body', '0')} WHERE job = $1`, [job]),
      snapshot: index =>
        change(
          `UPDATE ${schema}.snapshot_piece SET bytes = ${flipped('bytes', '0')} WHERE number = 0 AND pieces =
          (SELECT pieces FROM ${schema}.snapshot WHERE last_index = $1)`,
          [index],
        ),
    },
    async remove() {
      await server.sql(`DROP SCHEMA IF EXISTS ${schema} CASCADE`)
    },
  }
}

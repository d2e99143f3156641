// Owns opening a journal on PostgreSQL without loading any of it before.
// Must not import more than types.
import type { Store } from '../journal.ts'
import type { Inspectable } from '../rules.ts'
import type { PostgresOptions } from './store.ts'

/** Opens the journal in a schema of a PostgreSQL database, made if it is not there. Several processes may; one of them leads. */
export async function openPostgresStore(options: PostgresOptions): Promise<Store & Inspectable> {
  const { openPostgresStore: open } = await import('./store.ts')
  return open(options)
}

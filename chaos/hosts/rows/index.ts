// Owns the list of all rows on hosts, in the order in which they are run.
// Must not run one.
import type { HostRow } from '../row.ts'
import { leaderRows } from './leader.ts'
import { storeRows } from './store.ts'
import { trustRows } from './trust.ts'
import { workerRows } from './workers.ts'

/** Every row. */
export const hostRows: readonly HostRow[] = [...leaderRows, ...workerRows, ...storeRows, ...trustRows]

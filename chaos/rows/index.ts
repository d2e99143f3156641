// Owns the list of all rows, in the order in which they are run.
// Must not run one.
import type { Row } from '../row.ts'
import { crowdRows } from './crowds.ts'
import { journalRows } from './journal.ts'
import { leaderRows } from './leader.ts'
import { networkRows } from './network.ts'
import { shiftRows } from './shift.ts'
import { storageRows } from './storage.ts'
import { testedRows } from './tested.ts'

/** Every row. */
export const rows: readonly Row[] = [
  ...leaderRows,
  ...journalRows,
  ...storageRows,
  ...shiftRows,
  ...networkRows,
  ...crowdRows,
  ...testedRows,
]

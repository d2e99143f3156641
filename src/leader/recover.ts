// Owns coming from the store to a state: the newest snapshot, then every record behind it.
// Must not write to the store.
import { apply, createState, decodeSnapshot, type State } from '../core/index.ts'
import type { Store } from '../journal/index.ts'
import { CoxswainError, decodeRecords } from '../protocol/index.ts'

const rowsPerRead = 256

/** Applies the rows behind the state's index; says how many records they held. */
export async function catchUpWithJournal(store: Store, state: State): Promise<number> {
  const from = state.index
  for (;;) {
    const rows = await store.journal.read(state.index + 1, rowsPerRead)
    for (const row of rows) {
      if (row.firstIndex !== state.index + 1)
        throw new CoxswainError('JOURNAL_CORRUPT', `The journal goes on at record ${row.firstIndex} where ${state.index + 1} is next.`, {
          id: String(state.index + 1),
        })
      for (const record of decodeRow(row.records, row.count, row.firstIndex)) apply(state, record)
    }
    if (rows.length === 0) {
      // Payloads that nobody needs were dropped in the same appends that said so. Blocks are dropped by their holders, who are told again.
      state.payloadDrops = []
      return state.index - from
    }
  }
}

function decodeRow(records: Uint8Array, count: number, firstIndex: number): ReturnType<typeof decodeRecords> {
  try {
    return decodeRecords(records, count)
  } catch (error) {
    // Its hash held, so these bytes are what was written: by a release that knows more records than this one.
    throw new CoxswainError('JOURNAL_VERSION', `The records from ${firstIndex} on were written by a newer release.`, {
      id: String(firstIndex),
      cause: error,
    })
  }
}

/** The state as the store has it. Throws JOURNAL_CORRUPT or JOURNAL_VERSION, and has then changed nothing. */
export async function recover(store: Store): Promise<State> {
  const snapshot = await store.snapshots.latest()
  const state = snapshot ? decodeSnapshot(snapshot.state) : createState()
  await catchUpWithJournal(store, state)
  return state
}

// Owns coming from the store to a state: the newest snapshot, then every record behind it.
// Must not write to the store.
import { apply, createState, decodeSnapshot, type State } from '../core/index.ts'
import type { Store } from '../journal/index.ts'
import { CoxswainError, decodeRecords } from '../protocol/index.ts'

const rowsPerRead = 256

/**
 * The state after the journal's last record: `state`, with the rows behind its index applied. Where those were let go meanwhile (this process was away, or
 * slow), another state that begins from the snapshot which replaced them. Throws JOURNAL_CORRUPT or JOURNAL_VERSION.
 */
export async function catchUpWithJournal(store: Store, state: State, fellBehind?: (index: number, now: number) => void): Promise<State> {
  try {
    await applyRows(store, state)
    return state
  } catch (error) {
    const { firstIndex } = await store.journal.size()
    if (firstIndex <= state.index + 1) throw error
    const newer = await fromSnapshot(store)
    // Nothing replaced those rows: then they are lost.
    if (newer.index <= state.index) throw error
    const now = await catchUpWithJournal(store, newer)
    fellBehind?.(state.index, now.index)
    return now
  }
}

async function applyRows(store: Store, state: State): Promise<void> {
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
      return
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

async function fromSnapshot(store: Store): Promise<State> {
  const snapshot = await store.snapshots.latest()
  return snapshot ? decodeSnapshot(snapshot.state) : createState()
}

/** The state as the store has it. Throws JOURNAL_CORRUPT or JOURNAL_VERSION, and has then changed nothing. */
export async function recover(store: Store): Promise<State> {
  return catchUpWithJournal(store, await fromSnapshot(store))
}

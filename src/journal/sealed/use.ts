// Owns the count of what is kept under which key, so that an old key is thrown away only when nothing needs it.
// Must not open anything: it needs no key.
import { sealedUnder } from '../../protocol/index.ts'
import type { StoreReader } from '../sqlite/store.ts'

const rowsAtOnce = 256
const idsAtOnce = 4096

/** How many pieces (rows, payloads, rows of the history, the newest snapshot) are kept in clear, and under each key by its id. */
export interface KeyUse {
  clear: number
  sealed: Map<string, number>
}

/** Counts in a store as its backend has it, not in a sealed one. Reads everything: not for a leader's own process. */
export async function keyUse(store: StoreReader): Promise<KeyUse> {
  const use: KeyUse = { clear: 0, sealed: new Map() }
  const count = (bytes: Uint8Array | undefined): void => {
    if (bytes === undefined) return
    const key = sealedUnder(bytes)
    if (key === undefined) use.clear++
    else use.sealed.set(key, (use.sealed.get(key) ?? 0) + 1)
  }
  count((await store.snapshots.latest())?.state)
  for (let next = (await store.journal.size()).firstIndex; ; ) {
    const rows = await store.journal.read(next, rowsAtOnce)
    if (rows.length === 0) break
    for (const row of rows) count(row.records)
    next = rows.at(-1)!.firstIndex + rows.at(-1)!.count
  }
  for (let after = 0; ; ) {
    const ids = await store.inspect.payloadIds(after, idsAtOnce)
    if (ids.length === 0) break
    for (const id of ids) count(await store.journal.payload(id))
    after = ids.at(-1)!
  }
  let below: number | undefined
  do {
    const page = await store.history.page({ below, rowsMax: rowsAtOnce })
    for (const row of page.rows) count(row.body)
    below = page.next
  } while (below !== undefined)
  return use
}

// Owns a store whose records, payloads, snapshots and histories are encrypted before any backend sees them; and one that refuses what it cannot open.
// Must not know the backend, nor keep keys.
import assert from 'node:assert/strict'
import { CoxswainError, isSealed, type Sealer } from '../../protocol/index.ts'
import type { Append, Claim, Journal, JournalRow, Leadership, Snapshot, Snapshots, Store } from '../journal.ts'
import type { Inspectable } from '../rules.ts'
import type { StoreReader } from '../sqlite/store.ts'
import { type Beginning, withBeginning } from './beginning.ts'
import { aboutHistory, aboutPayload, aboutRow, aboutSnapshot, Opener } from './opener.ts'

const payloadIdsAtOnce = 4096
const historyRowsAtOnce = 1000

/** An append as it is kept. All of it is copied before this returns. */
function sealedAppend(sealer: Sealer, append: Append, beginning: Beginning): Append {
  const { records, payloads, history } = append
  return {
    ...append,
    records: sealer.seal(withBeginning(beginning, records), aboutRow(append)),
    payloads: payloads.map(({ payload, bytes }) => {
      assert(payload >= beginning.payload, `payload ${payload} is older than where sealing began`)
      return { payload, bytes: sealer.seal(bytes, aboutPayload(beginning, payload)) }
    }),
    history: history && {
      ...history,
      rows: history.rows.map(row => {
        assert(row.place >= beginning.place, `the history's place ${row.place} is older than where sealing began`)
        return { ...row, body: sealer.seal(row.body, aboutHistory(beginning, row)) }
      }),
    },
  }
}

/** The beginning that a claim makes if it succeeds: behind all that is there now. */
async function newBeginning(sealer: Sealer, store: StoreReader, index: number): Promise<Beginning> {
  let payload = 0
  for (;;) {
    const ids = await store.inspect.payloadIds(payload, payloadIdsAtOnce)
    if (ids.length === 0) break
    payload = ids.at(-1)!
  }
  let place = 0
  let below: number | undefined
  do {
    const page = await store.history.page({ below, rowsMax: historyRowsAtOnce })
    for (const row of page.rows) place = Math.max(place, row.place)
    below = page.next
  } while (below !== undefined)
  return { journal: sealer.instance, index, payload: payload + 1, place: place + 1 }
}

/** The journal's optional methods, where the backend has them: who asks whether they are there gets the backend's answer. */
function wakings(journal: Journal): Pick<Journal, 'rouse' | 'standStill'> {
  return {
    ...(journal.rouse && { rouse: () => journal.rouse!() }),
    ...(journal.standStill && { standStill: (msMax: number) => journal.standStill!(msMax) }),
  }
}

function openingReader(opener: Opener, store: StoreReader): StoreReader {
  return {
    journal: {
      read: async (fromIndex, rowsMax) => opener.rows(await store.journal.read(fromIndex, rowsMax)),
      payload: payload => opener.payload(payload),
      size: () => store.journal.size(),
    },
    history: { page: query => opener.historyPage(query), row: job => opener.historyRow(job) },
    snapshots: { latest: () => opener.snapshot() },
    leadership: { view: () => store.leadership.view() },
    inspect: {
      payloadIds: (after, idsMax) => store.inspect.payloadIds(after, idsMax),
      snapshots: () => store.inspect.snapshots(),
      problems: async () => [...(await store.inspect.problems()), ...(await opener.problems())],
    },
    close: () => store.close(),
  }
}

/** What a process without a key may read of a journal: nothing of what is sealed. */
function refusingReader(store: StoreReader): StoreReader {
  return {
    ...openless(store),
    journal: {
      read: async (fromIndex, rowsMax) => refuseRows(await store.journal.read(fromIndex, rowsMax)),
      payload: payload => store.journal.payload(payload),
      size: () => store.journal.size(),
    },
    snapshots: {
      async latest() {
        const snapshot = await store.snapshots.latest()
        if (snapshot !== undefined && isSealed(snapshot.state)) throw keyMissing(snapshot.index)
        return snapshot
      },
    },
  }
}

function openless(store: StoreReader): Pick<StoreReader, 'history' | 'leadership' | 'inspect' | 'close'> {
  return {
    history: store.history,
    leadership: { view: () => store.leadership.view() },
    inspect: store.inspect,
    close: () => store.close(),
  }
}

function refuseRows(rows: JournalRow[]): JournalRow[] {
  const sealed = rows.find(row => isSealed(row.records))
  if (sealed !== undefined) throw keyMissing(sealed.firstIndex)
  return rows
}

function keyMissing(index: number): CoxswainError {
  return new CoxswainError('ENCRYPTION_KEY_MISSING', `The journal is encrypted at record ${index}, and there is no key here.`, {
    id: String(index),
  })
}

function leadershipOf(store: Store, claim: Leadership['claim']): Leadership {
  return {
    view: () => store.leadership.view(),
    claim,
    resign: () => store.leadership.resign(),
    onLost: callback => store.leadership.onLost(callback),
  }
}

/** A store without a key: what is in clear is read and written as ever; on what is sealed nobody leads and nobody builds. */
function refusingStore(store: Store & Inspectable): Store & Inspectable {
  const reader = refusingReader(store)
  return {
    ...reader,
    journal: {
      append: append => store.journal.append(append),
      ...wakings(store.journal),
      ...reader.journal,
      compact: (epoch, index) => store.journal.compact(epoch, index),
    },
    snapshots: { save: snapshot => store.snapshots.save(snapshot), latest: () => reader.snapshots.latest() },
    leadership: leadershipOf(store, async claim => {
      const before = claim.opening.firstIndex - 1
      if (before > 0) refuseRows(await store.journal.read(before, 1))
      return store.leadership.claim(claim)
    }),
  }
}

/** Claims with an opening that is sealed. */
async function claimSealed(sealer: Sealer, opener: Opener, store: Store & Inspectable, claim: Claim): Promise<'claimed' | 'lost'> {
  const { opening } = claim
  // The claim can only succeed where this row is the last one: so what is read from here on is all that there will be in clear.
  if (opening.firstIndex > 1) opener.rows(await store.journal.read(opening.firstIndex - 1, 1))
  const beginning = (await opener.beginning()) ?? (await newBeginning(sealer, store, opening.firstIndex))
  const outcome = await store.leadership.claim({ ...claim, opening: sealedAppend(sealer, opening, beginning) })
  if (outcome === 'claimed') opener.begins(beginning)
  return outcome
}

/**
 * A store that keeps all it is given encrypted. The backend below sees ciphertext, sizes, numbers, and of finished jobs the names, labels, times and ends by
 * which they are looked for. What a journal held in clear before is read as it is; from the first claim with a key on nothing in clear is believed.
 * Without a sealer: what is sealed is refused with ENCRYPTION_KEY_MISSING, all else is as ever.
 */
export function sealedStore(store: Store & Inspectable, sealer: Sealer | undefined): Store & Inspectable {
  if (sealer === undefined) return refusingStore(store)
  const opener = new Opener(sealer, store)
  const reader = openingReader(opener, store)
  const journal: Journal = {
    append(append) {
      // Only who claimed may append, and whoever claims knows where sealing began.
      if (opener.known === undefined) return Promise.resolve('fenced')
      return store.journal.append(sealedAppend(sealer, append, opener.known))
    },
    ...wakings(store.journal),
    ...reader.journal,
    compact: (epoch, index) => store.journal.compact(epoch, index),
  }
  const snapshots: Snapshots = {
    async save(snapshot: Snapshot) {
      if (opener.known === undefined) return 'fenced'
      const state = sealer.seal(withBeginning(opener.known, snapshot.state), aboutSnapshot(snapshot))
      return store.snapshots.save({ ...snapshot, state })
    },
    latest: () => reader.snapshots.latest(),
  }
  return { ...reader, journal, snapshots, leadership: leadershipOf(store, claim => claimSealed(sealer, opener, store, claim)) }
}

/** The same for who only reads. */
export function sealedReader(store: StoreReader, sealer: Sealer | undefined): StoreReader {
  return sealer === undefined ? refusingReader(store) : openingReader(new Opener(sealer, store), store)
}

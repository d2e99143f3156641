// Holds recovery to a journal that moves while it is read: rows that a snapshot replaced meanwhile are not missed, rows that nothing replaced are.
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { encodeSnapshot } from '../../src/core/index.ts'
import type { Store } from '../../src/journal/index.ts'
import { Archivist } from '../../src/leader/archivist.ts'
import { recover } from '../../src/leader/index.ts'
import { House } from './house.ts'

async function busyHouse() {
  const { house, client } = await House.ready({ disk: { rowBytesKept: 0 } })
  const archivist = new Archivist(house.store, house.state, house.world.platform)
  const goOn = async (name: string): Promise<void> => {
    await house.submit(client, name, 3)
    await house.world.advance(20)
    await archivist.look(1)
  }
  return { house, goOn }
}

/** A handle whose first read of rows waits until `meanwhile` is over. */
function slow(house: House, meanwhile: () => Promise<void>): Store {
  const own = house.disk.open()
  let first = true
  const read: Store['journal']['read'] = async (from, rowsMax) => {
    if (first) {
      first = false
      await meanwhile()
    }
    return own.journal.read(from, rowsMax)
  }
  const journal = { ...own.journal, read, size: () => own.journal.size() }
  return { journal, history: own.history, snapshots: own.snapshots, leadership: own.leadership, close: () => own.close() }
}

it('begins anew where the leader let rows go between the snapshot and the rows behind it', async () => {
  const { house, goOn } = await busyHouse()
  const store = slow(house, async () => {
    for (const name of ['one', 'two', 'three']) await goOn(name)
    assert(house.disk.rows[0]!.firstIndex > 1, 'nothing was let go')
  })
  assert.deepEqual(encodeSnapshot(await recover(store)), encodeSnapshot(house.state))
})

it('is refused where rows are gone that no snapshot holds', async () => {
  const { house, goOn } = await busyHouse()
  await goOn('one')
  await goOn('two')
  const store = slow(house, async () => {
    house.disk.snapshots.length = 0
    house.disk.rows.splice(0, house.disk.rows.length - 1)
  })
  house.disk.snapshots.length = 0
  await assert.rejects(recover(store), { code: 'JOURNAL_CORRUPT' })
})

// Holds the simulated store to the journal's one conformance suite, with a lock and without.

import { Boot, Kernel } from '../../simulator/kernel/kernel.ts'
import { SharedStore, type StoreHandle } from '../../simulator/world/store.ts'
import { conformance, type Place, type TestStore } from '../../src/journal/conformance/index.ts'

/** A store in a world whose time runs as long as a test uses it. */
function placeIn(locking: boolean, rowBytesKept: number): Place {
  const kernel = new Kernel(1)
  const shared = new SharedStore(kernel, { locking, rowBytesKept })
  const node = kernel.node('c1')
  let running = true
  const turn = (): void => {
    if (!running) return
    void kernel.run(kernel.nowMs + 5).then(() => setImmediate(turn))
  }
  turn()
  let boots = 0
  return {
    open: async () => shared.open(new Boot(node, ++boots)),
    crash: async (store: TestStore) => (store as StoreHandle).crash(),
    damage: {
      row: async index => shared.disk.corruptRow(index),
      payload: async payload => shared.disk.corruptPayload(payload),
      snapshot: async index => shared.disk.corruptSnapshot(index),
      history: async job => shared.disk.corruptHistory(job),
    },
    remove: async () => {
      running = false
    },
  }
}

for (const locking of [false, true]) {
  conformance({
    name: `simulated, ${locking ? 'with a lock' : 'claims depose'}`,
    rivalClaim: locking ? 'refused' : 'wins',
    place: async rowBytesKept => placeIn(locking, rowBytesKept),
  })
}

// Owns places for the suite on a disk in memory.
// Must not assert anything.
import type { Place } from '../../src/journal/conformance/index.ts'
import type { MemoryDisk, MemoryStore } from '../../src/journal/index.ts'

/** A place on this disk. */
export function memoryPlace(disk: MemoryDisk): Place {
  return {
    open: async () => disk.open(),
    crash: async store => (store as MemoryStore).kill(),
    damage: {
      row: async index => disk.corruptRow(index),
      payload: async payload => disk.corruptPayload(payload),
      snapshot: async index => disk.corruptSnapshot(index),
      history: async job => disk.corruptHistory(job),
    },
    remove: async () => undefined,
  }
}

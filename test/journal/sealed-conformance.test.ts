// Holds sealed journals, in memory and in SQLite, to the one suite.
// Must not hold what only sealing can show: that is in sealed.test.ts.
import { conformance } from '../../src/journal/conformance/index.ts'
import { createMemoryStore } from '../../src/journal/index.ts'
import { sealedOverheadBytes } from '../../src/protocol/index.ts'
import { memoryPlace } from './memory-place.ts'
import { sealedPlace } from './sealing.ts'
import { sqlitePlace } from './sqlite-place.ts'

const bytesPerPayload = sealedOverheadBytes

conformance({
  name: 'sealed memory',
  rivalClaim: 'wins',
  bytesPerPayload,
  place: async rowBytesKept => sealedPlace(memoryPlace(createMemoryStore({ rowBytesKept })), 1),
})
conformance({
  name: 'sealed sqlite',
  rivalClaim: 'refused',
  bytesPerPayload,
  place: async rowBytesKept => sealedPlace(sqlitePlace(rowBytesKept), 1),
})

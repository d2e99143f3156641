// Holds the SQLite journal to the one suite.
// Must not hold what only SQLite can show: that is in the files beside it.
import { conformance } from '../../src/journal/conformance/index.ts'
import { sqlitePlace } from './sqlite-place.ts'

conformance({ name: 'sqlite', rivalClaim: 'refused', place: async rowBytesKept => sqlitePlace(rowBytesKept) })

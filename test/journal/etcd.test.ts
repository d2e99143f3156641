// Holds the journal in etcd to the one suite: on the simulated server, and on real ones where etcd is installed.
// Must not hold what only etcd can show: that is in the files beside it.
import { conformance } from '../../src/journal/conformance/index.ts'
import { simulatedPlace } from './etcd-place.ts'

conformance({ name: 'etcd, simulated', rivalClaim: 'wins', place: async rowBytesKept => simulatedPlace(rowBytesKept) })

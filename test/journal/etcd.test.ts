// Holds the journal in etcd to the one suite: on the simulated server, and on real ones where etcd is installed.
// Must not hold what only etcd can show: that is in the files beside it.

import { it } from 'node:test'
import { conformance } from '../../src/journal/conformance/index.ts'
import { realPlace, simulatedPlace } from './etcd-place.ts'
import { RealEtcd, sizes } from './etcd-real.ts'

conformance({ name: 'etcd, simulated', rivalClaim: 'wins', place: async rowBytesKept => simulatedPlace(rowBytesKept) })

for (const members of sizes) {
  const name = `etcd, ${members} real ${members === 1 ? 'member' : 'members'}`
  if (RealEtcd.missing) it(name, { skip: RealEtcd.missing })
  else {
    const real = new RealEtcd(members)
    conformance({ name, rivalClaim: 'wins', place: async rowBytesKept => realPlace(real, rowBytesKept) })
  }
}

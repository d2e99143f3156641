// Owns which releases of etcd the journal may be led on, and why not on others.
// Must not ask anybody: a version is a text.

/** A bug of etcd that can cost what the journal promises. */
export interface EtcdBug {
  name: string
  what: string
}

const bugs: readonly EtcdBug[] = [
  { name: 'etcd-io/etcd#20418', what: 'a linearizable read may return stale data after a change of etcd’s leader' },
  { name: 'CVE-2026-33413', what: 'callers without permission may use leases, alarms and compaction' },
  { name: 'CVE-2026-33343', what: 'users may reach any key by a transaction within a transaction' },
]

/** The first release of each line without these bugs. Lines that are newer never had them; older ones get no fixes that are tested here. */
const firstGood = new Map([
  ['3.5', 28],
  ['3.6', 9],
])

/** Why nobody should lead on this release of etcd; undefined where one may. */
export function whyUnsafeEtcd(version: string): string | undefined {
  const parts = /^v?(\d{1,6})\.(\d{1,6})\.(\d{1,6})(-[\w.-]+)?(\+[\w.-]+)?$/.exec(version)
  if (parts === null) return `etcd says that its version is ${JSON.stringify(version.slice(0, 40))}, which is none that is known`
  const [major, minor, patch] = parts.slice(1, 4).map(Number) as [number, number, number]
  const first = firstGood.get(`${major}.${minor}`)
  // What comes before a release does not have its fixes.
  const good = first === undefined ? major > 3 || (major === 3 && minor > 6) : patch > first || (patch === first && parts[4] === undefined)
  if (good) return undefined
  const named = bugs.map(({ name, what }) => `${name} (${what})`).join(', ')
  return `etcd ${version} has bugs that are mended in 3.5.28, in 3.6.9 and in 3.7: ${named}`
}

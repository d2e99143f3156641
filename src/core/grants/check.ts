// Owns the invariants of locks: nobody holds what another holds alone, tokens only grow, nobody waits who could hold. For tests.
// Must not repair anything.
import type { Grants } from './state.ts'
import { mayHold } from './state.ts'

function assert(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(`invariant broken: ${what}`)
}

/** Throws if an invariant of locks is broken. */
export function checkGrants(grants: Grants): void {
  let count = 0
  const tokens = new Set<number>()
  for (const lock of grants.locks.values()) {
    const { name, held, line, permits } = lock
    count += held.size + line.size
    assert(held.size > 0, `nobody holds the lock ${name}, and it is kept`)
    const alone = [...held].some(grant => grant.mode === 'exclusive')
    assert(!alone || held.size === 1, `the lock ${name} is held by one alone and by others`)
    assert(permits === 0 || held.size <= permits, `more hold ${name} than it has permits`)
    for (const grant of held) {
      assert(grant.token > 0 && grant.token <= grants.lastToken && !tokens.has(grant.token), `a token of ${name} came twice or never`)
      tokens.add(grant.token)
    }
    for (const grant of line) assert(grant.token === 0, `a grant of ${name} waits and has a token`)
    const [next] = line
    assert(!next || !mayHold(lock, next.mode), `the next of ${name} waits and could hold it`)
    for (const grant of [...held, ...line]) {
      assert(grants.byId.get(grant.id) === grant, `the grant ${grant.id} is not known`)
      assert(grants.bySession.get(grant.session)?.has(grant) === true, `the grant ${grant.id} is not its session's`)
    }
  }
  assert(count === grants.byId.size, 'grants are known that no lock has')
  let owned = 0
  for (const set of grants.bySession.values()) owned += set.size
  assert(owned === count, 'sessions have grants that no lock has')
}

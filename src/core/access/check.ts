// Owns the invariants of users and tokens: each token is its user's, and found there. For tests.
// Must not repair anything.
import type { Access } from './state.ts'

function assert(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(`invariant broken: ${what}`)
}

/** Throws if an invariant of users is broken. */
export function checkAccess({ users, tokens }: Access): void {
  let owned = 0
  for (const [name, user] of users) {
    assert(user.name === name, `user ${name} has another name`)
    const isScoped = user.scope.jobPrefixes.length + user.scope.labels.length > 0
    assert(!isScoped || user.role === 'viewer' || user.role === 'submitter', `${name} is ${user.role} and has a scope`)
    for (const id of user.tokens) assert(tokens.get(id)?.user === name, `token ${id} is not that of ${name}`)
    owned += user.tokens.size
  }
  assert(owned === tokens.size, 'tokens are known that belong to nobody')
  for (const { id, digest } of tokens.values()) assert(/^[0-9a-f]{64}$/.test(digest), `token ${id} has no digest`)
}

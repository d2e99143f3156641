// Owns what holds of nodes after every record. Must not repair anything.
import { type Nodes, newestAuthority } from './state.ts'

function assert(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(`invariant broken: ${what}`)
}

/** Throws if an invariant is broken, naming it. */
export function checkNodes(nodes: Nodes): void {
  const { tokens, byName, authorities, signs, revoked } = nodes
  assert(authorities.size <= 2, 'more than two authorities are believed')
  assert(signs === '' ? authorities.size <= 1 : authorities.has(signs), 'the authority that signs is not believed')
  for (const token of tokens.values()) assert(token.usesLeft >= 0, `token ${token.id} was used more often than it may be`)
  const serials = new Set(revoked.keys())
  for (const node of byName.values()) {
    assert(node.certificates.size > 0, `node ${node.name} has no certificate`)
    assert(node.held === '' || node.certificates.has(node.held), `node ${node.name} holds a certificate that it was not given`)
    for (const serial of node.certificates.keys()) {
      assert(!serials.has(serial), `certificate ${serial} was given twice, or revoked`)
      serials.add(serial)
    }
  }
  assert(authorities.size < 2 || newestAuthority(nodes) !== '', 'an authority without a name')
}

// Owns the answer about nodes, authorities and join tokens. Must not write anything, and tells no secret and no hash of one.
import type { NodesView } from '../../protocol/index.ts'
import { expiryOf, newestAuthority, rotationOf } from '../nodes/state.ts'
import type { State } from '../state.ts'

/** All nodes by name, the authorities in their order, the open tokens. */
export function viewNodes({ nodes, nowMs }: State): NodesView {
  const newest = newestAuthority(nodes)
  const rotation = rotationOf(nodes, nowMs)
  return {
    authorities: [...nodes.authorities.values()].map(({ id, sinceMs, expiresAtMs }) => ({
      authority: id,
      state: id === nodes.signs ? 'signs' : id === newest ? 'next' : 'retiring',
      sinceMs,
      expiresAtMs,
    })),
    nodes: [...nodes.byName.values()]
      .map(node => {
        const [serial, certificate] = [...node.certificates].at(-1)!
        const { name, role, address, enrolledAtMs } = node
        const expiresAtMs = expiryOf(node)
        const state = expiresAtMs > nowMs ? ('enrolled' as const) : ('expired' as const)
        return { name, role, address, serial, expiresAtMs, authority: certificate.authority, enrolledAtMs, state }
      })
      .sort((a, b) => (a.name < b.name ? -1 : 1)),
    tokens: [...nodes.tokens.values()]
      .filter(token => token.usesLeft > 0 && token.expiresAtMs > nowMs)
      .map(({ id, role, usesLeft, expiresAtMs }) => ({ token: id, role, usesLeft, expiresAtMs })),
    revoked: nodes.revoked.size,
    ...(rotation && { rotation }),
  }
}

// Owns whom a certificate proves. Its chain was verified against the cluster's authorities before this is asked.
// Must not trust what the certificate says of anything but its serial number and its one name.
import { nodeOfUris, type Principal } from '../../protocol/index.ts'
import type { State } from '../state.ts'

/** What of a certificate counts. */
interface Presented {
  uris: readonly string[]
  /** In hexadecimal. */
  serial: string
}

/**
 * The node that a certificate proves: of this cluster, not revoked, and one that the journal knows, so that a stolen key of the authority makes nobody a node.
 * `behind`: this state may not have the newest facts, so a certificate that it does not know may be a new one.
 */
export function nodePrincipal({ uris, serial }: Presented, state: State, behind = false): Principal | undefined {
  const named = nodeOfUris(uris)
  const given = serial.toLowerCase()
  if (!named || named.cluster !== state.cluster || state.nodes.revoked.has(given)) return undefined
  const node = state.nodes.byName.get(named.name)
  const known = node?.role === named.role && node.certificates.has(given)
  if (!known && !behind) return undefined
  return { kind: 'node', name: named.name, roles: [named.role], credential: given }
}

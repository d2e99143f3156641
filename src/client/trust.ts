// Owns whom a client believes in a cluster of several machines: candidates whose certificates the cluster's authority signed.
// Must not hold anything that proves who the client is: that is its token.
import type { PeerCertificate } from '../platform/index.ts'
import type { Security } from '../platform/node/index.ts'
import { nodeOfUris } from '../protocol/index.ts'

/** Believes the authorities in this text (PEM, one behind the other), and of the nodes that they signed those that are what was asked for. */
export function clientSecurity(authorities: string): Security {
  const identity = { authorities: authorities.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [] }
  return {
    current: () => identity,
    onChange: () => () => undefined,
    problem({ uris }: PeerCertificate, wanted) {
      const named = nodeOfUris(uris)
      if (!named) return 'its certificate names no node'
      return named.role === wanted ? undefined : `it is a ${named.role}, not a ${wanted}`
    },
  }
}

// Owns what a node process of several machines has that one of a single machine has not: its certificate, whom it believes, keys of authorities.
// Must not decide who may do what: the leader's facts do.
import type { Credentials, PeerCertificate, Platform } from '../../platform/index.ts'
import { nodePlatform } from '../../platform/node/index.ts'
import { nodeOfUris, type Principal } from '../../protocol/index.ts'
import { type OpenNode, openNode } from '../authority/open.ts'
import type { Home } from '../state/home.ts'
import { localPrincipal, tokenCheck } from '../state/tokens.ts'
import type { LogLevel } from './options.ts'

/** The platform of a node process, which speaks TLS where the node has a certificate, and what it has that a node of one machine has not. Throws STATE_FOLDER_UNUSABLE. */
export async function openMachine(
  home: Home,
  name: string,
  logLevel: LogLevel,
): Promise<{ platform: Platform; machine: OpenNode | undefined }> {
  const plain = nodePlatform(name, logLevel)
  const machine = await openNode(home.node, plain)
  return { platform: machine ? nodePlatform(name, logLevel, machine.keeper) : plain, machine }
}

/**
 * Who comes to a candidate. A certificate is judged by the facts that this candidate knows; before it knows any, by what it says itself, which is enough to be told
 * who leads. The tokens of a state folder are for clusters of one machine.
 */
export function candidateAuthenticator(
  home: Home,
  machine: OpenNode | undefined,
  known: (certificate: PeerCertificate) => Principal | undefined,
  knowsFacts: () => boolean,
): (credentials: Credentials) => Principal | undefined {
  if (machine) return ({ certificate }) => certificate && (knowsFacts() ? known(certificate) : presented(machine, certificate))
  const role = tokenCheck(home)
  return ({ token }) => localPrincipal(role(token))
}

function presented({ keeper }: OpenNode, certificate: PeerCertificate): Principal | undefined {
  const named = nodeOfUris(certificate.uris)
  if (!named || keeper.problem(certificate, named.role) !== undefined) return undefined
  return { kind: 'node', name: named.name, roles: [named.role], credential: certificate.serial }
}

/** Which node of the cluster a certificate is of, for block servers: whoever shows one asks by that name. */
export function nodeNames(machine: OpenNode): (certificate: PeerCertificate) => string | undefined {
  return certificate => {
    const principal = presented(machine, certificate)
    return principal?.kind === 'node' ? principal.name : undefined
  }
}

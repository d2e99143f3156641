// Owns what is known of nodes on several machines: who has which certificate, which authorities are believed, which join tokens are open.
// Must not hold keys or secrets: of a token only the hash of its secret is known.
import type { NodeRole } from '../../protocol/index.ts'

/** Revoked and expired things are remembered this long after their time: clocks differ. */
export const rememberedMs = 24 * 3_600_000

/** One authority. */
export interface Authority {
  /** SHA-256 of its certificate. */
  readonly id: string
  /** DER. */
  readonly certificate: Uint8Array
  readonly expiresAtMs: number
  readonly sinceMs: number
}

/** A join token. */
export interface JoinToken {
  readonly id: string
  readonly secretHash: string
  readonly role: NodeRole
  usesLeft: number
  readonly expiresAtMs: number
}

/** A certificate of a node. */
export interface Certificate {
  readonly expiresAtMs: number
  readonly authority: string
}

/** A node that joined. */
export interface EnrolledNode {
  readonly name: string
  readonly role: NodeRole
  readonly address: string
  /** The join token that it came with. */
  readonly token: string
  readonly enrolledAtMs: number
  /** SHA-256 of its newest public key. */
  key: string
  /** Serial number → certificate, oldest first; some may have expired. */
  readonly certificates: Map<string, Certificate>
  /** The one that it says it uses, and the newest authority that it says it believes. */
  held: string
  believes: string
}

/** All of it. */
export interface Nodes {
  readonly tokens: Map<string, JoinToken>
  readonly byName: Map<string, EnrolledNode>
  /** In the order in which they were added: at most two. */
  readonly authorities: Map<string, Authority>
  /** The one that signs; empty before there is one. */
  signs: string
  /** Serial number → when the certificate would have expired. */
  readonly revoked: Map<string, number>
}

/** Nothing of it. */
export function createNodes(): Nodes {
  return { tokens: new Map(), byName: new Map(), authorities: new Map(), signs: '', revoked: new Map() }
}

/** The time at which the last certificate of the node expires. */
export function expiryOf(node: EnrolledNode): number {
  let last = 0
  for (const { expiresAtMs } of node.certificates.values()) last = Math.max(last, expiresAtMs)
  return last
}

/** The authority that was added last: the one that signs, or is to. */
export function newestAuthority({ authorities }: Nodes): string {
  return [...authorities.keys()].at(-1) ?? ''
}

/** Where the change of the authority stands, and for whom it waits; undefined while there is none. */
export function rotationOf(nodes: Nodes, nowMs: number): { step: 'believing' | 'renewing'; waitsFor: string[] } | undefined {
  if (nodes.authorities.size < 2) return undefined
  const newest = newestAuthority(nodes)
  const step = newest === nodes.signs ? 'renewing' : 'believing'
  const live = [...nodes.byName.values()].filter(node => expiryOf(node) > nowMs)
  const done = (node: EnrolledNode): boolean =>
    node.believes === newest && (step === 'believing' || node.certificates.get(node.held)?.authority === newest)
  return { step, waitsFor: live.filter(node => !done(node)).map(node => node.name) }
}

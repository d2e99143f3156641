// Owns what the facts about nodes do to the state. Must not choose anything, and must not read a clock.
import type { RecordOf } from '../../protocol/index.ts'
import type { State } from '../state.ts'
import { type EnrolledNode, expiryOf, type Nodes, rememberedMs } from './state.ts'

export function applyAuthorityAdded({ nodes, nowMs }: State, record: RecordOf<'AuthorityAdded'>): void {
  const { authority: id, certificate, expiresAtMs } = record
  if (nodes.authorities.has(id)) throw new Error(`authority ${id} was added twice`)
  nodes.authorities.set(id, { id, certificate: Uint8Array.from(certificate), expiresAtMs, sinceMs: nowMs })
}

export function applyAuthoritySigns({ nodes }: State, { authority }: RecordOf<'AuthoritySigns'>): void {
  if (!nodes.authorities.has(authority)) throw new Error(`no authority ${authority}`)
  nodes.signs = authority
}

export function applyAuthorityDropped({ nodes }: State, { authority }: RecordOf<'AuthorityDropped'>): void {
  if (nodes.signs === authority || !nodes.authorities.delete(authority)) throw new Error(`authority ${authority} cannot be dropped`)
}

export function applyJoinTokenMade({ nodes, nowMs }: State, record: RecordOf<'JoinTokenMade'>): void {
  const { token: id, secretHash, role, uses: usesLeft, expiresAtMs } = record
  for (const known of nodes.tokens.values()) if (known.expiresAtMs + rememberedMs < nowMs) nodes.tokens.delete(known.id)
  nodes.tokens.set(id, { id, secretHash, role, usesLeft, expiresAtMs })
}

export function applyNodeEnrolled(state: State, record: RecordOf<'NodeEnrolled'>): void {
  const { nodes, nowMs } = state
  const { node: name, role, address, token, key, serial, expiresAtMs, authority } = record
  tidy(state)
  const known = nodes.byName.get(name)
  // The answer was lost, and the same machine asked again: that is no further use.
  const again = known !== undefined && known.token === token && known.key === key
  if (!again && token !== '') nodes.tokens.get(token)!.usesLeft--
  // What was left of a node of this name has expired.
  const certificates = again ? known.certificates : new Map()
  certificates.set(serial, { expiresAtMs, authority })
  nodes.byName.set(name, { name, role, address, token, enrolledAtMs: nowMs, key, certificates, held: '', believes: '' })
}

export function applyCertificateRenewed({ nodes, nowMs }: State, record: RecordOf<'CertificateRenewed'>): void {
  const node = nodeOf(nodes, record.node)
  for (const [serial, { expiresAtMs }] of node.certificates) if (expiresAtMs + rememberedMs < nowMs) node.certificates.delete(serial)
  if (!node.certificates.has(node.held)) node.held = ''
  node.key = record.key
  node.certificates.set(record.serial, { expiresAtMs: record.expiresAtMs, authority: record.authority })
}

export function applyCertificateHeld({ nodes }: State, record: RecordOf<'CertificateHeld'>): void {
  const node = nodeOf(nodes, record.node)
  node.held = record.serial
  node.believes = record.authority
}

export function applyNodeRevoked(state: State, record: RecordOf<'NodeRevoked'>): void {
  const { nodes } = state
  const node = nodeOf(nodes, record.node)
  tidy(state)
  nodes.byName.delete(node.name)
  for (const [serial, { expiresAtMs }] of node.certificates) nodes.revoked.set(serial, expiresAtMs)
}

function nodeOf(nodes: Nodes, name: string): EnrolledNode {
  const node = nodes.byName.get(name)
  if (!node) throw new Error(`no node ${name}`)
  return node
}

/** What has been over for long is forgotten; not the leader's own node, which renews itself however late it is. */
function tidy({ nodes, nowMs, leader }: State): void {
  for (const [serial, expiresAtMs] of nodes.revoked) if (expiresAtMs + rememberedMs < nowMs) nodes.revoked.delete(serial)
  for (const node of nodes.byName.values())
    if (expiryOf(node) + rememberedMs < nowMs && node.name !== leader) nodes.byName.delete(node.name)
}

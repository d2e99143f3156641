// Owns the bytes of nodes in a snapshot. Must not hold derived things.
import { bytes, enumeration, type Infer, list, nodeRoles, string, struct, varint } from '../../protocol/index.ts'
import type { State } from '../state.ts'

const countMax = 2 ** 31
const name = string(4096)
const role = enumeration(...nodeRoles)

export const nodesState = struct({
  tokens: list(struct({ id: name, secretHash: name, role, usesLeft: varint, expiresAtMs: varint }), countMax),
  nodes: list(
    struct({
      name,
      role,
      address: name,
      token: name,
      enrolledAtMs: varint,
      key: name,
      certificates: list(struct({ serial: name, expiresAtMs: varint, authority: name }), countMax),
      held: name,
      believes: name,
    }),
    countMax,
  ),
  authorities: list(struct({ id: name, certificate: bytes(1 << 20), expiresAtMs: varint, sinceMs: varint }), countMax),
  signs: name,
  revoked: list(struct({ serial: name, expiresAtMs: varint }), countMax),
})

export function nodesValue({ nodes }: State): Infer<typeof nodesState> {
  return {
    tokens: [...nodes.tokens.values()],
    nodes: [...nodes.byName.values()].map(node => ({
      ...node,
      certificates: [...node.certificates].map(([serial, one]) => ({ serial, ...one })),
    })),
    authorities: [...nodes.authorities.values()].map(one => ({ ...one, certificate: Buffer.from(one.certificate) })),
    signs: nodes.signs,
    revoked: [...nodes.revoked].map(([serial, expiresAtMs]) => ({ serial, expiresAtMs })),
  }
}

export function restoreNodes({ nodes }: State, value: Infer<typeof nodesState>): void {
  for (const token of value.tokens) nodes.tokens.set(token.id, token)
  for (const { certificates, ...node } of value.nodes)
    nodes.byName.set(node.name, { ...node, certificates: new Map(certificates.map(({ serial, ...one }) => [serial, one])) })
  for (const one of value.authorities) nodes.authorities.set(one.id, { ...one, certificate: Uint8Array.from(one.certificate) })
  nodes.signs = value.signs
  for (const { serial, expiresAtMs } of value.revoked) nodes.revoked.set(serial, expiresAtMs)
}

// Owns what a leader needs of whoever keeps the keys of authorities: it signs, and holds no key itself.
// Must not know how certificates are made, or where keys lie.
import type { NewAuthority, NewJoinToken } from '../core/index.ts'
import type { NodeIdentity, NodeName } from '../protocol/index.ts'

/** Keeps the keys of authorities on this candidate. */
export interface Authority {
  /** The authorities whose keys are here. */
  keys(): readonly string[]
  /** The key of one, for another candidate: PKCS#8 in PEM. */
  key(authority: string): string
  /** Signs the key of a request (DER) for this node. Throws INVALID_ARGUMENT for a request that does not prove that its sender has the key. */
  sign(
    authority: string,
    csr: Uint8Array,
    node: NodeName,
  ): Promise<{ certificate: Uint8Array; serial: string; key: string; expiresAtMs: number }>
  /** A new join token: its id, its secret, and the hash that may be kept. */
  newToken(): { token: string; secret: string; secretHash: string }
  /** Makes another one, and keeps its key. */
  make(cluster: string): Promise<NewAuthority>
}

/** What `cox cluster init` left for the first leader. */
export interface Founding {
  authority: NewAuthority
  node: { node: string; address: string; key: string; serial: string; expiresAtMs: number }
  tokens: NewJoinToken[]
  /** The first user, who may do everything: id and digest of its token. */
  admin?: { user: string; token: string; digest: string; ttlMs: number }
}

/** Something that was asked about nodes, and what came of it: `ok`, or the code of the error. */
export interface NodeAct {
  act: 'enrol' | 'renew' | 'revoke' | 'rotate' | 'makeToken'
  /** Whom it is about. */
  node: string
  outcome: string
  /** Where the request came from, where that is known. */
  remote: string
}

/** What a leader needs to be one of several machines. */
export interface NodeOptions {
  authority: Authority
  /** This candidate's own certificate is renewed as any other. */
  identity: NodeIdentity
  /** Only on the machine that founded the cluster. */
  founding?: Founding
  audit?(act: NodeAct): void
}

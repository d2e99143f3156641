// Owns how nodes of several machines are named in certificates, and what they and the leader say about certificates and authorities.
// Must not hold keys, or how certificates are made.
import { bytes, enumeration, type Infer, list, optional, string, struct, varint } from './codec.ts'
import { limits } from './limits.ts'
import { hashField, nameField } from './plan.ts'
import { type NodeRole, nodeRoles } from './principal.ts'

/** Where a machine that joins asks for its certificate; open to whoever brings a join token. */
export const enrolPath = '/v1/enrol'

const certificateBytesMax = 16 << 10
const scheme = 'coxswain://'
const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/

/** True for what a node of several machines may be called: it stands in certificates, in file names and in addresses. */
export function isNodeName(name: string): boolean {
  return namePattern.test(name)
}

/** A node of a cluster, as its certificate names it. */
export interface NodeName {
  cluster: string
  role: NodeRole
  name: string
}

/** The name of a node as a URI, as it stands in its certificate. */
export function nodeUri({ cluster, role, name }: NodeName): string {
  return `${scheme}${cluster}/${role}/${name}`
}

/** Whom a certificate with these URIs is for: exactly one name, and nothing beside it. Undefined for any other. */
export function nodeOfUris(uris: readonly string[]): NodeName | undefined {
  const [uri = '', ...more] = uris
  if (more.length > 0 || !uri.startsWith(scheme)) return undefined
  const [cluster = '', given = '', name = '', ...rest] = uri.slice(scheme.length).split('/')
  const role = nodeRoles.find(one => one === given)
  return role && rest.length === 0 && isNodeName(cluster) && isNodeName(name) ? { cluster, role, name } : undefined
}

const role = enumeration(...nodeRoles)
const certificate = bytes(certificateBytesMax)
/** In hexadecimal, lower case. */
const serial = string(64)
/** An address of a candidate, empty where there is none. */
const address = string(512)

/** Facts about nodes, their certificates, and the authorities that sign those. No key is among them. */
export const nodeRecords = {
  /** The certificates of one more authority are believed; its name is the SHA-256 of its own certificate. */
  AuthorityAdded: [120, struct({ authority: hashField, certificate, expiresAtMs: varint })],
  /** It signs from now on; the one that did is only believed. */
  AuthoritySigns: [121, struct({ authority: hashField })],
  /** Nobody needs it any more. */
  AuthorityDropped: [122, struct({ authority: hashField })],
  JoinTokenMade: [123, struct({ token: nameField, secretHash: hashField, role, uses: varint, expiresAtMs: varint })],
  /** A node has its first certificate, by a join token (none: it founded the cluster). `key` is the SHA-256 of its public key. */
  NodeEnrolled: [
    124,
    struct({ node: nameField, role, address, token: nameField, key: hashField, serial, expiresAtMs: varint, authority: hashField }),
  ],
  CertificateRenewed: [125, struct({ node: nameField, key: hashField, serial, expiresAtMs: varint, authority: hashField })],
  /** None of its certificates counts any more. */
  NodeRevoked: [126, struct({ node: nameField })],
  /** The node uses this certificate, and believes the authorities up to this one. */
  CertificateHeld: [127, struct({ node: nameField, serial, authority: hashField })],
} as const

/** What a node is to believe. */
const trustShape = struct({
  /** Authorities in the order in which they were added; DER. */
  authorities: list(struct({ authority: hashField, certificate }), 16),
  signs: hashField,
  /** Certificates that do not count although an authority signed them. */
  revoked: list(serial, 1_000_000),
  /** Addresses of candidates. */
  candidates: list(address, 1000),
})
/** What a node is to believe. */
export type Trust = Infer<typeof trustShape>

/** A signing request, DER; its subject is not looked at. */
const renewalShape = struct({ csr: bytes(certificateBytesMax) })
const holdingShape = struct({ serial, authority: hashField })
/** The certificate that was asked for, DER; or why there is none. */
const certificateShape = struct({
  certificate: optional(certificate),
  authority: nameField,
  problem: optional(struct({ code: nameField, message: string(4096) })),
})
/** The key of an authority, PKCS#8 in PEM: only ever sent to a candidate. */
const authorityKeyShape = struct({ authority: hashField, key: string(4096) })

/** What a node says about its own certificate, over its connection to the leader. */
export const workerCertificates = { renewCertificate: [15, renewalShape], holdsCertificate: [16, holdingShape] } as const
/** The same of a candidate. */
export const candidateCertificates = { renewCertificate: [4, renewalShape], holdsCertificate: [5, holdingShape] } as const
/** What the leader tells a worker about certificates. */
export const certificatesForWorkers = { trust: [18, trustShape], certificate: [19, certificateShape] } as const
/** What the leader tells a candidate about them. */
export const certificatesForCandidates = {
  trust: [4, trustShape],
  certificate: [5, certificateShape],
  authorityKey: [6, authorityKeyShape],
} as const

/** What a node says about its own certificate. */
export type NodeUp =
  | ({ kind: 'renewCertificate' } & Infer<typeof renewalShape>)
  | ({ kind: 'holdsCertificate' } & Infer<typeof holdingShape>)
/** What the leader tells a node about certificates. `authorityKey` only a candidate. */
export type NodeDown =
  | ({ kind: 'trust' } & Trust)
  | ({ kind: 'certificate' } & Infer<typeof certificateShape>)
  | ({ kind: 'authorityKey' } & Infer<typeof authorityKeyShape>)

/** What keeps the identity of a node, as its connection to the leader sees it. */
export interface NodeIdentity {
  /** There is a leader: what is to be said to it goes through `send`. What is returned is told what it says, and `ended` once. */
  attach(send: (message: NodeUp) => void): { heard(message: NodeDown): void; ended(): void }
}

const request = varint

/** What a client asks about nodes. */
export const nodeOrders = {
  /** Answered by `joinToken`. */
  makeJoinToken: [50, struct({ request, role, uses: varint, expiresInMs: varint })],
  /** Its certificates count no more, and its connections end. */
  revokeNode: [51, struct({ request, node: nameField })],
  /** Another authority is to sign: believed by all first, then used, then the old one is dropped. */
  rotateAuthority: [52, struct({ request })],
} as const

/** What a join token is made of. The secret is known to nobody else. */
export const nodeAnswers = {
  joinToken: [
    40,
    struct({
      request,
      cluster: nameField,
      authority: hashField,
      token: nameField,
      secret: string(200),
      role,
      expiresAtMs: varint,
      candidates: list(address, 1000),
    }),
  ],
} as const

/** Body of the request of a machine that joins, as JSON. */
export interface EnrolRequest {
  token: string
  secret: string
  role: NodeRole
  name: string
  /** Where others reach it; only of a candidate. */
  address: string
  /** Signing request, DER in base64. */
  csr: string
  /** What the machine's clock says, milliseconds since 1970. */
  timeMs: number
}

/** Body of the answer, as JSON. */
export interface EnrolAnswer {
  cluster: string
  /** DER in base64, as the authorities. */
  certificate: string
  authorities: { authority: string; certificate: string }[]
  signs: string
  revoked: string[]
  candidates: string[]
  /** Keys of authorities, PEM; only for a candidate. */
  keys: { authority: string; key: string }[]
}

/** Body of a refusal, as JSON; `leader` where another candidate is to be asked. */
export interface EnrolRefusal {
  code: string
  message: string
  leader?: string
}

/** An authority of the cluster. */
export interface AuthorityView {
  /** SHA-256 of its certificate. */
  authority: string
  /** `believed`: it is to sign soon, or it did and goes when nobody needs it any more. */
  state: 'signs' | 'next' | 'retiring'
  sinceMs: number
  expiresAtMs: number
}

/** A node that has a certificate. */
export interface NodeView {
  name: string
  role: NodeRole
  address: string
  serial: string
  expiresAtMs: number
  authority: string
  enrolledAtMs: number
  /** `expired`: it has to join anew. */
  state: 'enrolled' | 'expired'
}

/** Answer to `nodes`. */
export interface NodesView {
  authorities: AuthorityView[]
  nodes: NodeView[]
  tokens: { token: string; role: NodeRole; usesLeft: number; expiresAtMs: number }[]
  /** Certificates that were revoked and have not expired by themselves. */
  revoked: number
  /** While one authority replaces another: for whom it waits. */
  rotation?: { step: 'believing' | 'renewing'; waitsFor: string[] }
}

/** Limits of what is kept. */
export const nodeLimits = {
  joinTokensMax: 1000,
  joinTokenUsesMax: 10_000,
  joinTokenMsMax: 30 * 24 * 3_600_000,
  nodesMax: 25_000,
  /** Certificates of one node that have not expired. */
  certificatesMax: 32,
  nameBytesMax: limits.nameBytesMax,
} as const

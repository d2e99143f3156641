// Owns founding a cluster of several machines: its authority, the certificate of its first candidate, the first join token.
// Must not start anything: what it leaves in the folder is taken into the journal by the first leader.
import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { CoxswainError, isNodeName, type NodeRole, nodeLimits, tokenText } from '../../protocol/index.ts'
import { NodeFolder } from './folder.ts'
import type { FoundingFile } from './local-authority.ts'
import { formatJoinToken, newToken } from './token.ts'
import { makeAuthority, makeRequest, pemOf, signRequest } from './x509.ts'

/** The first user, and how long its token is good: whoever it is makes users and tokens of their own soon. */
const adminUser = 'admin'
const adminTokenMs = 365 * 24 * 3_600_000

/** What is founded. */
export interface InitOptions {
  /** The folder `node` of the state folder. */
  folder: string
  /** Id of the cluster, where this machine led one already; empty for a new one. */
  cluster: string
  /** Of the first candidate. */
  name: string
  /** Where others reach it, `HOST:PORT`. */
  address: string
  /** What the first join token is good for. */
  token: { role: NodeRole; uses: number; expiresInMs: number }
}

/** What was founded, and the join token as one word. */
export interface InitResult {
  cluster: string
  authority: string
  name: string
  joinToken: string
  expiresAtMs: number
  /** Of the user `admin`, who may do everything. */
  adminToken: string
}

/** Throws ALREADY_ENROLLED where the folder is a node's. */
export async function initCluster(options: InitOptions, nowMs: number = Date.now()): Promise<InitResult> {
  const { name, address } = options
  const folder = new NodeFolder(options.folder)
  const known = folder.node()
  if (known)
    throw new CoxswainError('ALREADY_ENROLLED', `This state folder is node ${known.name} of cluster ${known.cluster}.`, { id: known.name })
  if (!isNodeName(name))
    throw new CoxswainError('INVALID_ARGUMENT', 'A node is named with up to 63 letters, digits and . _ -.', { id: name })
  const { uses, expiresInMs, role } = options.token
  if (uses < 1 || uses > nodeLimits.joinTokenUsesMax || expiresInMs < 1000 || expiresInMs > nodeLimits.joinTokenMsMax)
    throw new CoxswainError(
      'INVALID_ARGUMENT',
      `A join token is for 1 to ${nodeLimits.joinTokenUsesMax} machines, and lives up to 30 days.`,
    )
  folder.make()
  const cluster = options.cluster || randomUUID()
  const made = await makeAuthority(cluster, nowMs)
  const { authority } = made
  const request = await makeRequest()
  const signed = await signRequest(made, request.csr, { cluster, role: 'candidate', name }, nowMs)
  const { token, secret, secretHash } = newToken()
  const expiresAtMs = nowMs + expiresInMs
  const adminToken = randomBytes(9).toString('hex')
  const adminText = tokenText(adminToken, randomBytes(32).toString('base64url'))
  const founding: FoundingFile = {
    authority: { authority, certificate: made.certificate.toString('base64'), expiresAtMs: made.expiresAtMs },
    node: { node: name, address, key: signed.key, serial: signed.serial, expiresAtMs: signed.expiresAtMs },
    tokens: [{ token, secretHash, role, uses, expiresAtMs }],
    admin: { user: adminUser, token: adminToken, digest: createHash('sha256').update(adminText).digest('hex'), ttlMs: adminTokenMs },
  }
  await folder.writeAuthorityKey(authority, made.key)
  await folder.writeTrust({
    authorities: [{ authority, certificate: made.certificate }],
    signs: authority,
    revoked: [],
    candidates: [address],
  })
  await folder.writeIdentity(request.key, `${pemOf(signed.certificate)}${pemOf(made.certificate)}`)
  await folder.writeFounding(founding)
  await folder.writeNode({ cluster, role: 'candidate', name, address })
  const joinToken = formatJoinToken({ cluster, candidates: [address], authority, token, secret, role, expiresAtMs })
  return { cluster, authority, name, joinToken, expiresAtMs, adminToken: adminText }
}

// Owns joining a cluster of several machines: the key is made here, the certificate comes from the leader, and all of it is kept in the node's folder.
// Must not start the node, and must not print or log the token.
import { setTimeout as pause } from 'node:timers/promises'
import {
  CoxswainError,
  type EnrolAnswer,
  type EnrolRefusal,
  type EnrolRequest,
  errorFromWire,
  isNodeName,
  type NodeRole,
} from '../../protocol/index.ts'
import { type NodeFile, NodeFolder } from './folder.ts'
import { certificateFlaw } from './keeper.ts'
import { askToJoin, pinnedAuthority, placeOf } from './pin.ts'
import { type JoinTokenText, parseJoinToken } from './token.ts'
import { fingerprintOf, makeRequest, pemOf, readCertificate, type SigningRequest } from './x509.ts'

/** How often all candidates are asked again while none of them leads, and how long is waited between. */
const roundsMax = 8
const roundPauseMs = 500
/** Refusals that another candidate, or a little later, may not make. */
const passing = new Set(['UNAVAILABLE', 'OVERLOADED'])

/** Who joins. */
export interface EnrolOptions {
  /** That of the token, where it is not given. */
  role?: NodeRole
  name: string
  /** The folder `node` of the state folder. */
  folder: string
  /** Where others reach a candidate, `HOST:PORT`. */
  address?: string
}

/** A node that has joined. */
export interface EnrolledNode extends NodeFile {
  candidates: string[]
  serial: string
  expiresAtMs: number
}

/** Joins with the text of a join token. Rejects with what is wrong with it, with the clock, or with the name, and with UNAVAILABLE where nobody answers. */
export async function enrol(tokenText: string, options: EnrolOptions, nowMs: () => number = Date.now): Promise<EnrolledNode> {
  const token = parseJoinToken(tokenText)
  const node = nodeFor(token, options)
  const folder = new NodeFolder(options.folder)
  const known = folder.node()
  if (known)
    throw new CoxswainError('ALREADY_ENROLLED', `This state folder is node ${known.name} of cluster ${known.cluster}.`, { id: known.name })
  folder.make()
  const made = await folder.joining(`${token.token} ${node.role} ${node.name}`, makeRequest)
  const answer = await ask(token, node, made, nowMs)
  return keep(folder, token, node, made, answer)
}

/** A name for the node of a machine: its first label, as far as a node can be called that. */
export function nodeNameOf(host: string, role: NodeRole): string {
  const label = host
    .split('.')[0]!
    .replace(/[^A-Za-z0-9_-]/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '')
    .slice(0, 60)
  const name = label === '' ? 'node' : label
  return role === 'candidate' ? `${name}-c` : name
}

function nodeFor({ role: allowed, cluster, token: id }: JoinTokenText, { role = allowed, name, address = '' }: EnrolOptions): NodeFile {
  if (role !== allowed) throw new CoxswainError('JOIN_ROLE_REFUSED', `This join token is for a ${allowed}, not for a ${role}.`, { id })
  if (!isNodeName(name))
    throw new CoxswainError('INVALID_ARGUMENT', `A node cannot be called ${JSON.stringify(name)}: letters, digits and . _ -, at most 63.`, {
      id: name,
    })
  if (role === 'candidate' && address === '')
    throw new CoxswainError('INVALID_ARGUMENT', 'A candidate must say where others reach it: --advertise HOST:PORT.')
  if (address !== '') placeOf(address)
  return { cluster, role, name, address }
}

/** Asks one candidate after the other, and whoever they say leads. */
async function ask(token: JoinTokenText, node: NodeFile, { csr }: SigningRequest, nowMs: () => number): Promise<EnrolAnswer> {
  const { cluster, secret } = token
  const { role, name, address } = node
  let last: CoxswainError | undefined
  for (let round = 0; round < roundsMax; round++) {
    if (round > 0) await pause(roundPauseMs)
    const places = [...token.candidates]
    for (let at = 0; at < places.length && at < token.candidates.length + 2; at++) {
      try {
        const place = placeOf(places[at]!)
        const authority = await pinnedAuthority(place, token, nowMs())
        const body: EnrolRequest = { token: token.token, secret, role, name, address, csr: csr.toString('base64'), timeMs: nowMs() }
        const answer = await askToJoin(place, authority, cluster, JSON.stringify(body))
        const said = parsed(answer.body)
        if (answer.status === 200) return said as EnrolAnswer
        const { code, message, leader } = said as EnrolRefusal
        if (leader && !places.includes(leader)) places.push(leader)
        throw errorFromWire(String(code), String(message))
      } catch (error) {
        if (!(error instanceof CoxswainError) || !passing.has(error.code)) throw error
        last = error
      }
    }
  }
  throw last ?? new CoxswainError('UNAVAILABLE', 'The join token names no candidate.')
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    throw new CoxswainError('UNAVAILABLE', 'Whoever answered said nothing that can be read.')
  }
}

async function keep(
  folder: NodeFolder,
  token: JoinTokenText,
  node: NodeFile,
  { key }: SigningRequest,
  answer: EnrolAnswer,
): Promise<EnrolledNode> {
  const certificate = Buffer.from(answer.certificate, 'base64')
  const authorities = answer.authorities.map(one => ({ ...one, certificate: Buffer.from(one.certificate, 'base64') }))
  const issuer = authorities.find(one => one.authority === answer.signs)
  const named = authorities.every(one => fingerprintOf(one.certificate) === one.authority)
  const flaw = issuer && named && authorities.some(one => one.authority === token.authority)
  if (!flaw) throw new CoxswainError('AUTHORITY_MISMATCH', 'The leader names other authorities than the join token.')
  const wrong = certificateFlaw(certificate, key, issuer.certificate, node)
  if (wrong) throw new CoxswainError('AUTHORITY_MISMATCH', wrong)
  for (const one of answer.keys) await folder.writeAuthorityKey(one.authority, one.key)
  const { signs, revoked, candidates } = answer
  await folder.writeTrust({ authorities, signs, revoked, candidates })
  await folder.writeIdentity(key, `${pemOf(certificate)}${pemOf(issuer.certificate)}`)
  await folder.writeNode(node)
  folder.joined()
  const { serial, expiresAtMs } = readCertificate(certificate)
  return { ...node, candidates, serial, expiresAtMs }
}

// Owns the text of a join token. Must not log it or put it into an error: whoever has it may join.
import { createHash, randomBytes } from 'node:crypto'
import { CoxswainError, type NodeRole, nodeRoles } from '../../protocol/index.ts'

const prefix = 'coxj_'
const version = 1
const checksumChars = 8
const idBytes = 9
const secretBytes = 32
const textCharsMax = 16_384

/** What a join token says. */
export interface JoinTokenText {
  cluster: string
  /** Where to ask: `HOST:PORT` of candidates. */
  candidates: string[]
  /** SHA-256 of the authority's certificate, in hexadecimal. */
  authority: string
  token: string
  secret: string
  role: NodeRole
  expiresAtMs: number
}

/** What a token is known by, its secret, and the hash of that. */
export function newToken(): { token: string; secret: string; secretHash: string } {
  const secret = randomBytes(secretBytes).toString('base64url')
  return {
    token: randomBytes(idBytes).toString('base64url'),
    secret,
    secretHash: createHash('sha256').update(secret).digest('hex'),
  }
}

/** So that a text that was cut or mistyped is told apart from one that is wrong. */
function checksum(body: string): string {
  return createHash('sha256').update(prefix).update(body).digest('base64url').slice(0, checksumChars)
}

/** The token as one word. */
export function formatJoinToken({ cluster, candidates, authority, token, secret, role, expiresAtMs }: JoinTokenText): string {
  const parts = [version, cluster, candidates, Buffer.from(authority, 'hex').toString('base64url'), token, secret, role, expiresAtMs]
  const body = Buffer.from(JSON.stringify(parts)).toString('base64url')
  return `${prefix}${body}${checksum(body)}`
}

function malformed(why: string): CoxswainError {
  return new CoxswainError('JOIN_TOKEN_MALFORMED', `This is no whole join token: ${why}.`)
}

/** What the word says. Throws JOIN_TOKEN_MALFORMED for one that is cut, mistyped, or none. */
export function parseJoinToken(text: string): JoinTokenText {
  const word = text.trim()
  if (!word.startsWith(prefix)) throw malformed(`it does not begin with ${prefix}`)
  if (word.length > textCharsMax || !/^[\w-]+$/.test(word)) throw malformed('it holds characters that none has, or too many')
  const body = word.slice(prefix.length, -checksumChars)
  if (body.length === 0 || checksum(body) !== word.slice(-checksumChars)) throw malformed('a part of it is missing, or mistyped')
  let parts: unknown
  try {
    parts = JSON.parse(Buffer.from(body, 'base64url').toString())
  } catch {
    throw malformed('its inside cannot be read')
  }
  if (!Array.isArray(parts) || parts[0] !== version) throw malformed('another release of Coxswain made it')
  const [, cluster, candidates, authority, token, secret, role, expiresAtMs] = parts as unknown[]
  const texts = [cluster, authority, token, secret].every(one => typeof one === 'string')
  const places = Array.isArray(candidates) && candidates.length > 0 && candidates.every(one => typeof one === 'string')
  if (!texts || !places || !nodeRoles.includes(role as NodeRole) || !Number.isSafeInteger(expiresAtMs))
    throw malformed('its inside is not what it should be')
  return {
    cluster: cluster as string,
    candidates: candidates as string[],
    authority: Buffer.from(authority as string, 'base64url').toString('hex'),
    token: token as string,
    secret: secret as string,
    role: role as NodeRole,
    expiresAtMs: expiresAtMs as number,
  }
}

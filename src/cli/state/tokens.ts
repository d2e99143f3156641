// Owns the two secrets of a local cluster: one for its user, one for its nodes. Each is a file only its user can read.
// Must not put a secret into an argument, an environment variable, a log line or an error.
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { everything, nodeRoles, type Principal } from '../../protocol/index.ts'
import { type Home, onHome } from './home.ts'

const secretBytes = 32
const secretPattern = /^[\w-]{43}$/
const roles = ['user', 'node'] as const

/** Whom a token stands for. */
export type TokenRole = (typeof roles)[number]

function secretPath(home: Home, role: TokenRole): string {
  return join(home.tokens, role)
}

function digestPath(home: Home, role: TokenRole): string {
  return join(home.tokens, `${role}.sha256`)
}

function digestOf(secret: string): string {
  return createHash('sha256').update(secret).digest('hex')
}

function writePrivate(path: string, text: string): void {
  const temporary = `${path}.${process.pid}.tmp`
  writeFileSync(temporary, text, { mode: 0o600 })
  renameSync(temporary, path)
}

/** Makes what is missing of the two secrets and their digests. */
export function ensureTokens(home: Home): void {
  onHome(home.path, () => {
    for (const role of roles) {
      const path = secretPath(home, role)
      let secret = existsSync(path) ? readFileSync(path, 'utf8').trim() : ''
      if (!secretPattern.test(secret)) {
        secret = randomBytes(secretBytes).toString('base64url')
        writePrivate(path, secret)
      }
      writePrivate(digestPath(home, role), digestOf(secret))
    }
  })
}

/** Keeps the token of this user in a cluster of several machines. */
export function keepUserToken(home: Home, token: string): void {
  onHome(home.path, () => writePrivate(secretPath(home, 'user'), token))
}

/** The secret of a role. */
export function readToken(home: Home, role: TokenRole): string {
  return onHome(home.path, () => readFileSync(secretPath(home, role), 'utf8').trim())
}

/** Tells whose token a text is, knowing only digests and taking the same time for every wrong one. */
export function tokenCheck(home: Home): (token: string) => TokenRole | undefined {
  const digests = onHome(home.path, () =>
    roles.map(role => ({ role, digest: Buffer.from(readFileSync(digestPath(home, role), 'utf8').trim(), 'hex') })),
  )
  return token => {
    const given = createHash('sha256').update(token).digest()
    let found: TokenRole | undefined
    for (const { role, digest } of digests) if (timingSafeEqual(given, digest)) found = role
    return found
  }
}

/** Who a token of this machine stands for: its user may do everything, its nodes may be any of its nodes. */
export function localPrincipal(role: TokenRole | undefined): Principal | undefined {
  if (role === undefined) return undefined
  if (role === 'node') return { kind: 'node', name: '', roles: nodeRoles, credential: 'local' }
  return { kind: 'user', name: 'local', role: 'admin', scope: everything, credential: 'local' }
}

// Owns users who come with a token of an identity provider (a JWT, RFC 8725): whether it is good, and who it stands for.
// Must not believe anything that the token says before its signature is verified, but which of the known keys is to be looked up.
import type { JWTPayload } from 'jose'
import type { Authenticator } from '../../leader/index.ts'
import { CoxswainError } from '../../protocol/errors.ts'
import { type Principal, type Scope, type UserRole, userRoles } from '../../protocol/principal.ts'
import { ProviderKeys } from './keys.ts'

/** What somebody is who has a value in the claim of roles. */
export interface RoleGrant {
  role: UserRole
  /** Only for viewers and submitters. */
  jobPrefixes?: readonly string[]
  labels?: readonly string[]
}

/** The identity provider that a cluster trusts. */
export interface OidcOptions {
  issuer: string
  audience: string
  /** Where its keys are: https, or this machine. */
  keysUrl: string
  /** The claim with the user's name; `sub` by default. */
  nameClaim?: string
  /** The claim with the user's roles, a text or a list of them; `roles` by default. */
  roleClaim?: string
  /** What each value of that claim stands for. Who has none of them is nobody. */
  roles: Readonly<Record<string, RoleGrant>>
}

/** With which kind of key each algorithm is verified. No other is accepted, whatever a token says. */
const keyTypes: Readonly<Record<string, string>> = { RS256: 'RSA', ES256: 'EC', EdDSA: 'OKP' }
const types = new Set(['jwt', 'at+jwt'])
const tokenCharactersMax = 8192
const keyIdCharactersMax = 256
const toleranceSeconds = 60
const namePattern = /^[\p{L}\p{N}][\p{L}\p{N}._@+|:-]*$/u
const nameBytesMax = 64

/** What a log line says of somebody who was not let in. */
type Log = (event: string, fields: Record<string, unknown>) => void

/** The clocks: that of the wall, by which the provider says when a token is good, and one that never goes back. */
export interface OidcClock {
  wallMs(): number
  monotonicMs(): number
}

interface Head {
  alg: string
  kid: string
  typ: string
}

/** The head of a token, as far as it may be used before the signature is verified. */
function headOf(token: string): Head | undefined {
  const [head = '', ...rest] = token.split('.')
  if (token.length > tokenCharactersMax || rest.length !== 2) return undefined
  try {
    const { alg, kid, typ } = JSON.parse(Buffer.from(head, 'base64url').toString()) as Record<string, unknown>
    const known = typeof alg === 'string' && Object.hasOwn(keyTypes, alg) && typeof typ === 'string' && types.has(typ.toLowerCase())
    return known && typeof kid === 'string' && kid.length <= keyIdCharactersMax ? { alg, kid, typ } : undefined
  } catch {
    return undefined
  }
}

/** Throws INVALID_ARGUMENT for options that cannot be. */
function checkOptions({ issuer, audience, roles }: OidcOptions): void {
  const flawed = (text: string): CoxswainError =>
    new CoxswainError('INVALID_ARGUMENT', `The identity provider ${issuer}: ${text}.`, { id: issuer })
  if (!issuer || !audience) throw flawed('issuer and audience must be named')
  for (const [value, { role, jobPrefixes = [], labels = [] }] of Object.entries(roles)) {
    if (!userRoles.includes(role)) throw flawed(`${value} stands for ${JSON.stringify(role)}, which is no role`)
    if (jobPrefixes.length + labels.length > 0 && (role === 'operator' || role === 'admin'))
      throw flawed(`${value} is ${role} and cannot have a scope`)
  }
}

/** The highest role that the claims give, or undefined. */
function grantOf({ roleClaim = 'roles', roles }: OidcOptions, claims: JWTPayload): RoleGrant | undefined {
  const claimed = claims[roleClaim]
  const values = Array.isArray(claimed) ? claimed : [claimed]
  let best: RoleGrant | undefined
  for (const value of values) {
    const grant = typeof value === 'string' && Object.hasOwn(roles, value) ? roles[value] : undefined
    if (grant && (!best || userRoles.indexOf(grant.role) > userRoles.indexOf(best.role))) best = grant
  }
  return best
}

/** Who the claims stand for. The names of the provider's users are never those of the cluster's own. */
function principalOf(options: OidcOptions, head: Head, claims: JWTPayload, wallMs: number): Principal | undefined {
  const said = claims[options.nameClaim ?? 'sub']
  const grant = grantOf(options, claims)
  if (typeof said !== 'string' || !namePattern.test(said) || Buffer.byteLength(said) > nameBytesMax || !grant) return undefined
  const scope: Scope = { jobPrefixes: [...(grant.jobPrefixes ?? [])], labels: [...(grant.labels ?? [])] }
  const goodForMs = (claims.exp! + toleranceSeconds) * 1000 - wallMs
  return { kind: 'user', name: `oidc:${said}`, role: grant.role, scope, credential: `oidc:${head.kid.slice(0, nameBytesMax)}`, goodForMs }
}

/** Lets in who has a good token of the provider. Throws INVALID_ARGUMENT for options that cannot be. */
export function oidcAuthenticator(options: OidcOptions, clock: OidcClock, log: Log): Authenticator {
  checkOptions(options)
  const keys = new ProviderKeys(options.keysUrl, () => clock.monotonicMs())
  const verify = async (token: string, head: Head): Promise<Principal | undefined> => {
    try {
      const key = await keys.key(head.kid)
      if (!key || key.kty !== keyTypes[head.alg] || (key.alg !== undefined && key.alg !== head.alg)) return undefined
      const { importJWK, jwtVerify } = await loaded()
      const wallMs = clock.wallMs()
      const { payload } = await jwtVerify(token, await importJWK(key, head.alg), {
        algorithms: [head.alg],
        issuer: options.issuer,
        audience: options.audience,
        typ: head.typ,
        clockTolerance: toleranceSeconds,
        requiredClaims: ['exp', 'nbf'],
        currentDate: new Date(wallMs),
      })
      return principalOf(options, head, payload, wallMs)
    } catch (error) {
      // Never what was in the token: it may be a good one for somebody else.
      log('oidc-refused', {
        issuer: options.issuer,
        because: error instanceof Error ? ((error as { code?: string }).code ?? error.message) : 'unknown',
      })
      return undefined
    }
  }
  return ({ token }) => {
    const head = headOf(token)
    return head && verify(token, head)
  }
}

/** The package is there only where somebody wants this. */
async function loaded(): Promise<typeof import('jose')> {
  try {
    return await import('jose')
  } catch (error) {
    throw new CoxswainError('PACKAGE_MISSING', 'Tokens of an identity provider need the package `jose`: run `npm install jose`.', {
      id: 'jose',
      cause: error,
    })
  }
}

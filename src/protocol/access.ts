// Owns what users and their tokens are, as plain data: names, scopes, how a token is written.
// Must not hold how somebody is proved to be one.
import { enumeration, type Infer, list, string, struct } from './codec.ts'
import { limits } from './limits.ts'
import { userRoles } from './principal.ts'

/** The name of a user in a message or record. */
export const userField = string(limits.userNameBytesMax)
/** What a user is, in a message or record. */
export const userRoleField = enumeration(...userRoles)
/** The id of a token. */
export const tokenIdField = string(limits.tokenIdBytesMax)

const scopeTexts = list(string(limits.nameBytesMax), limits.scopeTextsMax)
/** Which jobs a user may see and touch, in a message or record. */
export const scopeField = struct({ jobPrefixes: scopeTexts, labels: scopeTexts })

/** A user as it is asked for. */
export const userSpec = struct({ user: userField, role: userRoleField, scope: scopeField })
export type UserSpec = Infer<typeof userSpec>

const userPattern = /^[\p{L}\p{N}][\p{L}\p{N}._@+-]*$/u
const tokenIdPattern = /^[a-z0-9]{8,32}$/
const tokenPattern = /^cox_([a-z0-9]{8,32})_[\w-]{43}$/
/** The user of the token that a cluster of one machine makes for itself. */
export const localUser = 'local'

/** What is wrong with the name of a user, or undefined. It stands before a `/` in the names of sessions, and so has none. */
export function userNameFlaw(name: string): string | undefined {
  if (name === localUser) return `${localUser} is the user of the token in a state folder`
  if (userPattern.test(name) && utf8Bytes(name) <= limits.userNameBytesMax) return undefined
  return `${JSON.stringify(name)} is no name of a user: letters, digits and . _ @ + - only, at most ${limits.userNameBytesMax} bytes`
}

function utf8Bytes(text: string): number {
  return Buffer.byteLength(text)
}

/** True for a text that can be the id of a token. */
export function isTokenId(id: string): boolean {
  return tokenIdPattern.test(id)
}

/** A token as its user gets it; `secret`: 256 random bits, as base64url. */
export function tokenText(id: string, secret: string): string {
  return `cox_${id}_${secret}`
}

/** The id in the text of a token, or undefined where the text is none. */
export function tokenIdOf(text: string): string | undefined {
  return text.length <= limits.tokenBytesMax ? tokenPattern.exec(text)?.[1] : undefined
}

// Owns what is known of users: their roles, their scopes, and the digests of their tokens.
// Must not know how somebody comes: the shell compares digests.
import type { Scope, UserRole } from '../../protocol/index.ts'

/** A user and what it may do. */
export interface User {
  readonly name: string
  readonly role: UserRole
  readonly scope: Scope
  /** Cluster time since when it is so. */
  readonly setAtMs: number
  /** Ids of its tokens, the oldest first. */
  readonly tokens: Set<string>
}

/** A token, of which nobody but its user has the text. */
export interface UserToken {
  readonly id: string
  readonly user: string
  /** SHA-256 of the text, in hexadecimal: it holds 256 random bits, which nobody finds by trying. */
  readonly digest: string
  readonly createdAtMs: number
  /** Cluster time from which on it proves nothing. */
  readonly expiresAtMs: number
}

/** All users and tokens. */
export interface Access {
  readonly users: Map<string, User>
  readonly tokens: Map<string, UserToken>
}

export function createAccess(): Access {
  return { users: new Map(), tokens: new Map() }
}

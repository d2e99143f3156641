// Owns what a link to the leader is made with, and what its owner is told.
// Must not dial.
import type { Cancel } from '../platform/index.ts'
import type { CoxswainError, LeaderToClient } from '../protocol/index.ts'

/** Where the leader is, and what proves who we are. */
export interface Endpoint {
  address: string
  token: string
}

/** What a link is made with. */
export interface LinkOptions {
  /** Asked at each dial, because a leader that starts anew has another address. */
  endpoint(): Promise<Endpoint>
  /** A leader welcomed this client there, or a standby says that the leader is there. */
  leads?(address: string): void
  name: string
  /** For the first connection. */
  connectTimeoutMs: number
  /** For each later one. */
  reconnectTimeoutMs: number
  /** Keeps the process alive while there is no socket that does. */
  keepAlive(): Cancel
}

/** What the owner of a link is told. */
export interface LinkHandlers {
  /** Welcomed, for the first time or again. */
  opened(): void
  message(message: LeaderToClient): void
  /** For good. */
  ended(error: CoxswainError): void
}

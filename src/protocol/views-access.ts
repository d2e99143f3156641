// Owns the answers about users and about the audit log, as CLI and SDK get them (JSON on the wire).
// Must not hold how they are computed: that is core/views and the leader's.
import type { NodeRole, UserRole } from './principal.ts'

/** A token of a user, without its secret. */
export interface TokenView {
  id: string
  /** Cluster time, milliseconds since 1970. */
  createdAtMs: number
  expiresAtMs: number
  expired: boolean
}

/** A user, what it may do, and its tokens. */
export interface UserView {
  name: string
  role: UserRole
  /** Empty lists leave nothing out. */
  jobPrefixes: string[]
  labels: string[]
  setAtMs: number
  tokens: TokenView[]
}

/** Who asks, as the leader knows it. */
export interface WhoView {
  kind: 'user' | 'node'
  name: string
  roles: (UserRole | NodeRole)[]
  jobPrefixes: string[]
  labels: string[]
  /** What proved it: the id of a token, the serial number of a certificate, or `local`. */
  credential: string
}

/** Calls of one kind about one thing, of one connection within one second: one line of the audit log. */
export interface AuditEntry {
  /** Wall time of the first of them, as ISO 8601. */
  time: string
  /** Name of the user or node; empty where nobody was proved to be anybody. */
  who: string
  credential: string
  /** The address it came from. */
  from: string
  /** The kind of the message, or `connect`. */
  what: string
  /** Id of the job, user, token, worker, schedule, …; empty where it is about nothing in particular. */
  id: string
  /** `ok`: done. `denied`: not allowed. `refused`: allowed and not possible. `unanswered`: the connection ended first. */
  outcome: 'ok' | 'denied' | 'refused' | 'unanswered'
  /** The error's code, empty where it was done. */
  code: string
  /** How many there were. */
  count: number
  /** The candidate that wrote it, its epoch, and the index of the journal at that time. */
  leader: string
  epoch: number
  index: number
}

/** Argument of `audit`: all conditions hold together. */
export interface AuditQuery {
  denied?: boolean
  user?: string
  /** Milliseconds since 1970. */
  sinceMs?: number
  /** At most so many, the newest; 100 by default, 10,000 at most. */
  limit?: number
}

/** Whether the lines of the audit log are those that were written, one behind the other. */
export interface AuditCheck {
  files: number
  lines: number
  /** What is wrong, each with its file and line. */
  problems: string[]
}

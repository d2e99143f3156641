// Owns users and their tokens, and the audit log, as an admin of the cluster sees them.
// Must not keep a token: it is handed to its asker, once.
import {
  type AuditCheck,
  type AuditEntry,
  type AuditQuery,
  CoxswainError,
  limits,
  type UserRole,
  type UserView,
  type Views,
  type WhoView,
} from '../protocol/index.ts'
import { type Duration, durationMs } from './amounts.ts'
import type { Parts } from './parts.ts'

/** What a user is to be. */
export interface UserOptions {
  role: UserRole
  /** Only jobs whose names begin with one of these; for viewers and submitters. */
  jobs?: readonly string[]
  /** Only jobs that have one of these labels; for viewers and submitters. */
  labels?: readonly string[]
  /** Changes a user that there is already. */
  replace?: boolean
}

/** A token as it is told, once. */
export interface IssuedToken {
  id: string
  /** What the user shows: nobody can be told it again. */
  token: string
  /** Milliseconds since 1970. */
  expiresAtMs: number
}

const tokenTtlDefault = '90d'
const idCharacters = 12

/** Users, their tokens and the audit log: all of it needs the role admin, but `whoAmI`. */
export class Access {
  readonly #parts: Parts

  /** @internal Made by `connect`. */
  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** Makes a user, or with `replace` changes one; resolves when that is durable. Rejects with USER_EXISTS or INVALID_ARGUMENT. */
  async setUser(user: string, { role, jobs = [], labels = [], replace = false }: UserOptions): Promise<void> {
    const scope = { jobPrefixes: [...jobs], labels: [...labels] }
    await this.#parts.session.request({ kind: 'setUser', user, role, scope, replace })
  }

  /** Deletes a user with all its tokens, and ends its connections; resolves when that is durable. */
  async deleteUser(user: string): Promise<void> {
    await this.#parts.session.request({ kind: 'deleteUser', user })
  }

  /** Makes a token of a user, which is good for so long, 90 days by default. */
  async issueToken(user: string, options: { expires?: Duration } = {}): Promise<IssuedToken> {
    const id = this.#parts.platform.random.uuid().replaceAll('-', '').slice(0, idCharacters)
    const ttlMs = durationMs(options.expires ?? tokenTtlDefault, 'expires', 'INVALID_ARGUMENT', limits.tokenTtlMsMax)
    const reply = await this.#parts.session.request({ kind: 'issueToken', token: id, user, ttlMs })
    if (reply.kind !== 'tokenIssued') throw new CoxswainError('FRAME_MALFORMED', 'The leader gave an answer of another kind.')
    return { id, token: reply.token, expiresAtMs: reply.expiresAtMs }
  }

  /** Makes a token worth nothing, and ends the connections that were made with it; resolves when that is durable. */
  async revokeToken(token: string): Promise<void> {
    await this.#parts.session.request({ kind: 'revokeToken', token })
  }

  /** All users with their tokens, without the secrets of these. */
  users(): Promise<UserView[]> {
    return this.#ask('users', {})
  }

  /** Who the cluster takes this client for. */
  whoAmI(): Promise<WhoView> {
    return this.#ask('whoami', {})
  }

  /** Lines of the audit log of the leader's machine that match, oldest first. */
  audit(query: AuditQuery = {}): Promise<AuditEntry[]> {
    return this.#ask('audit', query)
  }

  /** Whether all lines of the audit log are those that were written. */
  checkAudit(): Promise<AuditCheck> {
    return this.#ask('auditCheck', {})
  }

  async #ask<View extends keyof Views>(view: View, argument: Views[View]['argument']): Promise<Views[View]['answer']> {
    const reply = await this.#parts.session.request({ kind: 'ask', view, argument: JSON.stringify(argument) })
    return JSON.parse(reply.kind === 'view' ? reply.body : 'null') as Views[View]['answer']
  }
}

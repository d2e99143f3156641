// Owns what can be asked and changed about the nodes of a cluster of several machines. Must not hold keys.
import { CoxswainError, type LeaderToClient, type NodeRole, type NodesView } from '../protocol/index.ts'
import { type Duration, durationMs } from './amounts.ts'
import type { Parts } from './parts.ts'

/** For whom a join token is good. */
export interface JoinTokenOptions {
  /** What joins with it: `worker` by default. */
  role?: NodeRole
  /** For how many machines: one by default. */
  uses?: number
  /** How long it is good: an hour by default, 30 days at most (as text 24). */
  expires?: Duration
}

/** A join token in its parts: `cox cluster token` makes one word of it. Whoever has it may join. */
export type JoinTokenParts = Omit<Extract<LeaderToClient, { kind: 'joinToken' }>, 'kind' | 'request'>

const expiresDefault = '1h'

/** The nodes of a cluster of several machines. In a cluster of one machine all of it rejects with NOT_ENROLLED, but `view`. */
export class Nodes {
  readonly #parts: Parts

  /** @internal Made by `connect`. */
  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** Nodes, authorities and open join tokens. */
  async view(): Promise<NodesView> {
    const reply = await this.#parts.session.request({ kind: 'ask', view: 'nodes', argument: '{}' })
    return JSON.parse(reply.kind === 'view' ? reply.body : 'null') as NodesView
  }

  /** A new join token. Its secret is told here and never again. */
  async makeToken(options: JoinTokenOptions = {}): Promise<JoinTokenParts> {
    const { role = 'worker', uses = 1, expires = expiresDefault } = options
    const expiresInMs =
      typeof expires === 'number' && Number.isSafeInteger(expires) && expires >= 0
        ? expires
        : durationMs(expires, 'expires', 'INVALID_ARGUMENT')
    if (!Number.isInteger(uses) || uses < 1)
      throw new CoxswainError('INVALID_ARGUMENT', `uses is ${uses}: it must be a whole number from 1.`, { id: 'uses' })
    const reply = await this.#parts.session.request({ kind: 'makeJoinToken', role, uses, expiresInMs })
    if (reply.kind !== 'joinToken') throw new CoxswainError('FRAME_MALFORMED', 'The leader answered something else.')
    const { kind: _kind, request: _request, ...parts } = reply
    return parts
  }

  /** None of its certificates counts any more, and its connections end. Rejects with NOT_FOUND. */
  async revoke(node: string): Promise<void> {
    await this.#parts.session.request({ kind: 'revokeNode', node })
  }

  /** Begins to replace the authority: the new one is believed by all, then signs, then the old one goes. `view` tells how far that is. */
  async rotateAuthority(): Promise<void> {
    await this.#parts.session.request({ kind: 'rotateAuthority' })
  }
}

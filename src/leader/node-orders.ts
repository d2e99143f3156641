// Owns what clients ask about nodes: a join token, a revocation, another authority. Must not decide: that is core's.
import { type ClientToLeader, CoxswainError, type LeaderToClient } from '../protocol/index.ts'
import type { LeaderContext } from './context.ts'

/** The messages that are answered here. */
export type NodeOrder = Extract<ClientToLeader, { kind: 'makeJoinToken' | 'revokeNode' | 'rotateAuthority' }>

/** Does what is asked, and resolves with the answer once it is durable; rejects with why it cannot be. */
export function nodeOrder({ office, enrolment }: LeaderContext, message: NodeOrder): Promise<LeaderToClient> {
  const { request } = message
  return new Promise((resolve, reject) => {
    const answered = (error: CoxswainError | undefined): void => (error ? reject(error) : resolve({ kind: 'done', request }))
    if (!office || !enrolment) answered(new CoxswainError('NOT_ENROLLED', 'This is a cluster of one machine: it has no authority.'))
    else if (message.kind === 'revokeNode') office.revoke(message.node, answered)
    else if (message.kind === 'rotateAuthority') void office.rotate(answered)
    else enrolment.makeToken(message, made => (made instanceof CoxswainError ? reject(made) : resolve(made)))
  })
}

// Owns asking for a lock on behalf of a client. Must not decide who is granted it: that is core's.
import type { ClientToLeader, CoxswainError } from '../protocol/index.ts'
import { scopeOf } from './access/scoped.ts'
import type { LeaderContext } from './context.ts'
import type { ClientLink } from './links.ts'

type Asked = Extract<ClientToLeader, { kind: 'lock' }>

/** Answered in its turn, by the outbox; here only where it is granted already. */
export function askForLock(context: LeaderContext, link: ClientLink, asked: Asked, failed: (error: CoxswainError) => void): void {
  const { request, grant, lock, mode, permits, ttlMs } = asked
  const { session, lockRequests } = link
  context.grants.heard(session)
  lockRequests.set(grant, request)
  context.loop.post({
    scope: scopeOf(link.principal),
    command: { kind: 'lock', grant, lock, session, mode, permits, ttlMs },
    bytes: 0,
    reply: reply => {
      if (reply.kind === 'asked' && reply.token > 0) context.links.granted(session, grant, reply.token)
      if (reply.kind !== 'refused') return
      lockRequests.delete(grant)
      failed(reply.error)
    },
  })
}

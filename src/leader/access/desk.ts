// Owns the calls by which users and tokens are changed: it makes the secrets, and sends away who has no right to be there any more.
// Must not keep a secret: it is told once, and only its digest is recorded.
import { createHash } from 'node:crypto'
import type { Command, Reply } from '../../core/index.ts'
import { type ClientToLeader, CoxswainError, type Principal, tokenText } from '../../protocol/index.ts'
import type { LeaderContext } from '../context.ts'
import type { ClientLink } from '../links.ts'
import { wireError } from '../refusals.ts'

/** Random ids that go into a secret: each has 122 random bits, and a secret 256. */
const secretParts = 3

/** 256 random bits. */
function newSecret({ platform }: LeaderContext): string {
  const parts = Array.from({ length: secretParts }, () => platform.random.uuid())
  return createHash('sha256').update(parts.join()).digest('base64url')
}

/** A message about users. */
export type AccessMessage = Extract<ClientToLeader, { kind: 'setUser' | 'deleteUser' | 'issueToken' | 'revokeToken' }>

/** True for a message about users. */
export function isAccessMessage(message: ClientToLeader): message is AccessMessage {
  const { kind } = message
  return kind === 'setUser' || kind === 'deleteUser' || kind === 'issueToken' || kind === 'revokeToken'
}

/** Does what the message asks for, answers when that is durable, and ends in the same moment the connections that it concerns. */
export function changeAccess(context: LeaderContext, link: ClientLink, message: AccessMessage): void {
  const { request } = message
  const post = (command: Command, answer: (reply: Reply) => void, concerns: (principal: Principal) => boolean, why: string): void =>
    context.loop.post({
      command,
      bytes: 0,
      reply: reply => {
        if (reply.kind === 'refused') return link.send({ kind: 'failed', request, error: wireError(reply.error) })
        answer(reply)
        expel(context, concerns, why)
      },
    })
  const done = (): void => link.send({ kind: 'done', request })
  switch (message.kind) {
    case 'setUser': {
      const { user, role, scope, replace } = message
      // Who is what it was before stays.
      const known = context.state.access.users.get(user)
      const isOld = (principal: Principal): boolean => isUser(principal, user) && known !== context.state.access.users.get(user)
      return post({ kind: 'setUser', spec: { user, role, scope }, replace }, done, isOld, 'its user was changed')
    }
    case 'deleteUser':
      return post({ kind: 'deleteUser', user: message.user }, done, one => isUser(one, message.user), 'its user was deleted')
    case 'revokeToken': {
      const { token } = message
      return post({ kind: 'revokeToken', token }, done, one => one.credential === token, 'its token was revoked')
    }
    case 'issueToken': {
      const { token, user, ttlMs } = message
      const text = tokenText(token, newSecret(context))
      const digest = createHash('sha256').update(text).digest('hex')
      const tell = (reply: Reply): void => {
        if (reply.kind === 'issued') link.send({ kind: 'tokenIssued', request, token: text, expiresAtMs: reply.expiresAtMs })
      }
      return post({ kind: 'issueToken', token, user, digest, ttlMs }, tell, one => one.credential === token, 'its token has another secret')
    }
  }
}

function isUser(principal: Principal, name: string): boolean {
  return principal.kind === 'user' && principal.name === name
}

/** Ends the connections of those that this is about. */
function expel({ links }: LeaderContext, concerns: (principal: Principal) => boolean, why: string): void {
  const { message } = new CoxswainError('UNAUTHENTICATED', why)
  for (const link of [...links.clients]) if (concerns(link.principal)) link.connection.close(`UNAUTHENTICATED: ${message}`)
}

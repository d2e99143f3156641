// Owns secrets on their way through the leader: sealed before they become facts, opened for a worker that may have one.
// Must not keep, log or tell what is in one.
import { secretFor } from '../core/index.ts'
import { CoxswainError, type Sealer, type WorkerToLeader } from '../protocol/index.ts'
import type { LeaderContext } from './context.ts'
import type { WorkerLink } from './links.ts'

/** Seals secrets so that only candidates can open them. */
export type SecretSealer = Pick<Sealer, 'seal' | 'open'>

function sealerOf({ sealer }: LeaderContext, secret: string): SecretSealer {
  if (sealer) return sealer
  throw new CoxswainError('SECRETS_UNAVAILABLE', `The candidate that leads has no key to keep the secret ${secret} with.`, { id: secret })
}

function about({ state }: LeaderContext, secret: string): string {
  return `secret/${state.cluster}/${secret}`
}

/** The secret as it may become a fact. Throws SECRETS_UNAVAILABLE. */
export function sealedSecret(context: LeaderContext, secret: string, value: Uint8Array): Uint8Array {
  return sealerOf(context, secret).seal(value, about(context, secret))
}

/** Answers a worker that asks for a secret, once all that the answer rests on is durable. */
export function answerSecret(context: LeaderContext, link: WorkerLink, asked: Extract<WorkerToLeader, { kind: 'getSecret' }>): void {
  const { request, secret: name } = asked
  try {
    const secret = secretFor(context.state, link.id, asked)
    const value = sealerOf(context, name).open(secret.sealed, about(context, name))
    if (value === undefined) throw new CoxswainError('JOURNAL_CORRUPT', `The secret ${name} is not what was sealed.`, { id: name })
    context.loop.whenDurable(() => link.send({ kind: 'secret', request, value, code: '', message: '' }))
  } catch (error) {
    if (!(error instanceof CoxswainError)) throw error
    const { code, message } = error
    context.platform.log('warn', 'secret-refused', { worker: link.id, job: asked.job, secret: name, code })
    link.send({ kind: 'secret', request, value: undefined, code, message })
  }
}

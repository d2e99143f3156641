// Owns what follows when a lock is asked for or given back, or a session is not heard any more. Must not write state.
import { CoxswainError, type JournalRecord, OverloadedError, limits as wire } from '../../protocol/index.ts'
import { answer, type CommandOf, type Decision, refuse } from '../commands.ts'
import type { CoreLimits } from '../limits.ts'
import type { State } from '../state.ts'

const retryAfterMs = 100

export function decideLock(state: State, command: CommandOf<'lock'>, limits: CoreLimits): Decision {
  const { kind: _, ...asked } = command
  const { grants } = state
  const known = grants.byId.get(asked.grant)
  if (known) return answer({ kind: 'asked', token: known.token })
  if (grants.expired.has(asked.grant)) return refuse(lost(asked.grant))
  const flaw = lockFlaw(asked)
  if (flaw !== undefined) return refuse(new CoxswainError('INVALID_ARGUMENT', `Lock ${asked.lock}: ${flaw}.`, { id: asked.lock }))
  const other = grants.locks.get(asked.lock)
  if (other && other.permits !== asked.permits) {
    const what = (permits: number): string => (permits === 0 ? 'a lock' : `a semaphore of ${permits}`)
    return refuse(
      new CoxswainError('LIMIT_CONFLICT', `${asked.lock} is ${what(other.permits)}, and was asked for as ${what(asked.permits)}.`, {
        id: asked.lock,
      }),
    )
  }
  if (grants.byId.size >= limits.grantsMax)
    return refuse(new OverloadedError(`The cluster holds its limit of ${limits.grantsMax} grants of locks.`, { retryAfterMs }))
  return { records: [{ kind: 'LockAsked', ...asked }], payloads: [], reply: { kind: 'asked', token: 0 } }
}

function lockFlaw({ lock, mode, permits, ttlMs }: { lock: string; mode: string; permits: number; ttlMs: number }): string | undefined {
  if (lock === '') return 'it has no name'
  if ((mode === 'permit') !== permits > 0) return mode === 'permit' ? 'a semaphore has at least one permit' : 'only a semaphore has permits'
  if (ttlMs < wire.lockTtlMsMin || ttlMs > wire.lockTtlMsMax)
    return `its ttl is ${ttlMs} ms, and must be from ${wire.lockTtlMsMin} to ${wire.lockTtlMsMax}`
  return undefined
}

/** What is said to who believes in a grant that is over. */
export function lost(grant: string): CoxswainError {
  return new CoxswainError(
    'LOCK_LOST',
    `The grant ${grant} is over: it was given back, or nothing was heard of its session for its time.`,
    { id: grant },
  )
}

export function decideUnlock(state: State, command: CommandOf<'unlock'>): Decision {
  const { grants } = state
  const grant = grants.byId.get(command.grant)
  if (grant && grant.session !== command.session)
    return refuse(new CoxswainError('FORBIDDEN', `The grant ${command.grant} is another session's.`, { id: command.grant }))
  if (grant) return { records: [{ kind: 'GrantEnded', grant: grant.id, reason: 'released' }], payloads: [], reply: { kind: 'done' } }
  return grants.expired.has(command.grant) ? refuse(lost(command.grant)) : answer({ kind: 'done' })
}

/** Nothing was heard of the session for this long: its grants whose time that is end, and its places in lines. */
export function decideExpireGrants(state: State, command: CommandOf<'expireGrants'>): Decision {
  const records: JournalRecord[] = []
  for (const grant of state.grants.bySession.get(command.session) ?? [])
    if (grant.ttlMs <= command.silentMs) records.push({ kind: 'GrantEnded', grant: grant.id, reason: 'expired' })
  return { records, payloads: [], reply: { kind: 'done' } }
}

// Owns the translation of PostgreSQL's and the network's errors into ours, and which of them leave an outcome unknown.
// Must not decide what a failed store does next.
import { CoxswainError, type ErrorCode } from '../../protocol/errors.ts'

/** The state of an error as the server names it (five characters), or the code of the system; empty without one. */
export function stateOf(error: unknown): string {
  const code = (error as { code?: unknown } | undefined)?.code
  return typeof code === 'string' ? code : ''
}

/** States with which a server refuses what would have to be corrected by somebody: rights, names, passwords, tables of another shape. */
const toBeCorrected = new Set(['42501', '28P01', '28000', '3D000', '3F000', '42P01', '42883', '42703', '0A000'])
/** A wait for a lock was over its limit. */
export const lockNotAvailable = '55P03'
/** What our own functions raise where the epoch does not lead any more. */
export const fencedState = 'CX001'
/** What was sent was rolled back, and may be sent again: cancelled, deadlock, no serial order, no lock in time. */
const rolledBack = new Set(['57014', '40P01', '40001', lockNotAvailable])

/** What the client says of a server that does not show who it is: in the code of TLS, or in words where there was no TLS at all. */
const distrusted = /^(ERR_TLS|ERR_SSL|CERT_|SELF_SIGNED|DEPTH_ZERO|UNABLE_TO_)/
const withoutTls = /does not support SSL/

function words(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(words).join('; ')
  return error instanceof Error ? error.message : String(error)
}

/** States in which a server ends, refuses or cannot keep a connection, or takes no writes now: another connection may do. */
const passing = /^(08...|57P..|53300|25006)$/

/** True where the server said no, its session goes on, and nothing was changed. By states alone: words and even severities are in its own language. */
export function isRefusal(error: unknown): boolean {
  const state = stateOf(error)
  const { severity } = error as { severity?: unknown }
  return typeof severity === 'string' && !rolledBack.has(state) && !passing.test(state)
}

/** True where the server took back what was sent: it may be sent again, there or elsewhere. */
function isRolledBack(error: unknown): boolean {
  return rolledBack.has(stateOf(error))
}

/** True where what was asked may be asked again on another connection: this one is gone, or its server is starting or stopping. */
export function isConnectionFault(error: unknown): boolean {
  if (error instanceof CoxswainError) return error.code === 'JOURNAL_UNAVAILABLE'
  return !isRefusal(error) && !isRolledBack(error)
}

/** Turns an error met while doing `what` into ours. */
export function fault(error: unknown, code: ErrorCode, what: string): CoxswainError {
  if (error instanceof CoxswainError) return error
  const state = stateOf(error)
  const correct = toBeCorrected.has(state) || distrusted.test(state) || withoutTls.test(words(error))
  const ours = correct ? 'JOURNAL_UNUSABLE' : state.startsWith('XX00') ? 'JOURNAL_CORRUPT' : code
  const hint = state === '42501' ? ' The user must be the owner of the schema.' : ''
  return new CoxswainError(ours, `${what}: ${words(error)}.${hint}`, { cause: error })
}

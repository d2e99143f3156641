// Owns the translation of SQLite's and the file system's errors into ours, and their way between threads.
// Must not decide what a failed store does next.
import { CoxswainError, type ErrorCode, OverloadedError } from '../../protocol/errors.ts'

/** An error as it travels between threads. */
export interface WireError {
  code: ErrorCode | 'BROKEN'
  message: string
  id?: string
}

const sqliteBusy = 5
const sqliteNoMemory = 7
const sqliteCorrupt = 11
const sqliteNotADatabase = 26

/** SQLite's primary result code, or undefined if the error is not from SQLite. */
function sqliteCode(error: unknown): number | undefined {
  const code = (error as { errcode?: unknown }).errcode
  return typeof code === 'number' ? code & 0xff : undefined
}

/** True where another connection holds the lock. */
export function isBusy(error: unknown): boolean {
  return sqliteCode(error) === sqliteBusy
}

/** What the system said, with its code where it has one. */
function systemWords(error: unknown): string {
  const { message, errstr } = error as { message?: string; errstr?: string }
  return errstr !== undefined && errstr !== message ? `${errstr} (${message})` : (message ?? String(error))
}

/** Turns an error met while doing `what` into ours: damage is JOURNAL_CORRUPT, all else has the given code. */
export function fault(error: unknown, code: ErrorCode, what: string): CoxswainError {
  if (error instanceof CoxswainError) return error
  const primary = sqliteCode(error)
  const damaged = primary === sqliteCorrupt || primary === sqliteNotADatabase
  return new CoxswainError(damaged ? 'JOURNAL_CORRUPT' : code, `${what}: ${systemWords(error)}.`, { cause: error })
}

/** What the system says when it has no descriptor or memory left just now. */
const scarce = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN'])

/** True where the system has none left just now: that says nothing about what is on the disk. */
export function isScarce(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException
  return code !== undefined && scarce.has(code)
}

/**
 * Turns an error met while reading into ours: what is only scarce may be asked again; what else the system says means that the bytes cannot be had.
 * An error of our own making stays what it is.
 */
export function readFault(error: unknown, folder: string): unknown {
  const primary = sqliteCode(error)
  const { code } = error as NodeJS.ErrnoException
  if (primary === sqliteBusy || primary === sqliteNoMemory || isScarce(error)) {
    return new OverloadedError(`The journal in ${folder} was not read: ${systemWords(error)}.`, { cause: error })
  }
  return code === undefined ? error : fault(error, 'JOURNAL_CORRUPT', `The journal in ${folder} was not read`)
}

/** For another thread. */
export function toWire(error: unknown): WireError {
  if (error instanceof CoxswainError) {
    return { code: error.code, message: error.message, ...(error.id === undefined ? {} : { id: error.id }) }
  }
  return { code: 'BROKEN', message: error instanceof Error ? (error.stack ?? error.message) : String(error) }
}

/** From another thread. */
export function fromWire({ code, message, id }: WireError): Error {
  if (code === 'BROKEN') return new Error(message)
  const details = id === undefined ? {} : { id }
  return code === 'OVERLOADED' ? new OverloadedError(message, details) : new CoxswainError(code, message, details)
}

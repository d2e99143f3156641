// Owns the lines that a node process tells its supervisor on stdout: that it is ready, or why it cannot be.
// Must not carry secrets or logs.
import { CoxswainError, isErrorCode } from '../../protocol/errors.ts'

/** What a node process tells its supervisor. */
export type Announcement = { ready: Record<string, unknown> } | { failed: { code: string; message: string; id?: string } }

/** Tells the supervisor. */
export function announce(announcement: Announcement): void {
  process.stdout.write(`${JSON.stringify(announcement)}\n`)
}

/** The announcement of an error. */
export function failure(error: unknown): Announcement {
  if (error instanceof CoxswainError)
    return { failed: { code: error.code, message: error.message, ...(error.id === undefined ? {} : { id: error.id }) } }
  return { failed: { code: 'INTERNAL', message: error instanceof Error ? (error.stack ?? error.message) : String(error) } }
}

/** The announcement in a line, or undefined if the line is something else. */
export function parseAnnouncement(line: string): Announcement | undefined {
  if (!line.startsWith('{')) return undefined
  try {
    const parsed = JSON.parse(line) as Partial<{ ready: unknown; failed: unknown }>
    return typeof parsed.ready === 'object' || typeof parsed.failed === 'object' ? (parsed as Announcement) : undefined
  } catch {
    return undefined
  }
}

/** The announced failure as an error again. */
export function announcedError(failed: { code: string; message: string; id?: string }): Error {
  const details = failed.id === undefined ? {} : { id: failed.id }
  return isErrorCode(failed.code) ? new CoxswainError(failed.code, failed.message, details) : new Error(failed.message)
}

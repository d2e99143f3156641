// Owns how a line of the audit log is written, and how each holds the one before it: SHA-256 over that one's bytes.
// Must not know files.
import { createHash } from 'node:crypto'

/** What stands before the first line of all. */
export const noLine = '0'.repeat(64)

/** Control characters that JSON leaves as they are, and marks that turn the direction of text. */
const harmful = /[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g

/** The hash of a line, without its line end. */
export function hashOf(line: string): string {
  return createHash('sha256').update(line).digest('hex')
}

/** The text of a line, without its line end. */
export function lineOf(fields: Record<string, unknown>, previous: string): string {
  const text = JSON.stringify({ ...fields, previous })
  return text.replace(harmful, character => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** The fields of a line, or undefined where it is none. */
export function fieldsOf(line: string): Record<string, unknown> | undefined {
  try {
    const fields: unknown = JSON.parse(line)
    return typeof fields === 'object' && fields !== null && !Array.isArray(fields) ? (fields as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

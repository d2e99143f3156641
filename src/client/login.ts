// Owns what `cox login` keeps in the state folder: which cluster this user works with, and where the token for it is.
// Must not know how the file is written: the command does.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** A cluster elsewhere, as it was logged in to. */
export interface Login {
  url: string
  /** The certificates of its authority, as PEM; missing where the system's are right. */
  ca?: string
}

/** Where the token of the login is. */
export function loginTokenPath(folder: string): string {
  return join(folder, 'tokens', 'login')
}

/** The login of a state folder, or undefined. */
export function readLogin(folder: string): Login | undefined {
  try {
    const { url, ca } = JSON.parse(readFileSync(join(folder, 'login.json'), 'utf8')) as { url?: unknown; ca?: unknown }
    return typeof url === 'string' ? { url, ...(typeof ca === 'string' && { ca }) } : undefined
  } catch {
    return undefined
  }
}

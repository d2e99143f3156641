// Owns where the CLI keeps what it can make again at any time (compiled modules).
// Must not hold anything that somebody would miss.
import { homedir } from 'node:os'
import { join } from 'node:path'

/** The folder of Node's compile cache: this user's own, because a shared one could be written by others. */
export function compileCacheFolder(): string {
  if (process.env.NODE_COMPILE_CACHE) return process.env.NODE_COMPILE_CACHE
  const base = process.env.XDG_CACHE_HOME || join(homedir(), '.cache')
  return join(base, 'coxswain', 'compiled')
}

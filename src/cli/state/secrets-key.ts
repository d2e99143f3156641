// Owns the key with which a cluster of one machine keeps its secrets: a file that only its user can read.
// Must not be used where candidates run on several machines: they need the same key, and its owner gives it to them.
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Home, onHome } from './home.ts'

const keyBytes = 32

/** The file with the key, made if it is not there. */
export function ensureSecretsKey(home: Home): string {
  const path = join(home.tokens, 'secrets.key')
  onHome(home.path, () => {
    mkdirSync(home.tokens, { recursive: true, mode: 0o700 })
    if (existsSync(path)) return
    const temporary = `${path}.${process.pid}.tmp`
    writeFileSync(temporary, `${randomBytes(keyBytes).toString('base64')}\n`, { mode: 0o600 })
    renameSync(temporary, path)
  })
  return path
}

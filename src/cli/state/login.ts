// Owns writing what `cox login` keeps: readable by its user alone, whole or not at all.
// Must not look into the token.
import { chmodSync, existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { type Home, onHome } from './home.ts'

const ownerOnly = 0o700

function writePrivate(path: string, text: string): void {
  const temporary = `${path}.${process.pid}.tmp`
  writeFileSync(temporary, text, { mode: 0o600 })
  // The file may have been there with another mode.
  chmodSync(temporary, 0o600)
  renameSync(temporary, path)
}

/** A cluster elsewhere; `ca`: the certificates of its authority, as PEM. */
export interface Login {
  url: string
  ca?: string
}

/** From now on this user works with that cluster. */
export function writeLogin(home: Home, login: Login, token: string): void {
  onHome(home.path, () => {
    mkdirSync(home.tokens, { recursive: true, mode: ownerOnly })
    writePrivate(home.loginToken, token)
    writePrivate(home.login, `${JSON.stringify(login)}\n`)
  })
}

/** Nobody is logged in any more; false if nobody was. */
export function removeLogin(home: Home): boolean {
  const was = existsSync(home.login)
  onHome(home.path, () => {
    rmSync(home.login, { force: true })
    rmSync(home.loginToken, { force: true })
  })
  return was
}

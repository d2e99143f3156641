// Owns installing what a peer needs from the npm registry, once, by its name.
// Must not install anything into the project: it goes into the user's cache folder.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { runProgram } from '../program.ts'

const installTimeoutMs = 180_000

/** A folder of the user's cache that is this peer's. */
export function cacheFolder(peer: string): string {
  const folder = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'coxswain-bench', peer)
  mkdirSync(folder, { recursive: true })
  return folder
}

/** The folder in which these packages are installed. */
export async function installed(peer: string, packages: readonly string[]): Promise<string> {
  const folder = cacheFolder(peer)
  const stamp = join(folder, 'installed.json')
  const wanted = JSON.stringify(packages)
  // Written when all of it is there: half an install is done again, and so is one of other versions.
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return folder
  writeFileSync(join(folder, 'package.json'), '{ "private": true }\n')
  const options = ['--no-audit', '--no-fund', '--loglevel=error']
  await runProgram('npm', ['install', '--prefix', folder, ...options, ...packages], process.env, installTimeoutMs)
  writeFileSync(stamp, wanted)
  return folder
}

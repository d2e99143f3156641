// Owns the state folder: where it is, what lies where in it, and that only this user can look into it.
// Must not open anything below journal/: that is the journal's, and opening its files by other means drops their locks.
import { chmodSync, mkdirSync, type Stats, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { CoxswainError } from '../../protocol/errors.ts'

const ownerOnly = 0o700
const othersMask = 0o077

/** The state folder for these environment variables: COX_HOME, else the XDG state folder's `coxswain`. */
export function homePath(env: NodeJS.ProcessEnv = process.env): string {
  if (env.COX_HOME) return resolve(env.COX_HOME)
  return join(env.XDG_STATE_HOME || join(homedir(), '.local', 'state'), 'coxswain')
}

/** What lies where in a state folder. */
export class Home {
  readonly path: string

  constructor(path: string = homePath()) {
    this.path = resolve(path)
  }

  /** Where the leader says how to reach it. */
  get endpoint(): string {
    return join(this.path, 'cluster.json')
  }

  /** What the supervisor says about itself. */
  get up(): string {
    return join(this.path, 'up.json')
  }

  /** Which cluster elsewhere this user works with, and the token for it. */
  get login(): string {
    return join(this.path, 'login.json')
  }

  get loginToken(): string {
    return join(this.tokens, 'login')
  }

  get tokens(): string {
    return join(this.path, 'tokens')
  }

  /** Key, certificate and trust of this node, in a cluster of several machines. */
  get node(): string {
    return join(this.path, 'node')
  }

  get journal(): string {
    return join(this.path, 'journal')
  }

  get logs(): string {
    return join(this.path, 'logs')
  }

  /** What was denied or changed, a folder for each candidate. */
  get audit(): string {
    return join(this.path, 'audit')
  }

  /** The index that the demo wrote last. */
  get demoIndex(): string {
    return join(this.path, 'demo-index.jsonl')
  }

  worker(name: string): string {
    return join(this.path, 'workers', name)
  }
}

/** The error for a state folder that cannot be used, saying what and why. */
export function unusable(path: string, why: string, cause?: unknown): CoxswainError {
  return new CoxswainError('STATE_FOLDER_UNUSABLE', `The state folder ${path} cannot be used: ${why}.`, { id: path, cause })
}

const reasons: Record<string, string> = {
  EACCES: 'no permission',
  EPERM: 'not permitted',
  EROFS: 'its file system is read-only',
  ENOSPC: 'its disk is full',
  EDQUOT: 'the disk quota is used up',
  ENOTDIR: 'a part of its path is not a folder',
  EEXIST: 'it is not a folder',
  ELOOP: 'its path is a loop of links',
  ENAMETOOLONG: 'its path is too long',
  EIO: 'its disk reports an error',
}

/** Runs a step on the state folder and turns the system's error into STATE_FOLDER_UNUSABLE. */
export function onHome<T>(path: string, step: () => T): T {
  try {
    return step()
  } catch (error) {
    if (error instanceof CoxswainError) throw error
    const { code = '', message } = error as NodeJS.ErrnoException
    throw unusable(path, reasons[code] ?? message, error)
  }
}

function checkOwner(path: string, stat: Stats): void {
  const user = process.geteuid?.()
  if (user !== undefined && stat.uid !== user) throw unusable(path, `it belongs to user ${stat.uid}, and this is user ${user}`)
}

/** Makes the state folder, or checks the one that is there: ours, a folder, closed to others (our own is closed if it was open). */
export function prepareHome(home: Home): void {
  onHome(home.path, () => {
    mkdirSync(home.path, { recursive: true, mode: ownerOnly })
    const stat = statSync(home.path)
    if (!stat.isDirectory()) throw unusable(home.path, 'it is not a folder')
    checkOwner(home.path, stat)
    if ((stat.mode & othersMask) !== 0) chmodSync(home.path, ownerOnly)
    for (const folder of [home.tokens, home.journal, home.logs]) {
      mkdirSync(folder, { recursive: true, mode: ownerOnly })
      checkOwner(folder, statSync(folder))
    }
  })
}

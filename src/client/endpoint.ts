// Owns finding the leader: an address that is named, or the file in the state folder that the leader of this machine writes.
// Must not start anything.
import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { CoxswainError, Roster } from '../protocol/index.ts'
import type { Endpoint } from './link-options.ts'
import { loginTokenPath, readLogin } from './login.ts'

/** Says where the leader is, as often as it is asked. */
export interface EndpointSource {
  endpoint(): Promise<Endpoint>
  /** A leader welcomed us there, or a standby says that the leader is there. */
  leads?(address: string): void
  /** Certificates of the authority that the cluster's are signed by, as PEM. */
  readonly ca?: string
}

/** The state folder: COX_HOME, else `coxswain` in the XDG state folder. */
export function homeFolder(): string {
  const { COX_HOME, XDG_STATE_HOME } = process.env
  if (COX_HOME) return resolve(COX_HOME)
  return join(XDG_STATE_HOME || join(homedir(), '.local', 'state'), 'coxswain')
}

async function readToken(path: string): Promise<string> {
  try {
    return (await readFile(path, 'utf8')).trim()
  } catch (error) {
    throw new CoxswainError('UNAUTHENTICATED', `The token in ${path} cannot be read: ${(error as Error).message}`, {
      id: path,
      cause: error,
    })
  }
}

/** Where the user's token comes from, the first that is there: the token, its file, COX_TOKEN_FILE, the state folder's own. */
export interface Credential {
  token?: string
  tokenFile?: string
}

function tokenOf(credential: Credential, folder: string): string | Promise<string> {
  return credential.token ?? readToken(credential.tokenFile ?? process.env.COX_TOKEN_FILE ?? join(folder, 'tokens', 'user'))
}

/** The leader that the options or the environment name, or undefined. */
export function namedEndpoint(options: { url?: string; ca?: string } & Credential): EndpointSource | undefined {
  const url = options.url ?? process.env.COX_URL
  if (!url) return undefined
  return { ...addressed(url, () => tokenOf(options, homeFolder())), ...(options.ca !== undefined && { ca: options.ca }) }
}

/** The cluster that this user is logged in to (`cox login`), or undefined. */
export function loginEndpoint(options: Credential): EndpointSource | undefined {
  const folder = homeFolder()
  const login = readLogin(folder)
  if (!login) return undefined
  const tokenFile = options.tokenFile ?? process.env.COX_TOKEN_FILE ?? loginTokenPath(folder)
  return { ...addressed(login.url, () => tokenOf({ ...options, tokenFile }, folder)), ...(login.ca !== undefined && { ca: login.ca }) }
}

function addressed(url: string, token: () => string | Promise<string>): EndpointSource {
  const roster = new Roster(url.split(',').map(one => leaderAddress(one.trim())))
  return {
    endpoint: async () => ({ address: roster.dial(), token: await token() }),
    leads: address => roster.leader(address),
  }
}

function leaderAddress(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  const scheme = parsed?.protocol.replace(/^http/, 'ws')
  if (!parsed || (scheme !== 'ws:' && scheme !== 'wss:')) {
    throw new CoxswainError('INVALID_ARGUMENT', `The url ${JSON.stringify(url)} is not an address like ws://127.0.0.1:4700.`, { id: url })
  }
  return `${scheme}//${parsed.host}${parsed.pathname === '/' ? '' : parsed.pathname}`
}

/** The cluster whose state is in this folder. */
export function folderEndpoint(folder: string, credential: Credential): EndpointSource {
  const { authorities } = (readJson(join(folder, 'cluster.json')) ?? {}) as { authorities?: string[] }
  // Where a candidate of this machine stands by, the leader is elsewhere.
  let hint: string | undefined
  return {
    ...(authorities && { ca: authorities.join('\n') }),
    leads: address => {
      hint = address
    },
    async endpoint() {
      let address: unknown
      try {
        address = (JSON.parse(await readFile(join(folder, 'cluster.json'), 'utf8')) as { address?: unknown }).address
      } catch (error) {
        throw new CoxswainError('UNAVAILABLE', `No leader has said where it is in ${folder}.`, { id: folder, cause: error })
      }
      const dialled = hint ?? String(address)
      hint = undefined
      return { address: dialled, token: await tokenOf(credential, folder) }
    },
  }
}

/** The cluster that is up in the state folder, or undefined. */
export function localEndpoint(credential: Credential): EndpointSource | undefined {
  const folder = homeFolder()
  const leader = readJson(join(folder, 'cluster.json')) as { address?: unknown; pid?: unknown } | undefined
  if (typeof leader?.address !== 'string') return undefined
  // A leader that is being started again has no process for a moment, but its supervisor has.
  const up = readJson(join(folder, 'up.json')) as { supervisor?: { pid?: unknown } } | undefined
  return lives(leader.pid) || lives(up?.supervisor?.pid) ? folderEndpoint(folder, credential) : undefined
}

function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch {
    return undefined
  }
}

function lives(pid: unknown): boolean {
  if (typeof pid !== 'number' || !Number.isInteger(pid) || pid <= 0) return false
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

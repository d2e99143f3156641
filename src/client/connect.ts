// Owns `connect`: which cluster it is, what proves who we are, and the parts of a connection.
// Must not speak the protocol: session.ts does.
import { join } from 'node:path'
import type { Platform } from '../platform/index.ts'
import { nodePlatform } from '../platform/node/index.ts'
import { CoxswainError } from '../protocol/index.ts'
import { type Duration, durationMs } from './amounts.ts'
import { Blocks } from './blocks/blocks.ts'
import { Cluster } from './cluster.ts'
import { executorMark } from './define.ts'
import { type EndpointSource, homeFolder, localEndpoint, loginEndpoint, namedEndpoint } from './endpoint.ts'
import { type LocalOptions, startLocal } from './local.ts'
import { type Parts, Plans } from './parts.ts'
import { orAborted } from './pause.ts'
import { Programs } from './programs/cache.ts'
import { Session } from './session.ts'
import { clientSecurity } from './trust.ts'

/** Options of `connect`. */
export interface ConnectOptions {
  /** Address of a leader, such as `ws://127.0.0.1:4700`, or of several candidates, with commas. Default: `COX_URL`, else the cluster of this machine. */
  url?: string
  /** The token itself. Default: from `tokenFile`. */
  token?: string
  /** File with the token. Default: `COX_TOKEN_FILE`, else the one in the state folder. */
  tokenFile?: string
  /** With `url`: certificates of the authority of a cluster of several machines, as PEM. `cox login` keeps them for those who name no `url`. */
  ca?: string
  /** What the cluster calls this client. */
  name?: string
  /** Gives up connecting. */
  signal?: AbortSignal
  /** How long to try. Default `'10s'`, and `'30s'` where a cluster is started. */
  timeout?: Duration
  /** How long calls wait for a cluster that went away. Default `'60s'`. */
  reconnectTimeout?: Duration
  /** Is told what a user should know, in one line. Default: written to stderr. */
  onNotice?: (text: string) => void
  /** About the cluster that is started where none is up; false: none is started, and `connect` rejects with NO_CLUSTER. */
  local?: LocalOptions | false
  /** Packages that are not bundled into programs: they must be installed on the workers. */
  external?: readonly string[]
}

const connectTimeoutMs = 10_000
const startTimeoutMs = 30_000
const reconnectTimeoutMs = 60_000
const keepAliveMs = 60_000

/**
 * Connects to a cluster: the one that `url` or `COX_URL` names, else the one that runs on this machine, else the one that `cox login` keeps,
 * else one that is started for the life of this process, which is said in one line.
 *
 * ```ts
 * await using cluster = await connect()
 * ```
 * Rejects with UNAVAILABLE, NO_CLUSTER, UNAUTHENTICATED, VERSION_MISMATCH, or CONNECT_WHILE_LOADING in a program on a worker.
 */
export async function connect(options: ConnectOptions = {}): Promise<Cluster> {
  if (Reflect.has(globalThis, executorMark)) {
    throw new CoxswainError('CONNECT_WHILE_LOADING', 'connect() was called by a program that runs on a worker, not by a client.')
  }
  const { signal } = options
  signal?.throwIfAborted()
  const source = namedEndpoint(options) ?? localEndpoint(options) ?? loginEndpoint(options)
  if (source) return open(options, source, connectTimeoutMs, async () => undefined)
  if (options.local === false) throw new CoxswainError('NO_CLUSTER', `No cluster is up in ${homeFolder()}.`, { id: homeFolder() })
  const timeoutMs = options.timeout === undefined ? startTimeoutMs : durationMs(options.timeout, 'timeout', 'INVALID_ARGUMENT')
  const notice = options.onNotice ?? ((text: string) => void process.stderr.write(`${text}\n`))
  notice('coxswain: no cluster is up, so one is started for the life of this process (`cox up` starts one that stays)')
  const local = await startLocal(options.local ?? {}, timeoutMs, signal)
  try {
    return await open(options, local, startTimeoutMs, () => local.stop())
  } catch (error) {
    await local.stop()
    throw error
  }
}

async function open(options: ConnectOptions, source: EndpointSource, timeoutMs: number, ended: () => Promise<void>): Promise<Cluster> {
  const platform = nodePlatform('client', 'error', source.ca === undefined ? undefined : clientSecurity(source.ca))
  const { timeout, reconnectTimeout } = options
  const session = new Session(
    {
      endpoint: () => source.endpoint(),
      leads: address => source.leads?.(address),
      name: options.name ?? 'client',
      connectTimeoutMs: timeout === undefined ? timeoutMs : durationMs(timeout, 'timeout', 'INVALID_ARGUMENT'),
      reconnectTimeoutMs:
        reconnectTimeout === undefined ? reconnectTimeoutMs : durationMs(reconnectTimeout, 'reconnectTimeout', 'INVALID_ARGUMENT'),
      keepAlive,
    },
    platform,
  )
  try {
    await orAborted(session.open(), options.signal)
  } catch (error) {
    session.close()
    throw error
  }
  const programs = new Programs(options.external ?? [], join(homeFolder(), 'cache', 'programs'))
  return clusterOf(platform, session, programs, ended)
}

/** @internal A cluster over an open session. */
export function clusterOf(platform: Platform, session: Session, programs: Programs, ended: () => Promise<void>): Cluster {
  const blocks = new Blocks(session, platform)
  const parts: Parts = { platform, clock: platform.clock, session, programs, blocks, plans: new Plans(programs) }
  return new Cluster(parts, async () => {
    session.close()
    blocks.close()
    await ended()
  })
}

/** Timers of the platform let the process end; while the connection is made anew, calls wait that must not be lost. */
function keepAlive(): () => void {
  const timer = setInterval(() => undefined, keepAliveMs)
  return () => clearInterval(timer)
}

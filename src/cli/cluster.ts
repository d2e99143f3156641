// Owns how a verb gets its cluster: the one it names, the one that runs on this machine, or (where it may) one for its own life.
// Must not know verbs.
import { existsSync } from 'node:fs'
import type { Command } from 'commander'
import type { Cluster, ConnectOptions } from '../client/index.ts'
import { CoxswainError } from '../protocol/index.ts'
import { durationArgument } from './arguments.ts'
import { interruption } from './interrupt.ts'
import { readEndpoint } from './state/endpoint.ts'
import { Home } from './state/home.ts'
import { lives } from './state/processes.ts'
import { liveSupervisor } from './state/up-file.ts'

/** Options of every verb that talks to a cluster. */
export interface ClusterOptions {
  url?: string
  tokenFile?: string
  connectTimeout: number
  json?: boolean
}

const connectTimeoutMs = 10_000

/** Adds these options to a verb. */
export function withClusterOptions(command: Command): Command {
  return command
    .option('--url <url>', 'the leader, such as ws://127.0.0.1:4700 (default: COX_URL, else the cluster of this machine)')
    .option('--token-file <file>', "file with the user's token (default: COX_TOKEN_FILE, else the state folder's)")
    .option('--connect-timeout <duration>', 'how long to try', durationArgument, connectTimeoutMs)
}

/** True if a leader is named, or one runs in the state folder. */
function clusterExists(options: ClusterOptions, home: Home): boolean {
  if (options.url ?? process.env.COX_URL) return true
  if (existsSync(home.login)) return true
  const endpoint = readEndpoint(home)
  // A leader that is being started again has no process for a moment: the endpoint stays, and so does its supervisor's file.
  return endpoint !== undefined && (endpoint.pid === 0 || lives({ pid: endpoint.pid, startedAt: '' }) || liveSupervisor(home) !== undefined)
}

/** How a verb uses its cluster. */
export interface ClusterUse {
  /** Where no cluster is there, one is started for as long as this takes. */
  start?: boolean
  /** The verb has something to do when it is interrupted; else it is given up at once. */
  endsItself?: boolean
}

/** Connects, uses, closes. */
export async function withCluster<T>(
  options: ClusterOptions,
  use: (cluster: Cluster, signal: AbortSignal) => Promise<T>,
  how: ClusterUse = {},
): Promise<T> {
  const signal = interruption()
  const home = new Home()
  if (!how.start && !clusterExists(options, home)) {
    throw new CoxswainError('NO_CLUSTER', `No cluster is up in ${home.path}.`, { id: home.path })
  }
  const { connect } = await import('../client/index.ts')
  const wanted: ConnectOptions = { name: 'cox', signal, timeout: options.connectTimeout }
  if (options.url !== undefined) wanted.url = options.url
  if (options.tokenFile !== undefined) wanted.tokenFile = options.tokenFile
  const cluster = await connect(wanted)
  try {
    const used = use(cluster, signal)
    return await (how.endsItself ? used : orInterrupted(used, signal))
  } finally {
    await cluster.close()
  }
}

/** The outcome, or the reason of the interruption if that comes first. */
function orInterrupted<T>(outcome: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
    outcome.then(resolve, reject)
  })
}

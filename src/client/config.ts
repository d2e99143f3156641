// Owns what a config file of `cox up` may say, for those who write it in TypeScript.
// Must not know how it is read or what a setting does: the command line does.
import type { Duration, Size } from './amounts.ts'

/** The settings of `cox up`, as a file `coxswain.config.ts`, `.js`, `.mjs` or `.json` gives them. All have a default. */
export interface CoxswainConfig {
  /** Worker processes on this machine. Default: one per core. */
  workers?: number
  /** Executors of each worker. Default: as many as it has cpus. */
  executors?: number
  /** Cores that each worker offers. Default: its executors, or its share of the cores. */
  cpus?: number
  /** Memory that each worker offers to tasks. Default: its share of 80 % of the machine. */
  memory?: Size
  /** Graphics processors that each worker offers. */
  gpus?: number
  /** Named resources that each worker offers: `{ licence: 2 }` or `'licence=2'`. */
  resources?: Record<string, number> | string
  /** Labels of each worker. */
  labels?: string[] | string
  /** Address to listen on. Default: `'127.0.0.1'`. */
  host?: string
  /** The leader's port; 0 takes a free one. Default: 0. */
  port?: number
  /** Candidates for the leadership on this machine. Default: 2. */
  candidates?: number
  /** Priority of each candidate. Default: 100 each. */
  priorities?: number[] | string
  /** Finished jobs kept whole in memory: so many that succeeded, and so many others. */
  recent?: number
  /** Finished jobs in the history; 0 keeps none. */
  history?: number
  /** How long a finished job is known. */
  historyAge?: Duration
  /** How long running tasks may go on when it stops. Default: `'10s'`. */
  drain?: Duration
  /** How much of the nodes' logs to show and keep. Default: `'info'`. */
  logLevel?: 'debug' | 'info' | 'warn' | 'error'
  /** Where the journal is: `'sqlite'` (the state folder), `etcd://`, `etcds://` or `postgres://`. Default: `'sqlite'`. */
  journal?: string
  /** `HOST:PORT` that this node binds, for other machines. */
  listen?: string
  /** `HOST:PORT` at which other machines reach this node. Default: what it listens on. */
  advertise?: string
  /** File with the certificates (PEM) that etcd's servers are checked against. */
  etcdCaFile?: string
  /** File with this node's certificate (PEM) for etcd. */
  etcdCertFile?: string
  /** File with the key (PEM) of that certificate. */
  etcdKeyFile?: string
  /** File with the password of etcd's user. */
  etcdPasswordFile?: string
  /** Leads also on releases of etcd with known bugs that lose data. Default: false. */
  allowUnsafeEtcd?: boolean
  /** File with the password of PostgreSQL's user. */
  postgresPasswordFile?: string
  /** Where blocks are kept besides the workers: `s3://bucket/prefix`. Default: nowhere else. */
  blocks?: string
  /** File with the key that payloads and blocks are encrypted with. Default: they are not encrypted. */
  encryptionKeyFile?: string
  /** File with the token with which this node joins its cluster when its state folder has no certificate yet. */
  joinTokenFile?: string
}

/** Gives back its argument, which the type checker has then looked at: `export default defineConfig({ workers: 4 })`. */
export function defineConfig(config: CoxswainConfig): CoxswainConfig {
  return config
}

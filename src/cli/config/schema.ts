// Owns every setting of `cox up`: its kind, default and words. Flags, variables, config files and docs/configuration.md come from here.
// Must not read anything: file.ts and effective.ts do.
import type { CoxswainConfig } from '../../client/index.ts'
import { defaultLimits, priorityDefault, priorityMax } from '../../core/limits.ts'
import { limits } from '../../protocol/limits.ts'
import { type LogLevel, logLevels } from '../nodes/options.ts'
import { checkAddress, checkBlocks, checkHost, checkJournal } from './addresses.ts'
import {
  amount,
  bytes,
  choice,
  duration,
  type Kind,
  namedAmounts,
  names,
  path,
  textOf,
  type Written,
  whole,
  wholes,
  yesOrNo,
} from './kinds.ts'

/** One setting. */
export interface Setting<T = unknown, W extends Written = Written> {
  kind: Kind<T, W>
  /** The word for its value in help; empty for a switch. */
  value: string
  summary: string
  /** What holds where nobody says anything; a text tells where that depends on the machine or is nothing. */
  standard: { value: T } | { text: string }
  /** What it names is nobody else's business: only a path may be given, never the secret itself. */
  secret?: true
}

const workersMax = 256
const executorsMax = 1024
const portMax = 65_535
const candidatesMax = 9
const historyMax = 100_000_000
const recentMax = 1_000_000
const drainMsDefault = 10_000

const none = { text: 'none' }

/** All settings, in the order in which they are shown. */
export const settings = {
  workers: { kind: whole(0, workersMax), value: 'n', summary: 'worker processes', standard: { text: 'one per core' } },
  executors: {
    kind: whole(1, executorsMax),
    value: 'n',
    summary: 'executors of each worker',
    standard: { text: 'as many as it has cpus' },
  },
  cpus: {
    kind: amount,
    value: 'amount',
    summary: 'cpus that each worker offers',
    standard: { text: 'its executors, or its share of the cores' },
  },
  memory: {
    kind: bytes,
    value: 'bytes',
    summary: 'memory that each worker offers, like 2gb',
    standard: { text: 'its share of 80 % of the machine' },
  },
  gpus: { kind: amount, value: 'amount', summary: 'gpus that each worker offers', standard: none },
  resources: {
    kind: namedAmounts,
    value: 'name=amount',
    summary: 'named resources that each worker offers, such as licence=2',
    standard: none,
  },
  labels: { kind: names, value: 'names', summary: `labels of each worker (at most ${limits.labelsMax})`, standard: none },
  host: {
    kind: textOf('an address or a name', checkHost),
    value: 'address',
    summary: 'address to listen on',
    standard: { value: '127.0.0.1' },
  },
  port: { kind: whole(0, portMax), value: 'port', summary: "the leader's port; 0 takes a free one", standard: { value: 0 } },
  candidates: {
    kind: whole(0, candidatesMax),
    value: 'n',
    summary: 'candidates for the leadership: one leads, the others stand by',
    standard: { value: 2 },
  },
  priorities: {
    kind: wholes(1, priorityMax),
    value: 'list',
    summary: `priority of each candidate, 1 to ${priorityMax}, such as 300,200`,
    standard: { text: `${priorityDefault} each` },
  },
  recent: {
    kind: whole(0, recentMax),
    value: 'jobs',
    summary: 'jobs that succeeded, and others that ended, kept whole in memory: so many of each',
    standard: { text: String(defaultLimits.finishedJobsMax) },
  },
  history: {
    kind: whole(0, historyMax),
    value: 'jobs',
    summary: 'finished jobs in the history, beside the newest that are kept whole; 0 keeps none',
    standard: { text: String(defaultLimits.historyJobsMax) },
  },
  historyAge: {
    kind: duration,
    value: 'duration',
    summary: 'how long a finished job is known, such as 90d',
    standard: { text: duration.write(defaultLimits.finishedJobAgeMs) },
  },
  drain: {
    kind: duration,
    value: 'duration',
    summary: 'how long running tasks may go on when it stops',
    standard: { value: drainMsDefault },
  },
  logLevel: {
    kind: choice<LogLevel>(logLevels),
    value: 'level',
    summary: "how much of the nodes' logs to show and keep",
    standard: { value: 'info' },
  },
  journal: {
    kind: textOf('sqlite, etcd://HOSTS/PREFIX, etcds://HOSTS/PREFIX or postgres://USER@HOSTS/DATABASE', checkJournal),
    value: 'address',
    summary: 'where the journal is: sqlite (the state folder), etcd://, etcds:// or postgres://',
    standard: { value: 'sqlite' },
  },
  listen: {
    kind: textOf('HOST:PORT', checkAddress(0)),
    value: 'host:port',
    summary: 'address that this node binds, for other machines',
    standard: { text: 'host and port' },
  },
  advertise: {
    kind: textOf('HOST:PORT', checkAddress(1)),
    value: 'host:port',
    summary: 'address at which other machines reach this node',
    standard: { text: 'what it listens on' },
  },
  etcdCaFile: { kind: path, value: 'file', summary: "certificates (PEM) that etcd's servers are checked against", standard: none },
  etcdCertFile: { kind: path, value: 'file', summary: "this node's certificate (PEM) for etcd", standard: none },
  etcdKeyFile: { kind: path, value: 'file', summary: 'the key (PEM) of that certificate', standard: none, secret: true },
  etcdPasswordFile: { kind: path, value: 'file', summary: "file with the password of etcd's user", standard: none, secret: true },
  allowUnsafeEtcd: {
    kind: yesOrNo,
    value: '',
    summary: 'lead also on releases of etcd with known bugs that lose data',
    standard: { value: false },
  },
  postgresPasswordFile: { kind: path, value: 'file', summary: "file with the password of PostgreSQL's user", standard: none, secret: true },
  blocks: {
    kind: textOf('s3://BUCKET/PREFIX, or nothing', checkBlocks),
    value: 'address',
    summary: 'where blocks are kept besides the workers: s3://bucket/prefix',
    standard: { value: '' },
  },
  encryptionKeyFile: {
    kind: path,
    value: 'file',
    summary: 'file with the key that payloads and blocks are encrypted with',
    standard: none,
    secret: true,
  },
  joinTokenFile: {
    kind: path,
    value: 'file',
    summary: 'file with the token with which this node joins when its state folder has no certificate yet',
    standard: none,
    secret: true,
  },
} satisfies { [Name in keyof CoxswainConfig]-?: SettingFor<Exclude<CoxswainConfig[Name], undefined>> }

/** A setting whose values a config file of this type may hold. */
type SettingFor<Config> = Setting<unknown, Extract<Config, Written>>

type Settings = typeof settings

/** The name of a setting, as in a config file. */
export type SettingName = keyof Settings

type ValueOf<One> = One extends { kind: Kind<infer T, infer _> } ? T : never

/** The effective value of every setting; those without a fixed default may be left out. */
export type SettingValues = {
  [Name in SettingName as Settings[Name]['standard'] extends { value: unknown } ? Name : never]: ValueOf<Settings[Name]>
} & {
  [Name in SettingName as Settings[Name]['standard'] extends { value: unknown } ? never : Name]?: ValueOf<Settings[Name]>
}

/** All settings with their names, for those who treat all alike. */
export const settingList: readonly (readonly [SettingName, Setting])[] = Object.entries(settings) as [SettingName, Setting][]

/** The words of a name such as `historyAge`. */
function words(name: string): string[] {
  return name.split(/(?=[A-Z])/).map(word => word.toLowerCase())
}

/** The environment variable of a setting: COX_HISTORY_AGE. */
export function variableOf(name: string): string {
  return `COX_${words(name).join('_').toUpperCase()}`
}

/** The flag of a setting: `--history-age`. */
export function flagOf(name: string): string {
  return `--${words(name).join('-')}`
}

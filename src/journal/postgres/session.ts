// Owns one connection to the primary: how it is found among several servers, what it must be, and how values come back from it.
// Must not know the tables.
import { Socket } from 'node:net'
import type { Client, CustomTypesConfig } from 'pg'
import { CoxswainError } from '../../protocol/errors.ts'
import { type PostgresAddress, type PostgresHost, type PostgresTls, passwordFor, tlsFor } from './address.ts'
import { fault, isRefusal } from './faults.ts'

/** With what sessions are opened. */
export interface SessionOptions {
  address: PostgresAddress
  passwordFile?: string | undefined
  tls: PostgresTls
  allowUnsafe: boolean
}

/** Which history of which database a server writes: another one may lack what was acknowledged. */
export interface Identity {
  system: string
  timeline: string
}

/** A statement by its name: each session reads it once. */
export interface Statement {
  name: string
  text: string
}

/** PostgreSQL 13. */
const versionMin = 130_000
const connectMs = 3000
const goodbyeMs = 1000
/** A peer that is gone without a word is noticed by the operating system after this long. */
const keepAliveMs = 5000
/** A statement of ours waits for another's lock no longer than this. */
const lockMs = 5000

/**
 * Types as they come in text form; what is not named here is text. The client cannot take results in binary form without damage to them
 * (brianc/node-postgres, issue 3495).
 */
const textTypes: Record<number, (text: string) => unknown> = {
  16: text => text === 't',
  17: text => Buffer.from(text.slice(2), 'hex'),
  20: Number,
  21: Number,
  23: Number,
}

// What the client asks of them: a function for the number of a type.
const types = {
  getTypeParser: (type: number) => textTypes[type] ?? ((text: string) => text),
} as unknown as CustomTypesConfig

/** Settings below which an acknowledged write may be lost: name and values that are safe. */
const safeSettings: readonly [string, readonly string[]][] = [
  ['synchronous_commit', ['on', 'remote_apply']],
  ['fsync', ['on']],
  ['full_page_writes', ['on']],
]

async function loadClient(): Promise<typeof Client> {
  try {
    return (await import('pg')).Client
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error
    throw new CoxswainError('PACKAGE_MISSING', 'A journal on PostgreSQL needs the package `pg`: run `npm install pg`.', { id: 'pg' })
  }
}

/** A connection to the primary. Statements are sent one after the other. */
export class Session {
  readonly identity: Identity
  /** The server says that a commit did not wait for its synchronous standbys: it may be lost with this server. */
  notReplicated = false
  readonly #client: Client
  readonly #socket: Socket
  #last: Promise<unknown> = Promise.resolve()
  #broken: Error | undefined

  constructor(client: Client, socket: Socket, identity: Identity) {
    this.#client = client
    this.#socket = socket
    this.identity = identity
    client.on('error', error => (this.#broken ??= error))
    client.on('end', () => (this.#broken ??= new Error('the connection was closed')))
    client.on('notice', ({ code }) => {
      if (code === '01000' || code === '57P01') this.notReplicated = true
    })
  }

  /** True while it can be used, as far as is known. */
  get open(): boolean {
    return this.#broken === undefined
  }

  query<T>({ name, text }: Statement, values: readonly unknown[] = []): Promise<T[]> {
    const config = { name, text, values: [...values], types }
    const answer = this.#last.then(() => {
      if (this.#broken) throw this.#broken
      return this.#client.query(config)
    })
    this.#last = answer.catch(() => undefined)
    // Each statement names its columns as its caller reads them.
    return answer.then(({ rows }) => rows as T[])
  }

  /** Text of our own with several statements in it, without values. */
  async run(text: string): Promise<void> {
    const done = this.#last.then(() => this.#client.query(text))
    this.#last = done.catch(() => undefined)
    await done
  }

  /** Calls back for every notification on the channels it listens to, and once when the connection ends. */
  listen(heard: (payload: string) => void, ended: () => void): void {
    this.#client.on('notification', ({ payload }) => heard(payload ?? ''))
    this.#client.on('end', ended)
  }

  /** Cuts it off: what is under way ends with an error. */
  destroy(): void {
    this.#broken ??= new Error('the connection was given up')
    this.#socket.destroy()
  }

  /** Ends it when what was asked is answered; a server that does not answer is not waited for. */
  async close(): Promise<void> {
    const cut = setTimeout(() => this.destroy(), goodbyeMs)
    try {
      await this.#last
      if (this.#broken === undefined) await this.#client.end()
    } finally {
      clearTimeout(cut)
      this.destroy()
    }
  }
}

function knownPassword(host: PostgresHost, address: PostgresAddress, file: string | undefined): string {
  const password = passwordFor(host, address, file)
  if (password !== undefined && password !== '') return password
  throw new CoxswainError(
    'JOURNAL_UNUSABLE',
    `PostgreSQL on ${host.host}:${host.port} asks ${address.user} for a password, and there is none.`,
  )
}

async function openOn(host: PostgresHost, { address, passwordFile, tls }: SessionOptions, Client: Awaited<ReturnType<typeof loadClient>>) {
  const socket = new Socket()
  const client = new Client({
    ...host,
    user: address.user,
    database: address.database,
    // Asked for when the server wants one. Without a function here the client itself would look into files that are ours to look into.
    password: () => knownPassword(host, address, passwordFile),
    ssl: address.sslmode === 'disable' ? false : tlsFor(host, tls),
    stream: () => socket,
    application_name: 'coxswain',
    connectionTimeoutMillis: connectMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: keepAliveMs,
    lock_timeout: lockMs,
  })
  // What it says before it is a session is what `connect` rejects with.
  client.on('error', () => undefined)
  try {
    await client.connect()
    return { client, socket }
  } catch (error) {
    socket.destroy()
    throw error
  }
}

interface Look {
  standby: boolean
  readOnly: string
  system: string
  timeline: string
}

/** Bytes come in the form that `textTypes` reads, whatever is set elsewhere. */
const look = `SELECT set_config('bytea_output', 'hex', false), pg_is_in_recovery() AS standby, current_setting('default_transaction_read_only') AS "readOnly",
  (SELECT system_identifier::text FROM pg_control_system()) AS system,
  CASE WHEN pg_is_in_recovery() THEN '' ELSE substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END AS timeline`

/** Opens a session on the first of the servers that takes writes. Rejects with JOURNAL_UNAVAILABLE if there is none, JOURNAL_UNUSABLE where somebody must correct something. */
export async function openSession(options: SessionOptions): Promise<Session> {
  const { address } = options
  const Client = await loadClient()
  const said: string[] = []
  for (const host of address.hosts) {
    const where = `${host.host}:${host.port}`
    try {
      const { client, socket } = await openOn(host, options, Client)
      try {
        const { standby, readOnly, system, timeline } = (await client.query<Look>(look)).rows[0]!
        if (!standby && readOnly !== 'on') return new Session(client, socket, { system, timeline })
        said.push(`${where} is ${standby ? 'a standby' : 'read-only'}`)
      } catch (error) {
        socket.destroy()
        throw error
      }
      socket.destroy()
    } catch (error) {
      const ours = fault(error, 'JOURNAL_UNAVAILABLE', `PostgreSQL on ${where} was not reached`)
      // Of several servers another one may be the right one; of one it is known what is wrong.
      if (address.hosts.length === 1 && (isRefusal(error) || ours.code !== 'JOURNAL_UNAVAILABLE')) throw ours
      said.push(ours.message.replace(/\.$/, ''))
    }
  }
  throw new CoxswainError('JOURNAL_UNAVAILABLE', `No server of the journal takes writes: ${said.join('; ')}.`, { id: address.words })
}

/** Refuses a server on which an acknowledged write could be lost; says so where that is allowed. */
export async function checkSettings(session: Session, { allowUnsafe, address }: SessionOptions): Promise<string[]> {
  const unsafe: string[] = []
  const setting = { name: 'setting', text: 'SELECT current_setting($1) AS value' }
  const [version] = await session.query<{ value: string }>(setting, ['server_version_num'])
  if (Number(version!.value) < versionMin)
    throw new CoxswainError(
      'JOURNAL_UNUSABLE',
      `PostgreSQL ${version!.value} is too old for a journal: 13 is the first that can hold one.`,
      {
        id: address.words,
      },
    )
  for (const [name, safe] of safeSettings) {
    const [row] = await session.query<{ value: string }>(setting, [name])
    if (!safe.includes(row!.value)) unsafe.push(`${name} is ${row!.value}`)
  }
  if (unsafe.length > 0 && !allowUnsafe)
    throw new CoxswainError('JOURNAL_UNUSABLE', `PostgreSQL may lose acknowledged writes here: ${unsafe.join(', ')} (on is needed).`, {
      id: address.words,
    })
  return unsafe
}

// Owns what the address of a PostgreSQL journal may say, and where its password comes from.
// Must not open a connection.
import { readFileSync, statSync } from 'node:fs'
import { homedir, userInfo } from 'node:os'
import { join } from 'node:path'
import { CoxswainError } from '../../protocol/errors.ts'

/** Files of TLS: whom to believe, and who this client is. */
export interface PostgresTls {
  /** Certificates that the server's must come from; without it those that Node believes. */
  caFile?: string | undefined
  certFile?: string | undefined
  keyFile?: string | undefined
}

/** One server that may be the primary. */
export interface PostgresHost {
  /** A name, an address, or the folder of a socket. */
  host: string
  port: number
}

/** Where a journal is kept, without any secret. */
export interface PostgresAddress {
  hosts: readonly PostgresHost[]
  database: string
  user: string
  schema: string
  sslmode: 'verify-full' | 'disable'
  /** All of it in one line, for messages. */
  words: string
}

const portDefault = 5432
const schemaPattern = /^[a-z_][a-z0-9_]{0,39}$/
const parametersKnown = ['schema', 'sslmode', 'target_session_attrs', 'host']
/** Modes that others than the owner must not have on a file with a secret. */
const othersMask = 0o077

function invalid(message: string): CoxswainError {
  return new CoxswainError('INVALID_ARGUMENT', message)
}

function isLoopback(host: string): boolean {
  return host.startsWith('/') || host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host)
}

function hostFrom(text: string): PostgresHost {
  const parts = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+))(?::(\d+))?$/.exec(text)
  const port = parts?.[3] === undefined ? portDefault : Number(parts[3])
  if (parts === null || port < 1 || port > 65_535) throw invalid(`\`${text}\` is no host of PostgreSQL: write HOST or HOST:PORT.`)
  return { host: decodeURIComponent(parts[1] ?? parts[2]!), port }
}

function sslmodeFrom(text: string | null, hosts: readonly PostgresHost[], allowUnsafe: boolean): 'verify-full' | 'disable' {
  const near = hosts.every(({ host }) => isLoopback(host))
  if (text === null) return near ? 'disable' : 'verify-full'
  if (text === 'verify-full') return text
  if (text !== 'disable') throw invalid(`sslmode=${text} does not show who answers: use verify-full, or disable on this machine.`)
  if (!near && !allowUnsafe) throw invalid('sslmode=disable sends everything in clear: it is for servers on this machine only.')
  return text
}

/** Reads an address like `postgres://user@h1:5432,h2:5432/database?schema=coxswain`. Throws INVALID_ARGUMENT; never repeats a password. */
export function parseAddress(url: string, allowUnsafe: boolean): PostgresAddress {
  const parts = /^postgres(?:ql)?:\/\/(?:([^@/?]*)@)?([^/?@]*)(?:\/([^?/]*))?(?:\?(.*))?$/.exec(url)
  if (parts === null) throw invalid('The address of a PostgreSQL journal is postgres://USER@HOST:PORT/DATABASE?schema=NAME.')
  const [, credentials = '', hostsText = '', databaseText = '', query = ''] = parts
  if (credentials.includes(':'))
    throw invalid('A password in the address would be seen by others: use passwordFile, PGPASSWORD or PGPASSFILE instead.')
  const parameters = new URLSearchParams(query)
  if (parameters.has('password')) throw invalid('A password in the address would be seen by others: use passwordFile instead.')
  for (const name of parameters.keys())
    if (!parametersKnown.includes(name)) throw invalid(`The address has the parameter ${name}; known are ${parametersKnown.join(', ')}.`)
  const attributes = parameters.get('target_session_attrs') ?? 'read-write'
  if (attributes !== 'read-write' && attributes !== 'primary')
    throw invalid(`target_session_attrs=${attributes}: a journal is read and written on the primary only (read-write).`)
  const hosts = (parameters.get('host') ?? (hostsText || 'localhost')).split(',')
  const schema = parameters.get('schema') ?? 'coxswain'
  if (!schemaPattern.test(schema)) throw invalid(`schema=${schema}: use up to 40 of a-z, 0-9 and _, not beginning with a digit.`)
  const user = decodeURIComponent(credentials) || process.env['PGUSER'] || userInfo().username
  const database = decodeURIComponent(databaseText) || process.env['PGDATABASE'] || user
  const all = hosts.map(text => (text.startsWith('/') ? { host: text, port: portDefault } : hostFrom(text)))
  const sslmode = sslmodeFrom(parameters.get('sslmode'), all, allowUnsafe)
  const words = `${all.map(({ host, port }) => `${host}:${port}`).join(',')}/${database}, schema ${schema}`
  return { hosts: all, database, user, schema, sslmode, words }
}

function secretFile(path: string): string {
  try {
    if (process.platform !== 'win32' && (statSync(path).mode & othersMask) !== 0)
      throw invalid(`Others than its owner may open the file of the password, ${path}: give it mode 0600.`)
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (error instanceof CoxswainError) throw error
    throw invalid(`The file of the password, ${path}, cannot be read: ${(error as Error).message}.`)
  }
}

/** The fields of a line of a password file: separated by colons, of which one that belongs to a field stands behind a backslash. */
function fieldsOf(line: string): string[] {
  return (line.match(/(?:\\.|[^:\\])*(?::|$)/g) ?? []).map(field => field.replace(/:$/, '').replace(/\\(.)/g, '$1')).slice(0, 5)
}

/** The password for one server: from the file that was named, else PGPASSWORD, else PGPASSFILE or ~/.pgpass; undefined without any. */
export function passwordFor({ host, port }: PostgresHost, { database, user }: PostgresAddress, file?: string): string | undefined {
  if (file !== undefined) return secretFile(file).replace(/\r?\n$/, '')
  if (process.env['PGPASSWORD'] !== undefined) return process.env['PGPASSWORD']
  const named = process.env['PGPASSFILE']
  const path = named ?? join(homedir(), '.pgpass')
  if (named === undefined && statSync(path, { throwIfNoEntry: false }) === undefined) return undefined
  const wanted = [host.startsWith('/') ? 'localhost' : host, String(port), database, user]
  for (const line of secretFile(path).split(/\r?\n/)) {
    if (line.startsWith('#')) continue
    const fields = fieldsOf(line)
    if (fields.length === 5 && wanted.every((value, at) => fields[at] === '*' || fields[at] === value)) return fields[4]
  }
  return undefined
}

/** What TLS needs for one server: its certificate must be valid and of its name. */
export function tlsFor({ host }: PostgresHost, { caFile, certFile, keyFile }: PostgresTls): Record<string, unknown> {
  const read = (path: string): string => {
    try {
      return readFileSync(path, 'utf8')
    } catch (error) {
      throw invalid(`The file ${path} of TLS cannot be read: ${(error as Error).message}.`)
    }
  }
  return {
    rejectUnauthorized: true,
    minVersion: 'TLSv1.2',
    host,
    ...(caFile !== undefined && { ca: read(caFile) }),
    ...(certFile !== undefined && { cert: read(certFile) }),
    ...(keyFile !== undefined && { key: secretFile(keyFile) }),
  }
}

// Owns the address of a journal on etcd, as a user writes it, and what stands in files beside it: etcd://user@host:2379,host:2379/prefix.
// Must not connect to anything, and never repeats a secret.
import { readFileSync, statSync } from 'node:fs'
import { isIPv6 } from 'node:net'
import { CoxswainError } from '../../protocol/index.ts'
import type { EtcdOptions } from './client.ts'
import type { TlsIdentity } from './grpc.ts'

/** Where a journal on etcd is. */
export interface EtcdAddress {
  /** Such as `https://host:2379`. */
  endpoints: string[]
  /** Such as `/coxswain`: begins with a slash, does not end with one. */
  prefix: string
  user?: string
}

/** Files beside the address. */
export interface EtcdFiles {
  /** Whom to trust. */
  caFile?: string
  certFile?: string
  keyFile?: string
  /** Read each time that etcd wants the password. */
  passwordFile?: string
}

const prefixDefault = '/coxswain'
const portDefault = 2379
const endpointsMax = 16
const prefixBytesMax = 200
const form = 'Write it as etcd://host:2379,host:2379/prefix, or with etcds:// for TLS.'
/** What people write instead, and what they mean. */
const meant: Readonly<Record<string, string>> = { http: 'etcd', https: 'etcds', 'etcd+tls': 'etcds', 'etcd+https': 'etcds', etcd3: 'etcd' }

function wrong(what: string): CoxswainError {
  return new CoxswainError('INVALID_ARGUMENT', `The address of the journal ${what}.`)
}

/** Whether a journal's address is one on etcd. */
export function isEtcdAddress(text: string): boolean {
  return /^etcds?:\/\//i.test(text)
}

/** Reads the address of a journal on etcd. Throws INVALID_ARGUMENT. */
export function parseEtcdAddress(text: string): EtcdAddress {
  const [, scheme = '', rest = ''] = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/i.exec(text) ?? []
  const lower = scheme.toLowerCase()
  if (lower !== 'etcd' && lower !== 'etcds') {
    const near = meant[lower]
    throw wrong(`does not begin with etcd:// or etcds://${near === undefined ? '' : `; did you mean ${near}://?`}. ${form.slice(0, -1)}`)
  }
  // The user's part first: whatever else is wrong, a password in it is not repeated.
  const slash = rest.indexOf('/')
  const authority = slash < 0 ? rest : rest.slice(0, slash)
  const at = authority.lastIndexOf('@')
  const user = at < 0 ? undefined : userOf(authority.slice(0, at))
  if (/[?#\s]/.test(rest)) throw wrong('holds a space, a "?" or a "#". Options have flags of their own')
  return {
    endpoints: endpointsOf(authority.slice(at + 1), lower === 'etcds' ? 'https' : 'http'),
    prefix: prefixOf(slash < 0 ? '' : rest.slice(slash)),
    ...(user !== undefined && { user }),
  }
}

function userOf(text: string): string {
  if (text.includes(':'))
    throw wrong(
      'holds a password, which every process on this machine can see. Leave it out, and name a file that holds it in COX_ETCD_PASSWORD_FILE',
    )
  if (text.includes('@')) throw wrong('has more than one "@". A user’s name with one in it is written with %40')
  let user = ''
  try {
    user = decodeURIComponent(text)
  } catch {
    throw wrong('has a user’s name with a "%" that stands for nothing. Write it as %25')
  }
  if (user === '') throw wrong('has an "@" and no user before it')
  return user
}

function endpointsOf(text: string, scheme: 'http' | 'https'): string[] {
  const endpoints = text.split(',').map(one => endpointOf(one, scheme))
  if (endpoints.length > endpointsMax) throw wrong(`names ${endpoints.length} members; ${endpointsMax} are the limit`)
  const twice = endpoints.find((one, index) => endpoints.indexOf(one) !== index)
  if (twice !== undefined) throw wrong(`names ${twice.slice(scheme.length + 3)} twice`)
  return endpoints
}

function endpointOf(text: string, scheme: 'http' | 'https'): string {
  if (text === '') throw wrong(`names no host, or has a comma too many. ${form.slice(0, -1)}`)
  const [, six, name, port = String(portDefault)] = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(text) ?? []
  const host = six ?? name ?? ''
  const sound = six === undefined ? /^(?!-)[a-z0-9._-]{1,253}$/i.test(host) && URL.canParse(`http://${host}`) : isIPv6(host)
  if (!sound) throw wrong(`has ${JSON.stringify(text)}, which is no host with a port. IPv6 stands in brackets: [::1]:2379`)
  if (Number(port) < 1 || Number(port) > 65_535) throw wrong(`has the port ${port}, which does not exist`)
  return `${scheme}://${six === undefined ? host.toLowerCase() : `[${host.toLowerCase()}]`}:${Number(port)}`
}

function prefixOf(text: string): string {
  const path = text.replace(/\/$/, '')
  if (path === '') return prefixDefault
  const parts = path.slice(1).split('/')
  for (const part of parts) {
    if (part === '') throw wrong('has a prefix with an empty part: two slashes that follow each other')
    if (part === '.' || part === '..' || !/^[\w.~-]+$/.test(part))
      throw wrong(`has a prefix with the part ${JSON.stringify(part)}. Letters, digits and . _ ~ - are allowed`)
  }
  if (path.length > prefixBytesMax) throw wrong(`has a prefix of ${path.length} characters; ${prefixBytesMax} are the limit`)
  return path
}

/** All that is needed to connect: the address, and what its files hold. Throws INVALID_ARGUMENT. */
export function etcdOptions(
  address: EtcdAddress,
  files: EtcdFiles,
): Pick<EtcdOptions, 'endpoints' | 'prefix' | 'tls' | 'user' | 'password'> {
  const { endpoints, prefix, user } = address
  const encrypted = endpoints[0]?.startsWith('https:') === true
  const { caFile, certFile, keyFile, passwordFile } = files
  if (!encrypted && (caFile ?? certFile ?? keyFile) !== undefined)
    throw wrong('begins with etcd://, which is not encrypted, and certificates are given. Write etcds://')
  if ((certFile === undefined) !== (keyFile === undefined))
    throw new CoxswainError(
      'INVALID_ARGUMENT',
      'A certificate for etcd needs its key, and a key its certificate: give both files, or none.',
    )
  if (user === undefined && passwordFile !== undefined)
    throw wrong('names no user, and a file with a password is given. Write etcd://user@host')
  if (user !== undefined && passwordFile === undefined)
    throw wrong(`names the user ${user}, and no password is given. Name a file that holds it in COX_ETCD_PASSWORD_FILE`)
  const tls: TlsIdentity = {
    ...(caFile !== undefined && { ca: readPublic(caFile) }),
    ...(certFile !== undefined && { cert: readPublic(certFile) }),
    ...(keyFile !== undefined && { key: readSecret(keyFile) }),
  }
  // Now, so that a file that is not there is told at the start.
  if (passwordFile !== undefined) readPassword(passwordFile)
  return {
    ...{ endpoints, prefix },
    ...(encrypted && { tls }),
    ...(user !== undefined && { user }),
    ...(passwordFile !== undefined && { password: () => readPassword(passwordFile) }),
  }
}

function readPassword(path: string): string {
  const password = readSecret(path)
    .toString('utf8')
    .replace(/\r?\n$/, '')
  if (password === '') throw new CoxswainError('INVALID_ARGUMENT', `The file ${path} holds no password.`)
  return password
}

function readSecret(path: string): Buffer {
  const bytes = readPublic(path)
  if (process.platform !== 'win32' && (statSync(path).mode & 0o007) !== 0)
    throw new CoxswainError('INVALID_ARGUMENT', `The file ${path} holds a secret and everybody may use it: run chmod 600 on it.`)
  return bytes
}

function readPublic(path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (error) {
    throw new CoxswainError('INVALID_ARGUMENT', `The file ${path} cannot be read: ${(error as NodeJS.ErrnoException).code}.`, {
      cause: error,
    })
  }
}

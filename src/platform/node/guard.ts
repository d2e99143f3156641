// Owns the judgement of whoever asks something of this machine, before anything else of the request is looked at.
// Must not answer, and must not know what is asked for.
import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import type { ErrorCode } from '../../protocol/index.ts'
import { CoxswainError } from '../../protocol/index.ts'
import type { Credentials } from '../platform.ts'
import type { Callers } from './callers.ts'
import type { Log } from './server.ts'
import { presentedBy } from './tls.ts'

/** Why a request is not answered as it would like. */
export interface Refusal {
  status: number
  code: ErrorCode
  message: string
  retryAfterSeconds?: number
}

/** Who somebody is, or why that is not even asked. `open`: nobody, which some paths do not mind. */
export type Verdict<P> = { kind: 'known'; principal: P } | { kind: 'open'; refusal: Refusal } | { kind: 'refused'; refusal: Refusal }

/** What a guard goes by. */
export interface GuardOptions<P> {
  host: string
  names: readonly string[]
  authenticate(credentials: Credentials): P | undefined | Promise<P | undefined>
  callers: Callers
  log: Log
}

const bearer = 'Bearer '
/** What browsers say of requests that a person made by hand, or a page of this very host. */
const ownSites = new Set(['none', 'same-origin'])

/** The guard of one port. */
export class Guard<P> {
  readonly #options: GuardOptions<P>
  readonly #names: ReadonlySet<string>

  constructor(options: GuardOptions<P>) {
    this.#options = options
    this.#names = new Set([options.host, ...options.names, 'localhost'].map(plainName))
  }

  /** Why nobody may ask in this way, whoever it is; undefined if nothing is wrong. */
  misdirected(request: IncomingMessage): Refusal | undefined {
    const { host = '', origin } = request.headers
    const name = plainName(hostOf(host))
    // A page's own name may be made to lead here, a plain address may not.
    if (isIP(name) === 0 && !this.#names.has(name) && !name.endsWith('.localhost')) {
      const message = `this host is not asked by the name ${JSON.stringify(name.slice(0, 100))}: use one that it advertises, or add it to its configured names`
      return { status: 421, code: 'FORBIDDEN', message }
    }
    const site = request.headers['sec-fetch-site']
    // A browser names its page; none of our clients is one.
    if (origin !== undefined || (site !== undefined && !ownSites.has(String(site))))
      return { status: 403, code: 'FORBIDDEN', message: 'no web page may ask here' }
    const presented = presentedBy(request.socket)
    if (presented.kind !== 'refused') return undefined
    const { problem, serial } = presented
    this.#options.log('warn', 'certificate-refused', { remote: request.socket.remoteAddress, problem, serial })
    return { status: 403, code: 'UNAUTHENTICATED', message: problem }
  }

  /** Who asks. */
  async judge(request: IncomingMessage): Promise<Verdict<P>> {
    const { callers, authenticate } = this.#options
    const remote = request.socket.remoteAddress ?? ''
    const presented = presentedBy(request.socket)
    const header = request.headers.authorization ?? ''
    const token = header.startsWith(bearer) ? header.slice(bearer.length) : ''
    const certificate = presented.kind === 'verified' ? presented.certificate : undefined
    // A certificate cannot be guessed.
    const seconds = certificate ? 0 : callers.lockedSeconds(remote)
    if (seconds > 0) {
      const message = `too many wrong credentials came from there: wait for ${seconds} s`
      return { kind: 'refused', refusal: { status: 429, code: 'OVERLOADED', message, retryAfterSeconds: seconds } }
    }
    let principal: P | undefined
    try {
      principal = token === '' && !certificate ? undefined : await authenticate({ token, certificate, remote })
    } catch (error) {
      if (!(error instanceof CoxswainError) || error.code !== 'UNAVAILABLE') throw error
      const { message, code } = error
      return { kind: 'refused', refusal: { status: 503, code, message, retryAfterSeconds: 1 } }
    }
    if (principal !== undefined) return { kind: 'known', principal }
    const message = certificate ? 'the certificate is not one that may do this' : 'a credential of this cluster is needed'
    return { kind: 'open', refusal: { status: 401, code: 'UNAUTHENTICATED', message } }
  }

  /** What was brought proved nothing. */
  failed(request: IncomingMessage): void {
    const remote = request.socket.remoteAddress ?? ''
    this.#options.callers.failed(remote, request.headers.authorization ?? '')
  }
}

function plainName(name: string): string {
  return name
    .toLowerCase()
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/\.$/, '')
}

/** A host header without its port. */
function hostOf(header: string): string {
  return header.replace(/:\d*$/, '')
}

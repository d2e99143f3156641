// Owns the port of a candidate: whoever comes while it leads is its leader's; whoever comes while it stands by hears who leads.
// Must not know sessions, and must not decide who leads.
import type { Connection, ConnectionHandlers, Credentials, HttpAnswer, HttpRequest, Listener, Platform } from '../platform/index.ts'
import {
  CoxswainError,
  decodeMessage,
  encodeMessage,
  enrolPath,
  hello,
  type Principal,
  welcome,
  limits as wire,
} from '../protocol/index.ts'
import { notYetLeading } from './absence.ts'
import { type Authenticator, firstOf, type Knowledge, userTokens } from './access/authenticate.ts'
import { answerRoute, type Routes } from './access/routes.ts'
import { refusal } from './enrolment.ts'
import { listenAt } from './listen.ts'

/** What a door is made with. */
export interface DoorOptions {
  host: string
  /** 0 takes a free one. */
  port: number
  /** The address that others are told, where it is not the one that is listened on. */
  advertise?: string
  /** Names that this host may be asked by, beside these and plain addresses. */
  names?: readonly string[]
  /** Who these credentials prove, or undefined: asked before it is looked whether they are a token of a user. */
  authenticate: Authenticator
  /** Asked after that: an identity provider that the cluster trusts. */
  authenticateElsewhere?: Authenticator
}

/** Takes whoever comes. */
type Host = (connection: Connection, principal: Principal) => ConnectionHandlers

/** Answers nodes that want to join. */
type Registrar = (request: HttpRequest) => Promise<HttpAnswer>

/** Is told who was turned away from what. */
type Denied = (remote: string, what: string, principal: Principal | undefined) => void

const nobody: ConnectionHandlers = { opened() {}, frame() {}, closed() {} }

/** One port. */
export class Door {
  readonly #options: DoorOptions
  readonly #platform: Platform
  /** It is open also while this candidate stands by. */
  readonly #always: boolean
  readonly #inside = new Set<Connection>()
  #listener: Listener | undefined
  #host: Host | undefined
  #registrar: Registrar | undefined
  readonly #routes: Routes = { 'POST /v1/enrol': request => this.#enrol(request) }
  /** Who leads, while it is not this candidate. */
  #leader: { leader: string; epoch: number } | undefined
  /** Why nobody is taken at present. */
  #closedBecause = notYetLeading
  /** What is known of users at this moment. */
  #known: () => Knowledge | undefined = () => undefined
  #denied: Denied = () => {}
  readonly #authenticate: Authenticator

  constructor(options: DoorOptions, platform: Platform, always: boolean) {
    this.#options = options
    this.#platform = platform
    this.#always = always
    const elsewhere = options.authenticateElsewhere
    this.#authenticate = firstOf(
      options.authenticate,
      userTokens(() => this.#known()),
      ...(elsewhere ? [elsewhere] : []),
    )
  }

  /** From now on users are those that are known then. */
  know(known: () => Knowledge | undefined): void {
    this.#known = known
  }

  /** Who is nobody is not told why; the audit log is told that somebody tried. */
  #prove(credentials: Credentials): Principal | undefined | Promise<Principal | undefined> {
    const proved = this.#authenticate(credentials)
    const noted = (principal: Principal | undefined): Principal | undefined => {
      if (principal) return principal
      // Only whoever leads knows all users: a token may be newer than what this candidate has applied.
      if (!this.#host && credentials.token !== '')
        throw new CoxswainError('UNAVAILABLE', 'This candidate stands by, and does not know this token.', { retryAfterMs: 1000 })
      this.#denied(credentials.remote, 'connect', undefined)
      return undefined
    }
    return proved instanceof Promise ? proved.then(noted) : noted(proved)
  }

  /** Listens, if it does not yet, and resolves to the address that others are told. `takesOver`: the port may still be the predecessor's. */
  async open(takesOver: boolean): Promise<string> {
    const { host, port, advertise, names = [] } = this.#options
    this.#listener ??= await listenAt(
      this.#platform,
      {
        host,
        port,
        frameBytesMax: wire.frameBytesMax,
        authenticate: credentials => this.#prove(credentials),
        openPaths: [enrolPath],
        names: advertise === undefined ? names : [...names, new URL(advertise).hostname],
        healthy: () => this.#host !== undefined || this.#always,
        answer: (request, principal) =>
          answerRoute(this.#routes, request, principal, () => this.#denied(request.remote, `${request.method} ${request.path}`, principal)),
        accept: (connection, principal) => this.#accept(connection, principal),
      },
      takesOver,
    )
    return advertise ?? this.#listener.address
  }

  /** From now on everybody is this host's, who is told of those that are turned away; nodes join with this registrar. */
  lead(host: Host, denied: Denied = () => {}, registrar?: Registrar): void {
    this.#leader = undefined
    this.#host = host
    this.#denied = denied
    this.#registrar = registrar
  }

  /** From now on everybody is told of this leader. */
  standBy(leader: string, epoch: number): void {
    this.#leader = { leader, epoch }
  }

  /** Nobody is the host's any more: all are sent away. A door that is not always open shuts. */
  async leave(reason: string): Promise<void> {
    this.#host = undefined
    this.#registrar = undefined
    this.#denied = () => {}
    this.#closedBecause = reason
    if (!this.#always) return this.close()
    for (const connection of this.#inside) connection.close(reason)
  }

  async close(): Promise<void> {
    const listener = this.#listener
    this.#listener = undefined
    await listener?.close()
  }

  #accept(connection: Connection, principal: Principal): ConnectionHandlers {
    this.#inside.add(connection)
    const handlers = this.#host?.(connection, principal) ?? this.#sendAway(connection)
    return {
      opened: () => handlers.opened(),
      frame: bytes => handlers.frame(bytes),
      closed: (reason, refused) => {
        this.#inside.delete(connection)
        handlers.closed(reason, refused)
      },
    }
  }

  async #enrol(request: HttpRequest): Promise<HttpAnswer> {
    if (this.#registrar) return this.#registrar(request)
    if (this.#host) return refusal(404, { code: 'NOT_FOUND', message: 'This cluster is of one machine: nothing can join it.' })
    if (!this.#leader) return refusal(503, { code: 'UNAVAILABLE', message: 'Nobody leads at this moment.' })
    return refusal(421, { code: 'UNAVAILABLE', message: 'This candidate stands by.', leader: this.#leader.leader })
  }

  #sendAway(connection: Connection): ConnectionHandlers {
    const known = this.#leader
    if (!known) {
      connection.close(this.#closedBecause)
      return nobody
    }
    let told = false
    return {
      ...nobody,
      frame: bytes => {
        if (told) return
        told = true
        try {
          decodeMessage(hello, bytes)
          connection.send(encodeMessage(welcome, { kind: 'elsewhere', ...known }))
          connection.close('it stands by')
        } catch {
          connection.close('its first frame is no greeting')
        }
      },
    }
  }
}

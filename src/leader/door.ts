// Owns the port of a candidate: whoever comes while it leads is its leader's; whoever comes while it stands by hears who leads.
// Must not know sessions, and must not decide who leads.
import type { Connection, ConnectionHandlers, Credentials, Listener, Platform } from '../platform/index.ts'
import { decodeMessage, encodeMessage, hello, type Principal, welcome, limits as wire } from '../protocol/index.ts'
import { notYetLeading } from './absence.ts'
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
  /** Who these credentials prove, or undefined. */
  authenticate(credentials: Credentials): Principal | undefined | Promise<Principal | undefined>
}

/** Takes whoever comes. */
type Host = (connection: Connection, principal: Principal) => ConnectionHandlers

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
  /** Who leads, while it is not this candidate. */
  #leader: { leader: string; epoch: number } | undefined
  /** Why nobody is taken at present. */
  #closedBecause = notYetLeading

  constructor(options: DoorOptions, platform: Platform, always: boolean) {
    this.#options = options
    this.#platform = platform
    this.#always = always
  }

  /** Listens, if it does not yet, and resolves to the address that others are told. `takesOver`: the port may still be the predecessor's. */
  async open(takesOver: boolean): Promise<string> {
    const { host, port, advertise, names = [], authenticate } = this.#options
    this.#listener ??= await listenAt(
      this.#platform,
      {
        host,
        port,
        frameBytesMax: wire.frameBytesMax,
        authenticate,
        names: advertise === undefined ? names : [...names, new URL(advertise).hostname],
        healthy: () => this.#host !== undefined || this.#always,
        accept: (connection, principal) => this.#accept(connection, principal),
      },
      takesOver,
    )
    return advertise ?? this.#listener.address
  }

  /** From now on everybody is this host's. */
  lead(host: Host): void {
    this.#leader = undefined
    this.#host = host
  }

  /** From now on everybody is told of this leader. */
  standBy(leader: string, epoch: number): void {
    this.#leader = { leader, epoch }
  }

  /** Nobody is the host's any more: all are sent away. A door that is not always open shuts. */
  async leave(reason: string): Promise<void> {
    this.#host = undefined
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

// Owns what the shells ask of the world: clock, random, transport, files. node/ has the real ones, a simulator brings its own.
// Must not hold behaviour.
import type { ClientRequest, IncomingMessage, RequestOptions, ServerResponse } from 'node:http'

/** Stops a timer; harmless when it has fired. */
export type Cancel = () => void

/** Time, as far as a shell may know it. */
export interface Clock {
  /** Milliseconds since some start, never backwards; comparable between processes of one machine. */
  monotonicMs(): number
  /** Milliseconds since 1970, as far as this machine knows. For people, never for safety. */
  wallMs(): number
  /** Calls back once after `delayMs`. Does not keep the process alive by itself. */
  timer(delayMs: number, callback: () => void): Cancel
  /** Calls back as soon as what is already waiting has been handled. */
  soon(callback: () => void): void
}

/** Chance: for ids and jitter. */
export interface Random {
  uuid(): string
  /** From 0 up to, not including, 1. */
  number(): number
}

/** One frame-keeping, ordered, two-way connection. */
export interface Connection {
  /** Hands a frame over; never blocks, never throws. After the end it is dropped. The bytes must not be changed afterwards. */
  send(frame: Uint8Array): void
  /** Bytes handed over and not yet taken by the network. */
  readonly bufferedBytes: number
  /** Where the other side is, for people. */
  readonly remote: string
  /** Stops or goes on reading, so that the sender feels it. */
  pause(): void
  resume(): void
  /** Ends it after what was handed over; `closed` is called back in any case, once. */
  close(reason: string): void
}

/** What the owner of a connection is told. `opened` comes first, `closed` last and once. */
export interface ConnectionHandlers {
  opened(): void
  frame(bytes: Uint8Array): void
  /**
   * `reason` is for people. `refused` holds the HTTP status of a refused handshake; `absent`: the machine says that nobody listens there, which a machine
   * that cannot be reached does not.
   */
  closed(reason: string, refused?: number, absent?: boolean): void
}

/** A port that is listened on. */
export interface Listener {
  /** Where it listens, such as `ws://127.0.0.1:4711`. */
  readonly address: string
  close(): Promise<void>
}

/** What the other side's certificate says, once its chain is verified against the cluster's authorities. */
export interface PeerCertificate {
  /** Its names as URIs. */
  uris: readonly string[]
  /** In hexadecimal: small letters, no zeros in front. */
  serial: string
  expiresAtMs: number
}

/** What somebody brings to prove who it is. */
export interface Credentials {
  /** The bearer token, empty without one. */
  token: string
  certificate: PeerCertificate | undefined
  /** Where it comes from, without the port. */
  remote: string
}

/** A request that is not for a connection; its body is bounded. */
export interface HttpRequest {
  method: string
  /** Without the query. */
  path: string
  body: Uint8Array
  remote: string
}

/** The answer to one. */
export interface HttpAnswer {
  status: number
  /** Media type of the body. */
  type: string
  body: string | Uint8Array
}

/** What to listen on, and who answers. `P`: what is known of somebody who proved who it is. */
export interface ListenOptions<P> {
  host: string
  /** 0 takes a free one. Throws ADDRESS_IN_USE. */
  port: number
  frameBytesMax: number
  /** Who these credentials prove, or undefined: the connection is refused with 401. */
  authenticate(credentials: Credentials): P | undefined | Promise<P | undefined>
  /** Answers a request that is not for a connection; undefined: there is nothing of that name, which the unauthenticated are not told. */
  answer?(request: HttpRequest, principal: P | undefined): Promise<HttpAnswer | undefined>
  /** A connection was made: the handlers that own it from now on. */
  accept(connection: Connection, principal: P): ConnectionHandlers
  /** Paths whose requests `answer` judges itself, by a proof of another kind: it is called without a principal where there is none. */
  openPaths?: readonly string[]
  /** Names that this host may be asked by, beside the one listened on, `localhost` and plain addresses: so no page's own name leads here. */
  names?: readonly string[]
  /** Answers `GET /healthz`, the only thing open to everyone. */
  healthy(): boolean
}

/** Dials and listens. */
export interface Transport {
  /** Dials; problems are told through `closed`. */
  connect(address: string, token: string, frameBytesMax: number, handlers: ConnectionHandlers): Connection
  listen<P>(options: ListenOptions<P>): Promise<Listener>
}

/** What a node's own HTTP server is made with. Whoever asks is judged before `answer` is called. `P`: what is known of somebody who proved who it is. */
export interface ServeOptions<P> {
  host: string
  /** 0 takes a free one. Throws ADDRESS_IN_USE. */
  port: number
  /** As in `ListenOptions`. */
  names?: readonly string[]
  connectionsMax: number
  /** A connection on which nothing moves for so long is ended. */
  idleTimeoutMs: number
  /** Who these credentials prove, or undefined: the request is refused with 401. */
  authenticate(credentials: Credentials): P | undefined | Promise<P | undefined>
  /** Must not reject. */
  answer(request: IncomingMessage, response: ServerResponse, principal: P): Promise<void>
}

/** Connections for HTTP requests to other nodes, kept for the next request. */
export interface Sockets {
  /** As `request` of node:http; `https:` believes only a worker of the cluster. */
  request(url: string, options: RequestOptions): ClientRequest
  close(): void
}

/** HTTP between nodes, for rooms that speak it themselves; over TLS where this process has an identity, whose changes it follows. */
export interface Web {
  serve<P>(options: ServeOptions<P>): Promise<Listener>
  /** At most so many at a time to one address. */
  sockets(socketsMax: number): Sockets
}

/** Files of a node. Paths are absolute; every method rejects with the system's error. */
export interface Files {
  read(path: string): Promise<Buffer>
  /** Writes a whole file so that it is there completely or not at all, and synced (file and folder) before this resolves. */
  writeSynced(path: string, pieces: readonly Uint8Array[]): Promise<void>
  append(path: string, bytes: Uint8Array): Promise<void>
  /** Size in bytes, or undefined if it is not there. */
  size(path: string): Promise<number | undefined>
  /** Names in a folder, sorted; empty if it is not there. */
  list(folder: string): Promise<string[]>
  /** Removes a file or a whole folder; harmless if it is not there. */
  remove(path: string): Promise<void>
  /** Makes a folder with mode 0700, and those above it. */
  makeFolder(path: string): Promise<void>
}

/** When ticks come: a cron expression in a timezone (empty: UTC), or every so many milliseconds of the epoch, where `cron` is empty. */
export interface TickSpec {
  cron: string
  timezone: string
  everyMs: number
}

/** All that a shell may ask of the world. */
export interface Platform {
  clock: Clock
  random: Random
  transport: Transport
  /** Missing where nobody speaks HTTP. */
  web?: Web
  files: Files
  /** The first tick after a wall time, in milliseconds since 1970; undefined if none comes any more. Throws an Error for a spec that cannot be. */
  nextTick(spec: TickSpec, afterMs: number): number | undefined
  /** A line for the operator's log, as fields. */
  log(level: 'debug' | 'info' | 'warn' | 'error', event: string, fields?: Record<string, unknown>): void
}

// Owns the connection to one etcd member: calls of one answer and calls of many, over one HTTP/2 session that is opened when it is needed.
// Must not try anything twice, or know what the calls mean.
import { type ClientHttp2Session, connect } from 'node:http2'
import { connect as connectPlain, isIP, type Socket } from 'node:net'
import { connect as connectSecurely } from 'node:tls'
import { Exchange, type ExchangeHandlers } from './grpc-exchange.ts'
import { GrpcError } from './grpc-messages.ts'

/** Certificates in PEM. The server's name is always checked. */
export interface TlsIdentity {
  /** Whom to trust; those that Node trusts without it. */
  ca?: Buffer | string
  cert?: Buffer | string
  key?: Buffer | string
}

/** A small call by which a connection is asked whether it lives. */
export interface Probe {
  path: string
  message: Buffer
}

/**
 * An answer may hold all that one transaction or one page of rows gives: many values of up to 1.5 MiB. More than this is nobody's answer. Memory is taken as
 * bytes come, never because they are announced.
 */
export const answerBytesMax = 64 << 20
const connectWithinMs = 2_000
/** With calls under way and nothing heard for so long, the member is asked whether it lives. */
const silentMs = 1_000
const probeWithinMs = 2_500
const streamWindowBytes = 1 << 20
const sessionWindowBytes = 8 << 20
/** What Node may hold for one session, in MB: 32 transactions of 1.5 MiB in flight and what comes back. Its default of 10 would refuse them. */
const sessionMemoryMaxMegabytes = 256

const sessionOptions = {
  settings: { enablePush: false, initialWindowSize: streamWindowBytes },
  maxSessionMemory: sessionMemoryMaxMegabytes,
}

/** The connection to one member. */
export class Channel {
  readonly endpoint: string
  readonly #tls: TlsIdentity | undefined
  readonly #probe: Probe
  readonly #exchanges = new Map<Exchange, ClientHttp2Session>()
  #session: ClientHttp2Session | undefined
  #opening: Promise<void> | undefined
  #heardMs = 0
  #watching: NodeJS.Timeout | undefined
  #probing = false
  #closed = false

  constructor(endpoint: string, tls: TlsIdentity | undefined, probe: Probe) {
    this.endpoint = endpoint
    this.#tls = tls
    this.#probe = probe
  }

  get isOpen(): boolean {
    return this.#session !== undefined
  }

  /** Opens it if it is not open. Rejects with a GrpcError (`unsent`). */
  open(): Promise<void> {
    if (this.#session !== undefined) return Promise.resolve()
    this.#opening ??= this.#connect().finally(() => {
      this.#opening = undefined
    })
    return this.#opening
  }

  #connect(): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(new GrpcError('unsent', 'the client was closed'))
      let words = 'it ended while it was opened'
      const socket = this.#socket()
      const session = connect(this.endpoint, { ...sessionOptions, createConnection: () => socket })
      // Not the session's own end, which it never tells where its server refuses the client's certificate; nor the socket's alone, which stays open then.
      const end = (): void => {
        clearTimeout(timer)
        this.#leave(session)
        session.destroy()
        socket.destroy()
        reject(new GrpcError('unsent', `${this.endpoint}: ${words}`))
        // What came before the end is taken in first.
        setImmediate(() => this.#abandon(session, words))
      }
      const fail = (error: Error): void => {
        words = error.message.trim()
        end()
      }
      const timer = setTimeout(() => fail(new Error(`no connection within ${connectWithinMs} ms`)), connectWithinMs)
      socket.once('close', end).on('error', fail)
      session.on('error', fail).on('goaway', () => this.#leave(session))
      session.once('connect', () => session.setLocalWindowSize(sessionWindowBytes))
      // Its settings show that an HTTP/2 server speaks, and that it took this side's certificate: nothing is sent before.
      session.once('remoteSettings', () => {
        clearTimeout(timer)
        if (this.#closed || session.closed || session.destroyed) return socket.destroy()
        this.#session = session
        this.#heard()
        resolve()
      })
    })
  }

  #socket(): Socket {
    const { protocol, hostname, port } = new URL(this.endpoint)
    const host = hostname.replace(/^\[|\]$/g, '')
    const to = { host, port: Number(port || (protocol === 'https:' ? 443 : 80)) }
    if (protocol !== 'https:') return connectPlain(to)
    const servername = isIP(host) === 0 ? { servername: host } : {}
    return connectSecurely({ ...to, ...servername, ...this.#tls, ALPNProtocols: ['h2'], minVersion: 'TLSv1.2', rejectUnauthorized: true })
  }

  #abandon(session: ClientHttp2Session, words: string): void {
    for (const [exchange, on] of this.#exchanges) if (on === session) exchange.abandon(words)
  }

  /** No new calls on this session: it ended, or its server said goodbye. Calls that it takes to the end go on. */
  #leave(session: ClientHttp2Session): void {
    if (this.#session === session) this.#session = undefined
  }

  /** One message there, one back, within a time. Rejects with a GrpcError. */
  unary(path: string, message: Buffer, metadata: Record<string, string>, withinMs: number): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const answers: Buffer[] = []
      const exchange = this.#start(
        path,
        { ...metadata, 'grpc-timeout': `${withinMs}m` },
        {
          message: bytes => {
            answers.push(bytes)
            if (answers.length > 1) exchange?.abandon('more than one message came as the answer')
          },
          ended: error => {
            clearTimeout(timer)
            if (error !== undefined) reject(error)
            else if (answers[0] === undefined) reject(new GrpcError('malformed', 'it was answered without a message'))
            else resolve(answers[0])
          },
        },
      )
      // After a pause of this process timers come before what the network brought meanwhile: that is looked at first.
      const timer = setTimeout(
        () => setImmediate(() => exchange?.abandon(`no answer from ${this.endpoint} within ${withinMs} ms`)),
        withinMs,
      ).unref()
      exchange?.send(message, true)
    })
  }

  /** A call of many messages in both directions. */
  stream(path: string, metadata: Record<string, string>, handlers: ExchangeHandlers): Exchange | undefined {
    return this.#start(path, metadata, handlers)
  }

  #start(path: string, metadata: Record<string, string>, handlers: ExchangeHandlers): Exchange | undefined {
    const session = this.#session
    if (session === undefined || session.closed || session.destroyed) {
      // Told later, as every other end.
      queueMicrotask(() => handlers.ended(new GrpcError('unsent', `the connection to ${this.endpoint} is not open`)))
      return undefined
    }
    const started: Exchange = new Exchange(
      session,
      path,
      metadata,
      {
        message: bytes => {
          this.#heard()
          handlers.message(bytes)
        },
        ended: error => {
          this.#exchanges.delete(started)
          if (error === undefined || error.outcome === 'refused') this.#heard()
          handlers.ended(error)
        },
      },
      answerBytesMax,
    )
    if (this.#exchanges.size === 0) this.#heard()
    this.#exchanges.set(started, session)
    this.#watching ??= setInterval(() => this.#watchSilence(), silentMs / 2).unref()
    return started
  }

  #heard(): void {
    this.#heardMs = performance.now()
  }

  /**
   * A peer that is cut off or stands still does not end its connections. HTTP/2's own pings would tell, but etcd hangs up on clients that send them more often
   * than every five seconds: too late for whoever waits for a lease to end. So it is a small call.
   */
  #watchSilence(): void {
    if (this.#exchanges.size === 0) {
      clearInterval(this.#watching)
      this.#watching = undefined
      return
    }
    const session = this.#session
    if (session === undefined || this.#probing || performance.now() - this.#heardMs < silentMs) return
    this.#probing = true
    this.unary(this.#probe.path, this.#probe.message, {}, probeWithinMs)
      .catch((error: unknown) => {
        if (error instanceof GrpcError && error.outcome === 'lost') session.destroy(new Error(`${this.endpoint} is silent`))
      })
      .finally(() => {
        this.#probing = false
      })
  }

  /** Ends it; calls under way end. */
  close(): void {
    this.#closed = true
    clearInterval(this.#watching)
    for (const exchange of this.#exchanges.keys()) exchange.abandon('the client was closed')
    this.#session?.destroy()
  }
}

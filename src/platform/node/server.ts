// Owns a port that HTTP is spoken on, with or without TLS: its limits, its certificates as they change, its connections until they end.
// Must not judge requests: guard.ts does.
import { readFileSync } from 'node:fs'
import type { IncomingMessage, Server, ServerOptions } from 'node:http'
import type { Socket } from 'node:net'
import type { Server as TlsServer } from 'node:tls'
import { CoxswainError } from '../../protocol/index.ts'
import type { Callers } from './callers.ts'
import type { ListenLimits } from './limits.ts'
import type { Security } from './security.ts'
import { presentedBy, problemOf, servingOptions } from './tls.ts'

/** The operator's log. */
export type Log = (level: 'debug' | 'info' | 'warn' | 'error', event: string, fields?: Record<string, unknown>) => void

/** Open files that connections must leave to the rest of the process: journal, blocks, children. */
const filesReserved = 256
/** What happens again and again is logged once in so long, with its number. */
const logEveryMs = 10_000

/** A server, not yet listening. */
export interface Port {
  readonly server: Server
  /** This request's connection has proved who it is: it counts no more among those that have not. */
  proved(request: IncomingMessage): void
  listen(host: string, port: number): Promise<string>
  close(): Promise<void>
}

/** What a port is made with. */
export interface PortOptions {
  security: Security | undefined
  limits: ListenLimits
  callers: Callers
  log: Log
}

/** As many connections as the process may have, by this limit and by the system's on open files. */
function connectionsMaxHere(limit: number): number {
  let files = Number.POSITIVE_INFINITY
  try {
    files = Number(/^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? files)
  } catch {
    // Only Linux tells.
  }
  return Math.min(limit, files - Math.min(filesReserved, Math.floor(files / 2)) || limit)
}

function createServer({ security, limits }: PortOptions): Server {
  const options: ServerOptions = {
    headersTimeout: limits.headersTimeoutMs,
    requestTimeout: limits.requestTimeoutMs,
    keepAliveTimeout: limits.keepAliveMs,
    connectionsCheckingInterval: limits.lateCheckMs,
  }
  // Their import would load Node's own WebSocket as well, which nothing here uses: a fifth of the start of a process.
  if (!security) return process.getBuiltinModule('node:http').createServer(options)
  const secure = { requestCert: true, handshakeTimeout: limits.handshakeTimeoutMs, ...servingOptions(security.current()) }
  // Who joins and who brings a token has no certificate; one that does not verify is refused by guard.ts.
  return process.getBuiltinModule('node:https').createServer({ ...options, ...secure, rejectUnauthorized: false })
}

/** Calls `log` at most once in `logEveryMs`, with how often it happened since. */
function seldom(log: Log, event: string): (fields?: Record<string, unknown>) => void {
  let times = 0
  let loggedMs = Number.NEGATIVE_INFINITY
  return fields => {
    times++
    const nowMs = performance.now()
    if (nowMs - loggedMs < logEveryMs) return
    log('warn', event, { ...fields, times })
    loggedMs = nowMs
    times = 0
  }
}

/** Follows the identity: new connections meet the new certificate, old ones live on. Returns what ends it. */
function follow(server: Server, security: Security, log: Log): () => void {
  return security.onChange(() => {
    try {
      // With an identity it was made as an HTTPS server, which is a TLS server too.
      const secure = server as Server & Pick<TlsServer, 'setSecureContext'>
      secure.setSecureContext(servingOptions(security.current()))
    } catch (error) {
      log('error', 'certificate-not-usable', { message: (error as Error).message })
    }
  })
}

/** Opens a port. */
export function createPort(options: PortOptions): Port {
  const { security, limits, callers, log } = options
  const server = createServer(options)
  const leaves = new WeakMap<Socket, () => void>()
  const byAddress = new Map<string, Socket>()
  const nameOf = ({ remoteAddress, remotePort }: Socket): string => `${remoteAddress} ${remotePort}`
  const shed = seldom(log, 'connections-shed')
  server.maxConnections = connectionsMaxHere(limits.connectionsMax)
  server.on('drop', dropped => shed({ remote: dropped?.remoteAddress }))
  server.on('connection', socket => {
    const leave = callers.enter(socket.remoteAddress ?? '')
    if (!leave) {
      shed({ remote: socket.remoteAddress })
      socket.destroy()
      return
    }
    const name = nameOf(socket)
    leaves.set(socket, leave)
    byAddress.set(name, socket)
    socket.on('close', () => {
      leave()
      if (byAddress.get(name) === socket) byAddress.delete(name)
    })
  })
  server.on('clientError', (_error, socket) => socket.destroy())
  const failed = seldom(log, 'handshake-failed')
  server.on('tlsClientError', (error: NodeJS.ErrnoException, socket) => {
    failed({ remote: socket.remoteAddress, problem: problemOf(error.code) ?? error.message })
    socket.destroy()
  })
  // What was shown is read while it is there; requests are judged by it.
  server.on('secureConnection', socket => void presentedBy(socket))
  const unfollow = security ? follow(server, security, log) : undefined
  return {
    server,
    proved(request) {
      const socket = byAddress.get(nameOf(request.socket))
      if (socket) leaves.get(socket)?.()
    },
    async listen(host, port) {
      await bind(server, host, port, log)
      const bound = server.address()
      return `${host.includes(':') ? `[${host}]` : host}:${typeof bound === 'object' && bound ? bound.port : port}`
    },
    async close() {
      unfollow?.()
      await new Promise<void>(resolve => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
    },
  }
}

async function bind(server: Server, host: string, port: number, log: Log): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException): void => {
      const id = `${host}:${port}`
      const refused = error.code === 'EADDRINUSE' || error.code === 'EACCES' || error.code === 'EADDRNOTAVAIL' || error.code === 'ENOTFOUND'
      reject(refused ? new CoxswainError('ADDRESS_IN_USE', `${id} cannot be listened on (${error.code}).`, { id }) : error)
    }
    server.once('error', failed)
    server.listen(port, host, () => {
      server.off('error', failed)
      server.on('error', error => log('error', 'listening-failed', { message: error.message }))
      resolve()
    })
  })
}

// Owns WebSocket connections between processes, with a bearer token in the handshake.
// Must not know what frames mean.
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { WebSocket, WebSocketServer } from 'ws'
import { CoxswainError } from '../../protocol/index.ts'
import type { Connection, ConnectionHandlers, Listener, ListenOptions, Transport } from '../platform.ts'

// Its import would load Node's own WebSocket as well, which nothing here uses: a fifth of the start of a process.
const { createServer } = process.getBuiltinModule('node:http')

/** A dial is given up after this: whoever holds the port may be frozen, and another one lead by then. */
const handshakeTimeoutMs = 3_000
/** The whole head of an HTTP request must be there within this. */
const headersTimeoutMs = 10_000
const closeReasonBytesMax = 120

/** A socket as a connection; its handlers are set once they are known, and `stream` as soon as there is one below the frames. */
function wrap(
  socket: WebSocket,
  remote: string,
): { connection: Connection; own(handlers: ConnectionHandlers): void; over(stream: Duplex): void } {
  let failure = ''
  let below: Duplex | undefined
  let held = false
  const flush = (): void => {
    held = false
    below?.uncork()
  }
  const connection: Connection = {
    remote,
    send(frame) {
      // Errors of a dying socket arrive through `closed`.
      if (socket.readyState !== WebSocket.OPEN) return
      // Frames of one turn leave in one system call: small ones cost little else.
      if (!held && below) {
        held = true
        below.cork()
        process.nextTick(flush)
      }
      socket.send(frame, noop)
    },
    get bufferedBytes() {
      return socket.bufferedAmount
    },
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    close(reason) {
      if (socket.readyState === WebSocket.CONNECTING) socket.terminate()
      else socket.close(1000, reason.slice(0, closeReasonBytesMax))
    },
  }
  const own = (handlers: ConnectionHandlers): void => {
    let refused: number | undefined
    let absent = false
    socket.on('open', () => handlers.opened())
    socket.on('message', data => handlers.frame(data as Buffer))
    socket.on('unexpected-response', (_request, response) => {
      refused = response.statusCode
      failure = `refused with HTTP ${refused}`
      socket.terminate()
    })
    socket.on('error', error => {
      failure ||= error.message
      absent = (error as NodeJS.ErrnoException).code === 'ECONNREFUSED'
    })
    socket.on('close', (code, reason) => handlers.closed(reason.toString() || failure || `closed with code ${code}`, refused, absent))
    if (socket.readyState === WebSocket.OPEN) handlers.opened()
  }
  const over = (stream: Duplex): void => {
    below = stream
  }
  return { connection, own, over }
}

function noop(): void {}

function connect(address: string, token: string, frameBytesMax: number, handlers: ConnectionHandlers): Connection {
  const socket = new WebSocket(address, {
    headers: { authorization: `Bearer ${token}` },
    maxPayload: frameBytesMax,
    perMessageDeflate: false,
    skipUTF8Validation: true,
    handshakeTimeout: handshakeTimeoutMs,
    // Masks protect proxies from what browsers send. Here they would cost a pass over every byte: all zero, they change none.
    generateMask: mask => mask.fill(0),
  })
  const { connection, own, over } = wrap(socket, address)
  socket.on('upgrade', response => {
    response.socket.setNoDelay(true)
    over(response.socket)
  })
  own(handlers)
  return connection
}

async function listen<P>(options: ListenOptions<P>): Promise<Listener> {
  const server = createServer({ headersTimeout: headersTimeoutMs, requestTimeout: headersTimeoutMs }, (request, response) => {
    const open = request.method === 'GET' && request.url === '/healthz'
    const status = open ? (options.healthy() ? 200 : 503) : 401
    response
      .writeHead(status, { 'content-type': 'text/plain', connection: 'close' })
      .end(open ? `${status === 200 ? 'ok' : 'not leading'}\n` : 'unauthenticated\n')
  })
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: options.frameBytesMax,
    perMessageDeflate: false,
    skipUTF8Validation: true,
  })
  const upgrade = async (request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> => {
    const header = request.headers.authorization ?? ''
    const { remoteAddress = '', remotePort } = request.socket
    // A browser always names its origin; none of our clients is one.
    const principal =
      header.startsWith('Bearer ') && request.headers.origin === undefined
        ? await options.authenticate({ token: header.slice('Bearer '.length), certificate: undefined, remote: remoteAddress })
        : undefined
    if (principal === undefined) {
      socket.end('HTTP/1.1 401 Unauthorized\r\nconnection: close\r\ncontent-length: 0\r\n\r\n')
      return
    }
    sockets.handleUpgrade(request, socket, head, opened => {
      request.socket.setNoDelay(true)
      const { connection, own, over } = wrap(opened, `${remoteAddress}:${remotePort}`)
      over(request.socket)
      own(options.accept(connection, principal))
    })
  }
  server.on('upgrade', (request, socket, head) => {
    socket.on('error', noop)
    upgrade(request, socket, head).catch(() => socket.destroy())
  })
  server.on('clientError', (_error, socket) => socket.destroy())
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EADDRINUSE' && error.code !== 'EACCES') return reject(error)
      reject(
        new CoxswainError('ADDRESS_IN_USE', `${options.host}:${options.port} cannot be listened on (${error.code}).`, {
          id: `${options.host}:${options.port}`,
        }),
      )
    })
    server.listen(options.port, options.host, resolve)
  })
  const bound = server.address()
  const port = typeof bound === 'object' && bound ? bound.port : options.port
  return {
    address: `ws://${options.host.includes(':') ? `[${options.host}]` : options.host}:${port}`,
    async close() {
      for (const socket of sockets.clients) socket.terminate()
      await new Promise<void>(resolve => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
    },
  }
}

/** WebSockets over TCP. */
export const nodeTransport: Transport = { connect, listen }

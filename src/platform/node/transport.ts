// Owns WebSocket connections between processes, with a bearer token or a certificate in the handshake.
// Must not know what frames mean.
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { WebSocket, WebSocketServer } from 'ws'
import type { Connection, ConnectionHandlers, Listener, ListenOptions, Transport } from '../platform.ts'
import { Answers, refusalParts } from './answers.ts'
import { Callers } from './callers.ts'
import { Guard, type Refusal } from './guard.ts'
import { type ListenLimits, listenLimits } from './limits.ts'
import type { Security } from './security.ts'
import { createPort, type Log, type Port } from './server.ts'
import { dialOptions, dialProblem } from './tls.ts'

/** A dial is given up after this: whoever holds the port may be frozen, and another one lead by then. */
const handshakeTimeoutMs = 3_000
// Its import would load Node's own WebSocket as well, which nothing here uses: a fifth of the start of a process.
const { STATUS_CODES } = process.getBuiltinModule('node:http')
const closeReasonBytesMax = 120
/** Of the text of a refusal. */
const refusalBytesMax = 2_048

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
      void readRefusal(response).then(message => {
        if (message !== '') failure = `refused with HTTP ${refused}: ${message}`
        socket.terminate()
      })
    })
    socket.on('error', (error: NodeJS.ErrnoException) => {
      failure ||= dialProblem(error)
      absent = error.code === 'ECONNREFUSED'
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

/** Why a handshake was refused, as far as it is said; never rejects. */
async function readRefusal(response: IncomingMessage): Promise<string> {
  let text = ''
  try {
    for await (const piece of response.setEncoding('utf8')) {
      text += String(piece)
      if (text.length > refusalBytesMax) return ''
    }
    const { message } = JSON.parse(text) as { message?: unknown }
    return typeof message === 'string' ? message.replace(/[\x00-\x1f\x7f-\x9f]/g, ' ') : ''
  } catch {
    return ''
  }
}

/** What a transport may be made with, beside who this process is. */
export interface TransportSurroundings {
  log?: Log
  limits?: Partial<ListenLimits>
}

const thisMachine = /^ws:\/\/(127\.\d+\.\d+\.\d+|localhost|\[::1\])(:|\/|$)/

function connect(
  security: Security | undefined,
  address: string,
  token: string,
  frameBytesMax: number,
  handlers: ConnectionHandlers,
): Connection {
  const secure = address.startsWith('wss:')
  const socket = new WebSocket(address, {
    headers: token === '' ? {} : { authorization: `Bearer ${token}` },
    maxPayload: frameBytesMax,
    perMessageDeflate: false,
    skipUTF8Validation: true,
    handshakeTimeout: handshakeTimeoutMs,
    ...(secure && { minVersion: 'TLSv1.3' as const, ...(security && dialOptions(security, 'candidate')) }),
    // Masks protect proxies from what browsers send. Here they would cost a pass over every byte: all zero, they change none.
    generateMask: mask => mask.fill(0),
  })
  const { connection, own, over } = wrap(socket, address)
  socket.on('upgrade', response => {
    response.socket.setNoDelay(true)
    over(response.socket)
  })
  own(handlers)
  if (security && !secure && !thisMachine.test(address)) {
    // It has not connected yet, so nothing has been said.
    socket.emit('error', new Error('this process belongs to a cluster of machines: it dials others by wss:// only'))
    socket.terminate()
  }
  return connection
}

/** Says no to a handshake in HTTP, and ends. */
function refuseUpgrade(socket: Duplex, refusal: Refusal): void {
  const { headers, body } = refusalParts(refusal)
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.end(`HTTP/1.1 ${refusal.status} ${STATUS_CODES[refusal.status]}\r\n${lines.join('')}\r\n${body}`)
}

async function upgrade<P>(
  options: ListenOptions<P>,
  guard: Guard<P>,
  port: Port,
  sockets: WebSocketServer,
  [request, socket, head]: [IncomingMessage, Duplex, Buffer],
): Promise<void> {
  const misdirected = guard.misdirected(request)
  if (misdirected) return refuseUpgrade(socket, misdirected)
  const verdict = await guard.judge(request)
  if (verdict.kind !== 'known') {
    if (verdict.kind === 'open') guard.failed(request)
    return refuseUpgrade(socket, verdict.refusal)
  }
  port.proved(request)
  sockets.handleUpgrade(request, socket, head, opened => {
    request.socket.setNoDelay(true)
    const { remoteAddress = '', remotePort } = request.socket
    const { connection, own, over } = wrap(opened, `${remoteAddress}:${remotePort}`)
    over(request.socket)
    own(options.accept(connection, verdict.principal))
  })
}

async function listen<P>(
  security: Security | undefined,
  around: Required<TransportSurroundings>,
  options: ListenOptions<P>,
): Promise<Listener> {
  const limits = { ...listenLimits, ...around.limits }
  const { log } = around
  const callers = new Callers(limits, () => performance.now())
  const { host, names = [], authenticate } = options
  const guard = new Guard<P>({ host, names, authenticate: credentials => authenticate(credentials), callers, log })
  const port = createPort({ security, limits, callers, log })
  const answers = new Answers(options, guard, limits, log, request => port.proved(request))
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: options.frameBytesMax,
    perMessageDeflate: false,
    skipUTF8Validation: true,
  })
  port.server.on('request', (request, response) => void answers.request(request, response))
  port.server.on('upgrade', (request, socket, head) => {
    socket.on('error', noop)
    // From here on Node's own limits hold no more.
    const late = setTimeout(() => socket.destroy(), limits.headersTimeoutMs).unref()
    upgrade(options, guard, port, sockets, [request, socket, head])
      .catch(error => {
        log('error', 'handshake-failed', { message: (error as Error).message })
        socket.destroy()
      })
      .finally(() => clearTimeout(late))
  })
  const address = await port.listen(host, options.port)
  return {
    address: `${security ? 'wss' : 'ws'}://${address}`,
    close() {
      for (const socket of sockets.clients) socket.terminate()
      return port.close()
    },
  }
}

/**
 * WebSockets over TCP; with an identity, over TLS 1.3 between nodes that prove to each other who they are. Addresses are `wss://host:port` then. Whoever is
 * dialled there is a candidate, or is not believed.
 */
export function makeNodeTransport(security?: Security, { log = noop, limits = {} }: TransportSurroundings = {}): Transport {
  return {
    connect: (address, token, frameBytesMax, handlers) => connect(security, address, token, frameBytesMax, handlers),
    listen: options => listen(security, { log, limits }, options),
  }
}

/** For a cluster on one machine, which keeps to its loopback. */
export const nodeTransport: Transport = makeNodeTransport()

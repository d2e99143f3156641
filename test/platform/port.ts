// Owns a port for the tests of this room: who comes is noted, frames come back, limits are as small as a test wants.
// Must not hold tests.
import { connect as connectTcp, type Socket } from 'node:net'
import type { Connection, Credentials, HttpAnswer, HttpRequest, ListenOptions, Transport } from '../../src/platform/index.ts'
import { type ListenLimits, makeNodeTransport, type Security } from '../../src/platform/node/index.ts'

/** The token that is right. */
export const rightToken = 'right-token'

/** Who somebody is in these tests. */
export type Who = { by: 'token' } | { by: 'certificate'; uris: readonly string[] }

/** A line of the port's log. */
export interface LogEntry {
  event: string
  [field: string]: unknown
}

/** What a test wants of its port. */
export interface PortWishes {
  security?: Security
  limits?: Partial<ListenLimits>
  host?: string
  answer?: ListenOptions<Who>['answer']
  openPaths?: readonly string[]
  names?: readonly string[]
}

/** A port that echoes. */
export class TestPort {
  readonly accepted: { who: Who; connection: Connection }[] = []
  readonly credentials: Credentials[] = []
  readonly log: LogEntry[] = []
  readonly requests: HttpRequest[] = []
  readonly transport: Transport
  address = ''
  #close: () => Promise<void> = async () => undefined

  constructor({ security, limits }: PortWishes) {
    const log = (_level: string, event: string, fields: Record<string, unknown> = {}): void => void this.log.push({ event, ...fields })
    this.transport = makeNodeTransport(security, { log, ...(limits && { limits }) })
  }

  static async open(wishes: PortWishes = {}): Promise<TestPort> {
    const port = new TestPort(wishes)
    const { answer, openPaths, names } = wishes
    const listener = await port.transport.listen<Who>({
      host: wishes.host ?? '127.0.0.1',
      port: 0,
      frameBytesMax: 1 << 20,
      authenticate: credentials => port.#authenticate(credentials),
      healthy: () => true,
      accept: (connection, who) => {
        port.accepted.push({ who, connection })
        return { opened() {}, frame: bytes => connection.send(bytes), closed() {} }
      },
      ...(openPaths && { openPaths }),
      ...(names && { names }),
      answer: async (request, who): Promise<HttpAnswer | undefined> => {
        port.requests.push(request)
        return answer?.(request, who)
      },
    })
    port.address = listener.address
    port.#close = () => listener.close()
    return port
  }

  #authenticate(credentials: Credentials): Who | undefined {
    this.credentials.push(credentials)
    if (credentials.certificate) return { by: 'certificate', uris: credentials.certificate.uris }
    return credentials.token === rightToken ? { by: 'token' } : undefined
  }

  /** Base URL of its requests. */
  get url(): string {
    return this.address.replace(/^ws/, 'http')
  }

  get number(): number {
    return Number(new URL(this.address).port)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#close()
  }
}

/** How a dial ended: open, or why not. */
export interface Dialled {
  connection: Connection
  /** Resolves when it is open, or with why it never was. */
  outcome: Promise<'open' | { reason: string; refused: number | undefined }>
  /** Resolves with the reason when it has ended. */
  ended: Promise<string>
  /** Resolves with the next frame. */
  next(): Promise<Buffer>
}

/** Dials. */
export function dial(transport: Transport, address: string, token = rightToken): Dialled {
  const outcome = Promise.withResolvers<Awaited<Dialled['outcome']>>()
  const ended = Promise.withResolvers<string>()
  const frames: Buffer[] = []
  const waiting: ((frame: Buffer) => void)[] = []
  const connection = transport.connect(address, token, 1 << 20, {
    opened: () => outcome.resolve('open'),
    frame(bytes) {
      const taker = waiting.shift()
      if (taker) taker(Buffer.from(bytes))
      else frames.push(Buffer.from(bytes))
    },
    closed(reason, refused) {
      outcome.resolve({ reason, refused })
      ended.resolve(reason)
    },
  })
  return {
    connection,
    outcome: outcome.promise,
    ended: ended.promise,
    next: () => {
      const frame = frames.shift()
      return frame ? Promise.resolve(frame) : new Promise(resolve => waiting.push(resolve))
    },
  }
}

/** A bare connection to a port: resolves with all that came once it has ended. */
export function bare(port: number, say: string | Buffer | undefined, began: (socket: Socket) => void = () => undefined): Promise<string> {
  return new Promise(resolve => {
    const pieces: Buffer[] = []
    const socket = connectTcp(port, '127.0.0.1', () => {
      if (say !== undefined) socket.write(say)
      began(socket)
    })
    socket.on('data', piece => pieces.push(piece))
    socket.on('error', () => undefined)
    socket.on('close', () => resolve(Buffer.concat(pieces).toString('latin1')))
  })
}

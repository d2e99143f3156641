// Owns a server of gRPC for tests that answers as it is told, also as no server should: resets, halves, goodbyes, silence.
// Must not behave by itself.
import { once } from 'node:events'
import {
  constants,
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2'
import type { AddressInfo } from 'node:net'
import { ProtobufReader } from '../../src/journal/etcd/protobuf.ts'

/** One call that a client made. */
export class FakeCall {
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly stream: ServerHttp2Stream
  /** Its first message, without the head. */
  readonly message: Buffer

  constructor(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, message: Buffer) {
    this.stream = stream
    this.headers = headers
    this.path = String(headers[':path'])
    this.message = message
  }

  /** The method's name alone: `Range`. */
  get method(): string {
    return this.path.slice(this.path.lastIndexOf('/') + 1)
  }

  /** Begins an answer. */
  begin(headers: Record<string, string> = {}): void {
    this.stream.respond({ ':status': 200, 'content-type': 'application/grpc', ...headers }, { waitForTrailers: true })
  }

  /** One message of an answer. */
  write(message: Buffer): void {
    const head = Buffer.alloc(5)
    head.writeUInt32BE(message.length, 1)
    this.stream.write(Buffer.concat([head, message]))
  }

  /** Ends an answer with a status in its trailers. */
  finish(status = 0, words = ''): void {
    this.stream.on('wantTrailers', () =>
      this.stream.sendTrailers({ 'grpc-status': String(status), 'grpc-message': encodeURIComponent(words) }),
    )
    this.stream.end()
  }

  answer(message: Buffer): void {
    this.begin()
    this.write(message)
    this.finish()
  }

  /** A refusal, which is all there is to the answer. */
  refuse(status: number, words: string): void {
    const headers = { 'content-type': 'application/grpc', 'grpc-status': String(status), 'grpc-message': encodeURIComponent(words) }
    this.stream.respond({ ':status': 200, ...headers }, { endStream: true })
  }

  reset(code: number = constants.NGHTTP2_INTERNAL_ERROR): void {
    this.stream.close(code)
  }

  /** Breaks the connection off. */
  hangUp(): void {
    this.stream.session?.destroy()
  }

  /** Says goodbye and that this call, which must not be the connection's first, was not looked at. */
  goodbyeBefore(): void {
    this.stream.session?.goaway(constants.NGHTTP2_NO_ERROR, this.stream.id! - 2)
  }

  /** A number in the request. */
  number(...fields: number[]): number {
    let reader = new ProtobufReader(this.message)
    for (const [at, wanted] of fields.entries()) {
      let field = reader.field()
      while (field !== 0 && field !== wanted) {
        reader.skip()
        field = reader.field()
      }
      if (field === 0) return 0
      if (at === fields.length - 1) return reader.number()
      reader = reader.message()
    }
    return 0
  }
}

/** One server. */
export class FakeMember {
  readonly calls: FakeCall[] = []
  readonly #server: Http2Server
  readonly #sessions = new Set<ServerHttp2Session>()

  private constructor(handle: (call: FakeCall, number: number) => void) {
    this.#server = createServer()
    this.#server.on('session', session => {
      this.#sessions.add(session)
      session.on('error', () => undefined).once('close', () => this.#sessions.delete(session))
    })
    this.#server.on('stream', (stream, headers) => {
      let bytes = Buffer.alloc(0)
      stream.on('error', () => undefined)
      const take = (piece: Buffer): void => {
        bytes = Buffer.concat([bytes, piece])
        if (bytes.length < 5 || bytes.length < 5 + bytes.readUInt32BE(1)) return
        stream.off('data', take).resume()
        const call = new FakeCall(stream, headers, bytes.subarray(5, 5 + bytes.readUInt32BE(1)))
        this.calls.push(call)
        handle(call, this.calls.length)
      }
      stream.on('data', take)
    })
  }

  /** Starts one; it is told of each call, with its number from 1 on. */
  static async start(handle: (call: FakeCall, number: number) => void): Promise<FakeMember> {
    const member = new FakeMember(handle)
    member.#server.listen(0, '127.0.0.1')
    await once(member.#server, 'listening')
    return member
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  get sessions(): number {
    return this.#sessions.size
  }

  /** How many calls of this method came. */
  count(method: string): number {
    return this.calls.filter(call => call.method === method).length
  }

  async close(): Promise<void> {
    for (const session of this.#sessions) session.destroy()
    this.#server.close()
    await once(this.#server, 'close')
  }
}

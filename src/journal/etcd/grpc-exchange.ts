// Owns one call of gRPC on an HTTP/2 stream: what is sent, the messages that come back, and how it ended, told exactly once.
// Must not know of other calls, members or etcd.
import { type ClientHttp2Session, type ClientHttp2Stream, constants } from 'node:http2'
import { GrpcError, grpcStatus, headProblem, MessageCutter, statusIn } from './grpc-messages.ts'

/** What becomes of a call. */
export interface ExchangeHandlers {
  message(bytes: Buffer): void
  /** Once, after the last message; without an error if the server ended it with the status OK. */
  ended(error?: GrpcError): void
}

/** One call under way. */
export class Exchange {
  readonly #stream: ClientHttp2Stream
  readonly #handlers: ExchangeHandlers
  readonly #cutter: MessageCutter
  #status: { status: number; message: string } | undefined
  #failure: GrpcError | undefined
  #words = 'the connection ended'
  #over = false

  constructor(session: ClientHttp2Session, path: string, metadata: Record<string, string>, handlers: ExchangeHandlers, bytesMax: number) {
    this.#handlers = handlers
    this.#cutter = new MessageCutter(bytesMax)
    this.#stream = session.request(
      { ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers', ...metadata },
      { endStream: false },
    )
    this.#stream
      .on('response', headers => {
        this.#status = statusIn(headers)
        const problem = headProblem(headers)
        if (problem !== undefined) this.#fail(new GrpcError(this.#status === undefined ? 'malformed' : 'refused', problem))
      })
      .on('trailers', trailers => {
        this.#status = statusIn(trailers) ?? this.#status
      })
      .on('data', (piece: Buffer) => this.#take(piece))
      .on('end', () => {
        this.#stream.end()
        // The stream's own end comes a turn later; with the status all is known.
        if (this.#status !== undefined) this.#settle()
      })
      .on('error', error => {
        this.#words = error.message
      })
      .on('close', () => this.#settle())
  }

  /** Sends one framed message; the last one ends this side. */
  send(message: Buffer, last: boolean): void {
    if (this.#over || this.#stream.destroyed) return
    if (last) this.#stream.end(message)
    else this.#stream.write(message)
  }

  /** Ends it from this side. With words, `ended` tells them as what was lost; without, nothing is told any more. */
  abandon(words?: string): void {
    if (words === undefined) this.#over = true
    this.#fail(new GrpcError(this.#isUnsent() ? 'unsent' : 'lost', words ?? 'it was given up'))
  }

  #take(piece: Buffer): void {
    if (this.#over) return
    let messages: Buffer[]
    try {
      messages = this.#cutter.push(piece)
    } catch (error) {
      if (!(error instanceof GrpcError)) throw error
      return this.#fail(error)
    }
    for (const message of messages) if (!this.#over) this.#handlers.message(message)
  }

  #fail(error: GrpcError): void {
    this.#failure ??= error
    if (!this.#stream.closed) this.#stream.close(constants.NGHTTP2_CANCEL)
    this.#settle()
  }

  /** A stream without a number was not given to the network; one that the server refused was not looked at. */
  #isUnsent(): boolean {
    return this.#stream.id === undefined || this.#stream.rstCode === constants.NGHTTP2_REFUSED_STREAM
  }

  #settle(): void {
    if (this.#over) return
    this.#over = true
    this.#handlers.ended(this.#failure ?? this.#outcome())
  }

  #outcome(): GrpcError | undefined {
    if (this.#status !== undefined) {
      const { status, message } = this.#status
      if (status !== grpcStatus.ok) return new GrpcError('refused', message || `status ${status}`, status)
      return this.#cutter.within ? new GrpcError('malformed', 'the answer ends within a message') : undefined
    }
    return new GrpcError(this.#isUnsent() ? 'unsent' : 'lost', this.#words)
  }
}

// Owns what gRPC puts around messages: their heads, the status in trailers, and the error of a call without a good answer.
// Must not know etcd's calls.
import type { IncomingHttpHeaders } from 'node:http2'
import { grpcHeadBytes } from './protobuf.ts'

/** Statuses that are told apart. */
export const grpcStatus = {
  ...{ ok: 0, cancelled: 1, unknown: 2, invalidArgument: 3, deadlineExceeded: 4, notFound: 5, permissionDenied: 7, resourceExhausted: 8 },
  ...{ failedPrecondition: 9, outOfRange: 11, unimplemented: 12, unavailable: 14, dataLoss: 15, unauthenticated: 16 },
} as const

/**
 * Why a call has no good answer. `unsent`: it never reached a server that would act on it. `lost`: it was sent, perhaps not wholly, and nobody knows.
 * `refused`: the server answered with this status. `malformed`: it answered with bytes that are no answer.
 */
export type GrpcOutcome = 'unsent' | 'lost' | 'refused' | 'malformed'

/** A call without a good answer. */
export class GrpcError extends Error {
  readonly outcome: GrpcOutcome
  /** The server's status where it refused, or -1. */
  readonly status: number

  constructor(outcome: GrpcOutcome, message: string, status = -1) {
    super(message)
    this.name = 'GrpcError'
    this.outcome = outcome
    this.status = status
  }
}

/** Cuts messages out of a stream of bytes. Keeps no more than one message and one piece. */
export class MessageCutter {
  readonly #bytesMax: number
  #pieces: Buffer[] = []
  #bytes = 0
  /** Length of the message whose head was read, or -1. */
  #length = -1

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  /** Whether a message has begun and not ended. */
  get within(): boolean {
    return this.#bytes > 0 || this.#length >= 0
  }

  /** Takes a piece in; gives the messages that end in it. Throws a GrpcError where they are compressed or too long. */
  push(piece: Buffer): Buffer[] {
    this.#pieces.push(piece)
    this.#bytes += piece.length
    const messages: Buffer[] = []
    for (;;) {
      if (this.#length < 0) {
        if (this.#bytes < grpcHeadBytes) return messages
        this.#length = this.#lengthIn(this.#take(grpcHeadBytes))
      }
      if (this.#bytes < this.#length) return messages
      messages.push(this.#take(this.#length))
      this.#length = -1
    }
  }

  #lengthIn(head: Buffer): number {
    if (head[0] !== 0) throw new GrpcError('malformed', `a message is of the kind ${head[0]}, where 0 (not compressed) was agreed on`)
    const length = head.readUInt32BE(1)
    if (length > this.#bytesMax)
      throw new GrpcError('malformed', `a message of ${length} bytes is announced; ${this.#bytesMax} are the limit`)
    return length
  }

  #take(bytes: number): Buffer {
    const [first] = this.#pieces
    const all = first !== undefined && first.length >= bytes ? first : Buffer.concat(this.#pieces)
    const rest = all.subarray(bytes)
    if (all === first) this.#pieces.shift()
    else this.#pieces = []
    if (rest.length > 0) this.#pieces.unshift(rest)
    this.#bytes -= bytes
    return all.subarray(0, bytes)
  }
}

/** The status in a head or in trailers; undefined where there is none. */
export function statusIn(headers: IncomingHttpHeaders): { status: number; message: string } | undefined {
  const text = headers['grpc-status']
  if (text === undefined) return undefined
  const status = /^\d{1,5}$/.test(String(text)) ? Number(text) : grpcStatus.unknown
  return { status, message: decodeMessage(String(headers['grpc-message'] ?? '')) }
}

/** Words are escaped by percent signs; what is not, is taken as it is. */
function decodeMessage(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** What is wrong with the head of an answer; undefined if nothing. */
export function headProblem(headers: IncomingHttpHeaders & { ':status'?: number | undefined }): string | undefined {
  const { ':status': status, 'content-type': type = '' } = headers
  if (status !== 200) return `answered with the HTTP status ${status}`
  return type.startsWith('application/grpc') ? undefined : `answered with ${JSON.stringify(type.slice(0, 80))} instead of gRPC`
}

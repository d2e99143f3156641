// Owns calling a gRPC service with plain HTTP/2: one message there, one back. It is faster than the libraries, which is fair to who is called.
// Must not know any service.
import { type ClientHttp2Session, connect } from 'node:http2'

const headBytes = 5
const varintFlag = 0x80
const wholeNumber = 0
const withLength = 2

function varint(value: bigint): Buffer {
  const bytes: number[] = []
  let rest = value
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | varintFlag)
  bytes.push(Number(rest))
  return Buffer.from(bytes)
}

/** A field with a whole number. */
export function numberField(field: number, value: bigint): Buffer {
  return Buffer.concat([varint(BigInt((field << 3) | wholeNumber)), varint(value)])
}

/** A field with bytes. */
export function bytesField(field: number, value: Uint8Array): Buffer {
  return Buffer.concat([varint(BigInt((field << 3) | withLength)), varint(BigInt(value.length)), value])
}

/** The fields of a message, numbers and bytes; the last one of each number counts. */
export function fieldsOf(message: Uint8Array): Map<number, bigint | Uint8Array> {
  const fields = new Map<number, bigint | Uint8Array>()
  let at = 0
  const read = (): bigint => {
    let value = 0n
    for (let shift = 0n; ; shift += 7n) {
      const byte = message[at++]!
      value |= BigInt(byte & 127) << shift
      if (byte < varintFlag) return value
    }
  }
  while (at < message.length) {
    const tag = Number(read())
    const kind = tag & 7
    if (kind !== wholeNumber && kind !== withLength) throw new Error(`a field of kind ${kind} is not known here`)
    const value = read()
    if (kind === withLength) fields.set(tag >> 3, message.subarray(at, (at += Number(value))))
    else fields.set(tag >> 3, value)
  }
  return fields
}

/** A connection to a server. */
export class GrpcClient implements Disposable {
  readonly #session: ClientHttp2Session

  constructor(url: string) {
    this.#session = connect(url)
    // Whoever calls is told by the call.
    this.#session.on('error', () => undefined)
  }

  /** Calls a method, as in `/package.Service/Method`; gives the fields of the answer. */
  call(path: string, ...fields: Buffer[]): Promise<Map<number, bigint | Uint8Array>> {
    const message = Buffer.concat(fields)
    const head = Buffer.alloc(headBytes)
    head.writeUInt32BE(message.length, 1)
    return new Promise((resolve, reject) => {
      const stream = this.#session.request({ ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers' })
      const parts: Buffer[] = []
      let status: unknown
      let told: unknown
      const note = (headers: NodeJS.Dict<string | string[]>): void => {
        status ??= headers['grpc-status']
        told ??= headers['grpc-message']
      }
      stream.on('response', headers => note(headers as NodeJS.Dict<string>))
      stream.on('trailers', headers => note(headers as NodeJS.Dict<string>))
      stream.on('data', (part: Buffer) => parts.push(part))
      stream.on('error', reject)
      stream.on('end', () => {
        if (status !== '0') reject(new Error(`${path}: status ${status} ${told ?? ''}`))
        else resolve(fieldsOf(Buffer.concat(parts).subarray(headBytes)))
      })
      stream.end(Buffer.concat([head, message]))
    })
  }

  [Symbol.dispose](): void {
    this.#session.destroy()
  }
}

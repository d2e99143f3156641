// Owns one HTTP exchange with a worker's block server: bytes up, bytes down, with a limit on silence.
// Must not choose workers or try again: blocks.ts does.
import { open } from 'node:fs/promises'
import type { ClientRequest, IncomingMessage } from 'node:http'
import type { Sockets, Web } from '../../platform/index.ts'
import { nodeWeb } from '../../platform/node/index.ts'
import { blockBearerHeader, blockHolderHeader, blockPathType, CoxswainError } from '../../protocol/index.ts'

const socketsMax = 16
/** Silence for longer than this ends an exchange. */
const silenceMsMax = 30_000
/** Of the text of a refusal. */
const textBytesMax = 4096
/** Read from a file at a time: it is hashed at once, while it is in the processor's cache. */
const readBytesMax = 1 << 20

/** A refusal or a broken exchange. `status` 0: no answer came. */
export class TransferError extends Error {
  readonly status: number
  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

/** The worker is on this machine and named the block's file, which this process may not read. */
export class NotReadableError extends TransferError {}

/** What an exchange needs. */
export interface Exchange {
  sockets: Sockets
  url: string
  /** What gives the right to it, and who says that it asks: this client's session. */
  capability: string
  bearer: string
  /** The worker whose block it is: another one may have it too, or can get at it. */
  holder: string
  signal: AbortSignal | undefined
}

/** Sockets that are kept for the next exchange. Whoever has them closes them. */
export function keptSockets(web: Web = nodeWeb): Sockets {
  return web.sockets(socketsMax)
}

const loopback = /^https?:\/\/(127\.\d+\.\d+\.\d+|localhost|\[::1\])(:|\/|$)/

/** True if this address is of a worker on this machine. */
export function isHere(address: string): boolean {
  return loopback.test(address)
}

function start(exchange: Exchange, method: string, headers: Record<string, string | number>): ClientRequest {
  return exchange.sockets.request(exchange.url, {
    method,
    headers: {
      authorization: `Bearer ${exchange.capability}`,
      [blockBearerHeader]: encodeURIComponent(exchange.bearer),
      [blockHolderHeader]: encodeURIComponent(exchange.holder),
      ...headers,
    },
    timeout: silenceMsMax,
    ...(exchange.signal ? { signal: exchange.signal } : {}),
  })
}

async function bodyText(response: IncomingMessage): Promise<string> {
  let text = ''
  for await (const piece of response.setEncoding('utf8')) {
    text += String(piece)
    if (text.length > textBytesMax) break
  }
  return text.slice(0, textBytesMax).trim()
}

async function refusal(response: IncomingMessage): Promise<TransferError> {
  return new TransferError(response.statusCode ?? 0, (await bodyText(response)) || `HTTP ${response.statusCode}`)
}

/** Waits for the answer to a request whose body is written by `body`. */
function answer(outgoing: ClientRequest, exchange: Exchange, body: () => void): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    outgoing.on('response', resolve)
    outgoing.on('timeout', () => outgoing.destroy(new Error(`silent for ${silenceMsMax} ms`)))
    outgoing.on('error', error => reject(exchange.signal?.aborted ? exchange.signal.reason : new TransferError(0, error.message)))
    body()
  })
}

/**
 * Fills `target` from `offset` on; `piece` is called for each piece. Throws TransferError, with what came by then in place.
 * `inPlace`: a worker on this machine may name the block's file, which is then read as HDFS does in short-circuit local reads: large
 * results do not pass two sockets and another process.
 */
export async function download(
  exchange: Exchange,
  target: Buffer,
  offset: number,
  inPlace: boolean,
  piece: (bytes: Buffer) => void,
): Promise<void> {
  const headers: Record<string, string> = {}
  if (inPlace) headers['accept'] = `${blockPathType}, application/octet-stream`
  if (offset > 0) headers['range'] = `bytes=${offset}-`
  const outgoing = start(exchange, 'GET', headers)
  const response = await answer(outgoing, exchange, () => outgoing.end())
  if (inPlace && response.statusCode === 200 && response.headers['content-type'] === blockPathType)
    return readFileInto(target, offset, await bodyText(response), exchange.signal, piece)
  if (response.statusCode !== (offset > 0 ? 206 : 200)) throw await refusal(response)
  const announced = Number(response.headers['content-length'] ?? target.length - offset)
  if (announced !== target.length - offset) {
    response.destroy()
    throw new CoxswainError('BLOCK_CORRUPT', `${exchange.url} has ${offset + announced} bytes where ${target.length} were expected.`)
  }
  const position = await received(response, target, offset, piece)
  if (exchange.signal?.aborted) throw exchange.signal.reason
  if (position < target.length) throw new TransferError(0, `the connection ended ${target.length - position} bytes early`)
}

async function readFileInto(
  target: Buffer,
  offset: number,
  path: string,
  signal: AbortSignal | undefined,
  piece: (bytes: Buffer) => void,
): Promise<void> {
  try {
    await using file = await open(path)
    let position = offset
    while (position < target.length) {
      signal?.throwIfAborted()
      const { bytesRead } = await file.read(target, position, Math.min(readBytesMax, target.length - position), position)
      if (bytesRead === 0) throw new Error(`ends ${target.length - position} bytes early`)
      piece(target.subarray(position, position + bytesRead))
      position += bytesRead
    }
  } catch (error) {
    if (signal?.aborted) throw signal.reason
    throw new NotReadableError(0, `${path}: ${(error as Error).message}`)
  }
}

/** Copies what comes into place, as events: an iterator would cost a promise for every piece. Resolves with the position behind it. */
function received(response: IncomingMessage, target: Buffer, offset: number, piece: (bytes: Buffer) => void): Promise<number> {
  return new Promise(resolve => {
    let position = offset
    response.on('data', (bytes: Buffer) => {
      // Node ends a body at its announced length, so there is room.
      bytes.copy(target, position)
      position += bytes.length
      piece(bytes)
    })
    response.on('error', () => undefined)
    response.on('close', () => resolve(position))
  })
}

/** Sends a block; resolves when the worker has it on disk. Throws TransferError. */
export async function upload(exchange: Exchange, segments: readonly Uint8Array[], bytes: number): Promise<void> {
  const outgoing = start(exchange, 'PUT', { 'content-length': bytes, 'content-type': 'application/octet-stream' })
  const response = await answer(outgoing, exchange, () => {
    void writeAll(outgoing, segments)
  })
  if (response.statusCode !== 200 && response.statusCode !== 201 && response.statusCode !== 204) throw await refusal(response)
  response.resume()
}

const writeBytesMax = 1 << 20

/** Writes piece by piece as the socket takes them, so that a large value is not copied into its buffers. */
async function writeAll(outgoing: ClientRequest, segments: readonly Uint8Array[]): Promise<void> {
  for (const segment of segments) {
    for (let from = 0; from < segment.length; from += writeBytesMax) {
      if (outgoing.destroyed) return
      if (!outgoing.write(segment.subarray(from, from + writeBytesMax))) await drained(outgoing)
    }
  }
  outgoing.end()
}

/** Resolves when more may be written, or nothing more will be. */
function drained(outgoing: ClientRequest): Promise<void> {
  return new Promise(resolve => {
    const done = (): void => {
      outgoing.off('drain', done)
      outgoing.off('close', done)
      resolve()
    }
    outgoing.on('drain', done)
    outgoing.on('close', done)
  })
}

/** The error for a caller when no worker could be used. */
export function transferFailed(block: string, what: string, error: unknown): CoxswainError {
  const status = error instanceof TransferError ? error.status : 0
  const code = status === 401 ? 'UNAUTHENTICATED' : status === 403 ? 'FORBIDDEN' : 'BLOCK_LOST'
  return new CoxswainError(code, `Block ${block} could not be ${what}: ${(error as Error).message}`, { id: block, cause: error })
}

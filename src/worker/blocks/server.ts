// Owns the HTTP server through which clients and other workers store and fetch blocks.
// Must not serve anything else, nor anything to who proves nothing.
import { createReadStream } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import type { Credentials, Listener, Web } from '../../platform/index.ts'
import { blockPathType, CoxswainError, type ErrorCode, limits } from '../../protocol/index.ts'
import { type BlockStore, isBlockId } from './store.ts'

/** A connection on which nothing moves for so long is ended. */
const idleTimeoutMs = 60_000
const connectionsMax = 512
/** Bytes read from disk at a time. */
const readAheadBytes = 1 << 20
const loopback = /^(::ffff:)?127\.|^::1$/
const path = /^\/blocks\/([0-9a-f]{64})$/

/** What is answered when something cannot be done. */
class Refusal extends Error {
  readonly status: number
  readonly code: ErrorCode

  constructor(status: number, code: ErrorCode, message: string) {
    super(message)
    this.status = status
    this.code = code
  }
}

export interface BlockServerOptions {
  web: Web
  host: string
  /** 0, or left out: a free one. */
  port?: number
  /** Host, or host and port, that others are told where it is not what is listened on. */
  advertise?: string
  /** Names that it may be asked by, beside these and plain addresses. */
  names?: readonly string[]
  /** True if this bearer token or this certificate may read and write blocks. Compares in constant time. */
  authenticate(credentials: Credentials): boolean | Promise<boolean>
}

export class BlockServer {
  readonly #store: BlockStore
  readonly #options: BlockServerOptions
  #listener: Listener | undefined
  #address = ''

  constructor(store: BlockStore, options: BlockServerOptions) {
    this.#store = store
    this.#options = options
  }

  /** Base URL of the blocks, once it listens. */
  get address(): string {
    return this.#address
  }

  /** Throws ADDRESS_IN_USE. */
  async listen(): Promise<void> {
    const { web, host, port = 0, advertise, names = [], authenticate } = this.#options
    this.#listener = await web.serve<true>({
      host,
      port,
      names: advertise === undefined ? names : [...names, new URL(`http://${advertise}`).hostname],
      connectionsMax,
      idleTimeoutMs,
      authenticate: async credentials => (await authenticate(credentials)) || undefined,
      answer: (request, response) => this.#answer(request, response).catch(error => refuse(request, response, error)),
    })
    this.#address = advertise === undefined ? this.#listener.address : advertised(this.#listener.address, advertise)
  }

  async close(): Promise<void> {
    await this.#listener?.close()
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const block = path.exec(request.url ?? '')?.[1]
    if (block === undefined || !isBlockId(block)) throw new Refusal(404, 'NOT_FOUND', 'no such path')
    if (request.method === 'PUT') await this.#put(block, request, response)
    else if (request.method === 'GET' || request.method === 'HEAD') await this.#get(block, request, response)
    else throw new Refusal(405, 'INVALID_ARGUMENT', 'GET, HEAD or PUT')
  }

  async #get(block: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const found = await this.#store.find(block)
    if (!found) throw new Refusal(404, 'BLOCK_LOST', `block ${block} is not here`)
    // Who is on this machine too and says so may read the file itself, if the system lets it.
    if (request.headers.accept?.includes(blockPathType) && loopback.test(request.socket.remoteAddress ?? '')) {
      response.writeHead(200, { 'content-type': blockPathType }).end(found.path)
      return
    }
    const range = readRange(request.headers.range, found.bytes)
    if (range === 'bad') throw new Refusal(416, 'INVALID_ARGUMENT', `the block has ${found.bytes} bytes`)
    const { from, to } = range ?? { from: 0, to: found.bytes }
    const head: Record<string, string | number> = {
      'content-type': 'application/octet-stream',
      'content-length': to - from,
      'accept-ranges': 'bytes',
    }
    if (range) head['content-range'] = `bytes ${from}-${to - 1}/${found.bytes}`
    response.writeHead(range ? 206 : 200, head)
    if (request.method === 'HEAD' || to === from) {
      response.end()
      return
    }
    await pipeline(createReadStream(found.path, { start: from, end: to - 1, highWaterMark: readAheadBytes }), response)
  }

  async #put(block: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const length = Number(request.headers['content-length'])
    if (!Number.isSafeInteger(length) || length < 0) throw new Refusal(411, 'INVALID_ARGUMENT', 'a content-length is needed')
    if (length > limits.blockBytesMax) throw new Refusal(413, 'FRAME_TOO_LARGE', `a block has at most ${limits.blockBytesMax} bytes`)
    const there = await this.#store.renew(block)
    if (there) {
      request.resume()
      response.writeHead(200, { 'content-length': 0, ...(there.bytes === length ? {} : { connection: 'close' }) }).end()
      return
    }
    if (request.headers.expect !== undefined) response.writeContinue()
    const incoming = await this.#store.receive(block, false, length)
    try {
      for await (const piece of request) {
        await incoming.write(piece as Buffer)
        if (incoming.bytes > length) throw new Refusal(400, 'FRAME_MALFORMED', 'more bytes than were announced')
      }
      if (incoming.bytes !== length) throw new Refusal(400, 'FRAME_MALFORMED', 'fewer bytes than were announced')
      await incoming.commit()
    } catch (error) {
      await incoming.abort()
      throw error
    }
    response.writeHead(201, { 'content-length': 0 }).end()
  }
}

/** The address that others are told: what is advertised, with the scheme that is listened on, and its port where none is named. */
function advertised(address: string, advertise: string): string {
  const { protocol, port } = new URL(address)
  return /:\d+$/.test(advertise) ? `${protocol}//${advertise}` : `${protocol}//${advertise}:${port}`
}

/** A single range of bytes, `to` excluded. */
function readRange(header: string | undefined, size: number): { from: number; to: number } | 'bad' | undefined {
  if (header === undefined) return undefined
  const match = /^bytes=(\d*)-(\d*)$/.exec(header)
  if (!match || (match[1] === '' && match[2] === '')) return 'bad'
  if (match[1] === '') return { from: Math.max(0, size - Number(match[2])), to: size }
  const from = Number(match[1])
  const to = match[2] === '' ? size : Math.min(size, Number(match[2]) + 1)
  return from >= size || from >= to ? 'bad' : { from, to }
}

/** Answers with what went wrong; the body is a code and a message, as JSON. */
function refuse(request: IncomingMessage, response: ServerResponse, error: unknown): void {
  if (response.headersSent || response.destroyed) {
    response.destroy()
    return
  }
  const { status, code, message } = describe(error)
  const body = JSON.stringify({ code, message })
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), connection: 'close' })
  response.end(body)
  request.resume()
}

function describe(error: unknown): { status: number; code: ErrorCode; message: string } {
  if (error instanceof Refusal) return error
  if (error instanceof CoxswainError) return { status: 400, code: error.code, message: error.message }
  const { code } = error as NodeJS.ErrnoException
  if (code === 'ENOSPC' || code === 'EDQUOT') return { status: 507, code: 'OVERLOADED', message: 'the disk of this worker is full' }
  return { status: 500, code: 'UNAVAILABLE', message: `the worker could not do it${code ? ` (${code})` : ''}` }
}

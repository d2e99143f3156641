// Owns the HTTP server through which clients and other workers store and fetch blocks.
// Must not serve anything else, nor anything to who brings no capability for it.
import { createReadStream } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import type { Listener, PeerCertificate, Platform, Web } from '../../platform/index.ts'
import {
  blockBearerHeader,
  blockHolderHeader,
  blockPathType,
  CoxswainError,
  type ErrorCode,
  limits,
  type WorkerId,
} from '../../protocol/index.ts'
import type { BlockAccess } from './access.ts'
import { type BlockStore, isBlockId } from './store.ts'
import type { Tier } from './tier.ts'

/** A connection on which nothing moves for so long is ended. */
const idleTimeoutMs = 60_000
const connectionsMax = 512
/** What is refused again and again is logged once in so long, with its number. */
const logEveryMs = 10_000
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
  /** The worker's name. */
  name: WorkerId
  access: BlockAccess
  tier: Tier | undefined
  /** Who a certificate is of: whoever brings one must ask by that name. Undefined: by no name. Without this, names are not compared. */
  nameOf?: (certificate: PeerCertificate) => string | undefined
  log?: Platform['log']
}

/** What somebody brings: it may prove something about itself, and nothing yet about what it asks for. */
interface Caller {
  capability: string
  certificate: PeerCertificate | undefined
}

export class BlockServer {
  readonly #store: BlockStore
  readonly #options: BlockServerOptions
  #listener: Listener | undefined
  #address = ''
  #loggedAtMs = Number.NEGATIVE_INFINITY

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
    const { web, host, port = 0, advertise, names = [] } = this.#options
    this.#listener = await web.serve<Caller>({
      host,
      port,
      names: advertise === undefined ? names : [...names, new URL(`http://${advertise}`).hostname],
      connectionsMax,
      idleTimeoutMs,
      // What is brought is judged with what is asked for, below; nothing at all is refused at once.
      authenticate: ({ token: capability, certificate }) => (capability === '' ? undefined : { capability, certificate }),
      answer: (request, response, caller) => this.#answer(request, response, caller).catch(error => refuse(request, response, error)),
    })
    this.#address = advertise === undefined ? this.#listener.address : advertised(this.#listener.address, advertise)
  }

  async close(): Promise<void> {
    await this.#listener?.close()
  }

  async #answer(request: IncomingMessage, response: ServerResponse, caller: Caller): Promise<void> {
    const { method } = request
    const block = path.exec(request.url ?? '')?.[1]
    const operation = method === 'PUT' ? ('write' as const) : ('read' as const)
    // Judged before anything is looked up: what is here and what is not is refused alike, and so is what cannot be.
    const bearer = this.#bearer(request, caller)
    if (!this.#options.access.admits({ operation, bearer, block: block ?? '', capability: caller.capability })) {
      this.#logRefusal(request)
      throw new Refusal(403, 'FORBIDDEN', 'a capability for this is needed')
    }
    if (block === undefined || !isBlockId(block)) throw new Refusal(404, 'NOT_FOUND', 'no such path')
    if (method === 'PUT') await this.#put(block, request, response)
    else if (method === 'GET' || method === 'HEAD') await this.#get(block, request, response)
    else throw new Refusal(405, 'INVALID_ARGUMENT', 'GET, HEAD or PUT')
  }

  #logRefusal({ socket }: IncomingMessage): void {
    const nowMs = performance.now()
    if (nowMs - this.#loggedAtMs < logEveryMs) return
    this.#loggedAtMs = nowMs
    const { access, log = () => undefined } = this.#options
    log('warn', 'block-refused', { remote: socket.remoteAddress, refused: access.refused })
  }

  /** By which name it asks: empty, for which there is no capability, where its certificate is another one's. */
  #bearer(request: IncomingMessage, { certificate }: Caller): string {
    const { nameOf } = this.#options
    const name = nameIn(request, blockBearerHeader) ?? ''
    return certificate && nameOf && nameOf(certificate) !== name ? '' : name
  }

  async #get(block: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const own = await this.#store.find(block)
    const found = own ?? (await this.#store.findCopy(block))
    if (!found) return this.#relay(block, request, response)
    // Who is on this machine too and says so may read the file itself, if the system lets it.
    if (own && request.headers.accept?.includes(blockPathType) && loopback.test(request.socket.remoteAddress ?? '')) {
      response.writeHead(200, { 'content-type': blockPathType }).end(found.path)
      return
    }
    const { from, to } = begin(request, response, found.bytes)
    if (request.method === 'HEAD' || to === from) response.end()
    else await pipeline(createReadStream(found.path, { start: from, end: to - 1, highWaterMark: readAheadBytes }), response)
  }

  /** What is not here comes from the durable tier, if the holder is named and it is there: who asks needs no way to the tier of its own. */
  async #relay(block: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { tier } = this.#options
    const holder = nameIn(request, blockHolderHeader)
    const bytes = holder === undefined ? undefined : await tier?.size(holder, block)
    if (!tier || holder === undefined || bytes === undefined) throw new Refusal(404, 'BLOCK_LOST', `block ${block} is not here`)
    const { from, to } = begin(request, response, bytes)
    if (request.method === 'HEAD' || to === from) return void response.end()
    const found = await tier.open(holder, block, from)
    if (!found) return void response.destroy()
    await pipeline(firstOf(found.pieces, to - from), response)
  }

  async #put(block: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const length = Number(request.headers['content-length'])
    if (!Number.isSafeInteger(length) || length < 0) throw new Refusal(411, 'INVALID_ARGUMENT', 'a content-length is needed')
    if (length > limits.blockBytesMax) throw new Refusal(413, 'FRAME_TOO_LARGE', `a block has at most ${limits.blockBytesMax} bytes`)
    const there = await this.#store.renew(block)
    if (there) {
      request.resume()
      await this.#keep(block, there)
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
    await this.#keep(block, { path: this.#store.pathOf(block), bytes: length })
    response.writeHead(201, { 'content-length': 0 }).end()
  }

  /** Where there is a durable tier, who stores a block is answered when it is there. */
  async #keep(block: string, file: { path: string; bytes: number }): Promise<void> {
    await this.#options.tier?.store(this.#options.name, block, file)
  }
}

/** The name that a header holds, or undefined. */
function nameIn(request: IncomingMessage, header: string): string | undefined {
  const value = request.headers[header]
  try {
    return typeof value === 'string' && value !== '' ? decodeURIComponent(value) : undefined
  } catch {
    return undefined
  }
}

/** Writes the head of the answer; which bytes are to follow, `to` excluded. */
function begin(request: IncomingMessage, response: ServerResponse, bytes: number): { from: number; to: number } {
  const range = readRange(request.headers.range, bytes)
  if (range === 'bad') throw new Refusal(416, 'INVALID_ARGUMENT', `the block has ${bytes} bytes`)
  const { from, to } = range ?? { from: 0, to: bytes }
  response.writeHead(range ? 206 : 200, {
    'content-type': 'application/octet-stream',
    'content-length': to - from,
    'accept-ranges': 'bytes',
    ...(range && { 'content-range': `bytes ${from}-${to - 1}/${bytes}` }),
  })
  return { from, to }
}

/** As many bytes of these pieces. */
async function* firstOf(pieces: AsyncIterable<Uint8Array>, bytes: number): AsyncGenerator<Uint8Array> {
  let left = bytes
  for await (const piece of pieces) {
    yield piece.length > left ? piece.subarray(0, left) : piece
    left -= Math.min(left, piece.length)
    if (left === 0) return
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
  if (error instanceof CoxswainError && error.code === 'OBJECT_STORE_FAILED')
    return { status: 503, code: error.code, message: error.message }
  if (error instanceof CoxswainError) return { status: 400, code: error.code, message: error.message }
  const { code } = error as NodeJS.ErrnoException
  if (code === 'ENOSPC' || code === 'EDQUOT') return { status: 507, code: 'OVERLOADED', message: 'the disk of this worker is full' }
  return { status: 500, code: 'UNAVAILABLE', message: `the worker could not do it${code ? ` (${code})` : ''}` }
}

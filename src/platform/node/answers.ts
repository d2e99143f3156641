// Owns how requests that are not for a connection are answered: the refusals, the bounded body, the status of an error.
// Must not tell anybody stacks or paths of this machine.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { CoxswainError, type ErrorCode } from '../../protocol/index.ts'
import type { HttpAnswer, ListenOptions } from '../platform.ts'
import type { Guard, Refusal } from './guard.ts'
import type { ListenLimits } from './limits.ts'
import type { Log } from './server.ts'

const statuses: Partial<Record<ErrorCode, number>> = {
  UNAUTHENTICATED: 401,
  FORBIDDEN: 403,
  NOT_FOUND: 404,
  FRAME_TOO_LARGE: 413,
  OVERLOADED: 429,
  UNAVAILABLE: 503,
  FENCED: 503,
}
const methods = ['GET', 'POST']

/** The headers of every answer: nothing is guessed, kept or framed. */
const plainHeaders = { 'x-content-type-options': 'nosniff', 'cache-control': 'no-store' }

/** The body and the headers of a refusal. After it the connection ends: what is left of the request is not read. */
export function refusalParts({ code, message, retryAfterSeconds }: Refusal): { headers: Record<string, string | number>; body: string } {
  const body = JSON.stringify({ code, message })
  return {
    body,
    headers: {
      ...plainHeaders,
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
      connection: 'close',
      ...(retryAfterSeconds !== undefined && { 'retry-after': retryAfterSeconds }),
    },
  }
}

/** Answers with a refusal. */
export function refuse(request: IncomingMessage, response: ServerResponse, refusal: Refusal): void {
  if (response.headersSent || response.destroyed) {
    response.destroy()
    return
  }
  const { headers, body } = refusalParts(refusal)
  response.writeHead(refusal.status, headers).end(body)
  request.resume()
}

/** True if the body of this request is packed: nothing is unpacked here, so nothing can grow. */
export function isPacked(request: IncomingMessage): boolean {
  const { 'content-encoding': encoding = 'identity' } = request.headers
  return encoding.toLowerCase() !== 'identity'
}

/** The refusal of a packed body. */
export const packed: Refusal = {
  status: 415,
  code: 'INVALID_ARGUMENT',
  message: 'bodies are taken as they are, without a content-encoding',
}

function refusalOf(error: unknown, log: Log): Refusal {
  if (error instanceof CoxswainError) {
    const { code, message, retryAfterMs } = error
    const refusal = { status: statuses[code] ?? 400, code, message }
    return retryAfterMs === undefined ? refusal : { ...refusal, retryAfterSeconds: Math.ceil(retryAfterMs / 1000) }
  }
  log('error', 'request-failed', { message: error instanceof Error ? (error.stack ?? error.message) : String(error) })
  return { status: 500, code: 'UNAVAILABLE', message: 'it could not be answered: the log of this node says why' }
}

/** A whole body, as long as it is no larger than that. Throws FRAME_TOO_LARGE. */
async function readBody(request: IncomingMessage, bytesMax: number): Promise<Uint8Array> {
  const tooLarge = (): CoxswainError => new CoxswainError('FRAME_TOO_LARGE', `A body has at most ${bytesMax} bytes.`)
  if (Number(request.headers['content-length'] ?? 0) > bytesMax) throw tooLarge()
  const pieces: Buffer[] = []
  let bytes = 0
  // What is too large is still answered, so the socket must outlive this loop.
  for await (const piece of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes += piece.length
    if (bytes > bytesMax) throw tooLarge()
    pieces.push(piece)
  }
  return Buffer.concat(pieces)
}

/** Answers what is asked of a port that is mainly for connections. */
export class Answers<P> {
  readonly #options: ListenOptions<P>
  readonly #guard: Guard<P>
  readonly #limits: ListenLimits
  readonly #log: Log
  readonly #proved: (request: IncomingMessage) => void

  constructor(options: ListenOptions<P>, guard: Guard<P>, limits: ListenLimits, log: Log, proved: (request: IncomingMessage) => void) {
    this.#options = options
    this.#guard = guard
    this.#limits = limits
    this.#log = log
    this.#proved = proved
  }

  /** Answers in any case. */
  async request(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const refusal = await this.#answer(request, response)
      if (refusal) refuse(request, response, refusal)
    } catch (error) {
      // Its own connection broke: nobody is there to be told.
      if (request.destroyed && !request.complete) response.destroy()
      else refuse(request, response, refusalOf(error, this.#log))
    }
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<Refusal | undefined> {
    const { healthy, openPaths = [] } = this.#options
    const misdirected = this.#guard.misdirected(request)
    if (misdirected) return misdirected
    const { method = '', url = '' } = request
    if (method === 'GET' && url === '/healthz') {
      const well = healthy()
      const headers = { ...plainHeaders, 'content-type': 'text/plain', connection: 'close' }
      response.writeHead(well ? 200 : 503, headers).end(well ? 'ok\n' : 'not leading\n')
      return undefined
    }
    const path = url.split('?', 1)[0]!
    const verdict = await this.#guard.judge(request)
    if (verdict.kind === 'refused') return verdict.refusal
    if (verdict.kind === 'open' && !openPaths.includes(path)) {
      this.#guard.failed(request)
      return verdict.refusal
    }
    const principal = verdict.kind === 'known' ? verdict.principal : undefined
    if (principal !== undefined) this.#proved(request)
    if (!methods.includes(method)) return { status: 405, code: 'INVALID_ARGUMENT', message: methods.join(' or ') }
    if (isPacked(request)) return packed
    const body = await readBody(request, this.#limits.bodyBytesMax)
    const answer = await this.#options.answer?.({ method, path, body, remote: request.socket.remoteAddress ?? '' }, principal)
    if (!answer) return { status: 404, code: 'NOT_FOUND', message: 'there is nothing of that name' }
    if (principal === undefined && (answer.status === 401 || answer.status === 403)) this.#guard.failed(request)
    send(response, answer)
    return undefined
  }
}

function send(response: ServerResponse, { status, type, body }: HttpAnswer): void {
  response.writeHead(status, { ...plainHeaders, 'content-type': type, 'content-length': Buffer.byteLength(body) }).end(body)
}

// Owns the answer to machines that join: a join token and a signing request become a certificate, once that is durable.
// Must not say more than "unknown" to whoever does not have a token's secret, and must not keep or log one.
import { createHash, timingSafeEqual } from 'node:crypto'
import type { State } from '../core/index.ts'
import type { HttpAnswer, HttpRequest, Platform } from '../platform/index.ts'
import {
  CoxswainError,
  type EnrolAnswer,
  type EnrolRefusal,
  type EnrolRequest,
  type ErrorCode,
  isNodeName,
  type LeaderToClient,
  type NodeRole,
  nodeRoles,
} from '../protocol/index.ts'
import type { NodeOptions } from './authority.ts'
import type { Loop } from './loop.ts'
import type { NodeOffice } from './nodes.ts'

/** How far the clock of a machine that joins may be from ours: certificates count from so long before they are made. */
const skewMsMax = 5 * 60_000
/** Requests that are being signed at once. */
const enrolmentsMax = 32
const addressPattern = /^(?:[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]):\d{1,5}$/

const statuses: Partial<Record<ErrorCode, number>> = {
  JOIN_TOKEN_UNKNOWN: 401,
  JOIN_TOKEN_EXPIRED: 403,
  JOIN_TOKEN_USED: 403,
  JOIN_ROLE_REFUSED: 403,
  NODE_NAME_TAKEN: 409,
  OVERLOADED: 503,
  UNAVAILABLE: 503,
}

/** What it works with. */
export interface EnrolmentOptions {
  state: State
  loop: Loop
  platform: Platform
  nodes: NodeOptions
  office: NodeOffice
}

/** A refusal as it travels. */
export function refusal(status: number, body: EnrolRefusal): HttpAnswer {
  return { status, type: 'application/json', body: JSON.stringify(body) }
}

function hashOf(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

/** What stands for the hash of a token that is not there, so that it takes as long: no secret that we know has it. */
const nobody = Buffer.alloc(32)

/** Lets machines in, and makes the tokens with which they come. */
export class Enrolment {
  readonly #options: EnrolmentOptions
  #underWay = 0

  constructor(options: EnrolmentOptions) {
    this.#options = options
  }

  /** A new join token; its secret is told once, to whoever asked. */
  makeToken(
    asked: { request: number; role: NodeRole; uses: number; expiresInMs: number },
    answered: (answer: Extract<LeaderToClient, { kind: 'joinToken' }> | CoxswainError) => void,
  ): void {
    const { loop, state, office, nodes } = this.#options
    const { token, secret, secretHash } = nodes.authority.newToken()
    const { request, role, uses, expiresInMs } = asked
    loop.post({
      command: { kind: 'makeJoinToken', token, secretHash, role, uses, expiresInMs },
      bytes: 0,
      reply: reply => {
        office.audit({ act: 'makeToken', node: '', outcome: reply.kind === 'refused' ? reply.error.code : 'ok', remote: '' })
        if (reply.kind === 'refused') return answered(reply.error)
        const { expiresAtMs } = state.nodes.tokens.get(token)!
        const { cluster } = state
        answered({
          kind: 'joinToken',
          ...{ request, cluster, authority: office.pinned, token, secret, role, expiresAtMs, candidates: office.candidates() },
        })
      },
    })
  }

  /** The answer to `POST /v1/enrol`. */
  async answer(request: HttpRequest): Promise<HttpAnswer> {
    const { office } = this.#options
    let node = ''
    const audit = (outcome: string): void => office.audit({ act: 'enrol', node, outcome, remote: request.remote })
    try {
      if (this.#underWay >= enrolmentsMax)
        throw new CoxswainError('OVERLOADED', 'As many machines as can are joining at this moment.', { retryAfterMs: 1000 })
      const asked = parse(request)
      node = asked.name
      this.#underWay++
      try {
        this.#prove(asked)
        const body = await this.#enrol(asked)
        audit('ok')
        return { status: 200, type: 'application/json', body: JSON.stringify(body) }
      } finally {
        this.#underWay--
      }
    } catch (error) {
      const { code, message } = office.expected(error)
      audit(code)
      return refusal(statuses[code] ?? 400, { code, message })
    }
  }

  /** Throws unless the secret is that of the token, and the clocks agree. */
  #prove({ token, secret, timeMs, name }: EnrolRequest): void {
    const { state, platform } = this.#options
    const known = state.nodes.tokens.get(token)
    const proven = timingSafeEqual(hashOf(secret), known ? Buffer.from(known.secretHash, 'hex') : nobody)
    if (!known || !proven) throw new CoxswainError('JOIN_TOKEN_UNKNOWN', 'This cluster made no such join token, or forgot it.')
    const hereMs = platform.clock.wallMs()
    const apartMs = timeMs - hereMs
    if (Math.abs(apartMs) > skewMsMax)
      throw new CoxswainError(
        'CLOCK_SKEWED',
        `The clock of ${name} says ${new Date(timeMs).toISOString()}, that of the leader ${new Date(hereMs).toISOString()}: ` +
          `${Math.round(Math.abs(apartMs) / 60_000)} min ${apartMs > 0 ? 'ahead' : 'behind'}.`,
        { id: name },
      )
  }

  async #enrol({ token, role, name, address, csr }: EnrolRequest): Promise<EnrolAnswer> {
    const { state, nodes, loop, office } = this.#options
    const { cluster } = state
    const authority = state.nodes.signs
    const { certificate, ...signed } = await nodes.authority.sign(authority, Buffer.from(csr, 'base64'), { cluster, role, name })
    await new Promise<void>((resolve, reject) =>
      loop.post({
        command: { kind: 'enrolNode', node: name, role, address, token, authority, ...signed },
        bytes: 0,
        reply: reply => (reply.kind === 'refused' ? reject(reply.error) : resolve()),
      }),
    )
    const { authorities, signs, revoked } = state.nodes
    const held = role === 'candidate' ? nodes.authority.keys().filter(one => authorities.has(one)) : []
    return {
      cluster,
      certificate: Buffer.from(certificate).toString('base64'),
      authorities: [...authorities.values()].map(one => ({
        authority: one.id,
        certificate: Buffer.from(one.certificate).toString('base64'),
      })),
      signs,
      revoked: [...revoked.keys()],
      candidates: office.candidates(),
      keys: held.map(one => ({ authority: one, key: nodes.authority.key(one) })),
    }
  }
}

/** The request, checked. Throws INVALID_ARGUMENT. */
function parse({ method, body }: HttpRequest): EnrolRequest {
  const bad = (what: string): CoxswainError => new CoxswainError('INVALID_ARGUMENT', `The request to join ${what}.`)
  if (method !== 'POST') throw bad('is no POST')
  let given: Partial<Record<keyof EnrolRequest, unknown>>
  try {
    given = JSON.parse(Buffer.from(body).toString('utf8')) as typeof given
  } catch {
    throw bad('is no JSON')
  }
  if (typeof given !== 'object' || given === null) throw bad('is no object')
  const { token, secret, role, name, address, csr, timeMs } = given
  const text = (value: unknown, charsMax: number): value is string => typeof value === 'string' && value.length <= charsMax
  if (!text(token, 200) || !text(secret, 200) || !text(csr, 8192)) throw bad('lacks its token or its key')
  if (!text(name, 200) || !isNodeName(name)) throw bad('names no node: up to 63 letters, digits and . _ -')
  if (!nodeRoles.includes(role as NodeRole)) throw bad('names no role')
  if (!text(address, 300) || (address !== '' && !addressPattern.test(address))) throw bad('names no address HOST:PORT')
  if (typeof timeMs !== 'number' || !Number.isFinite(timeMs) || Math.abs(timeMs) > 8e15) throw bad('does not say what time it is')
  return { token, secret, role: role as NodeRole, name, address, csr, timeMs }
}

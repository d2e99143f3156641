// Owns which member of etcd is spoken to: one as long as it answers, then another; what is tried again, how often, and with what pauses.
// Must not know what the calls mean.
import { EtcdError } from './api.ts'
import { type Effect, etcdErrorOf, isTokenRefused } from './faults.ts'
import { Channel, type TlsIdentity } from './grpc.ts'
import type { Exchange } from './grpc-exchange.ts'
import { GrpcError, type GrpcOutcome } from './grpc-messages.ts'
import { encodeStatus } from './member-messages.ts'
import { ProtobufError } from './protobuf.ts'
import { Tokens } from './tokens.ts'

/** One line of a log. */
export type Log = (level: 'info' | 'warn' | 'error', event: string, fields?: Record<string, unknown>) => void

/** The members, and how they are spoken to. */
export interface MembersOptions {
  /** Such as `https://host:2379`. */
  endpoints: readonly string[]
  tls?: TlsIdentity
  user?: string
  /** Asked each time that a token is needed. */
  password?: () => string
  /** How long a member may take for an answer. */
  callWithinMs?: number
  log?: Log
}

/** A call, as it is sent. */
export interface Call<Answer> {
  path: string
  message: Buffer
  effect: Effect
  decode(answer: Buffer): Answer
  /** Where an earlier try has no known end: a refusal with these words shows that it had its effect. */
  doneBefore?: { words: string; answer: Answer }
}

/** A call of many messages that was started. */
export interface OpenStream {
  channel: Channel
  exchange: Exchange | undefined
  token: string
}

/** Path and message of the call that every member answers by itself at once. */
export const statusCall = { path: '/etcdserverpb.Maintenance/Status', message: encodeStatus() }

/** For most disks a hundredth; etcd itself gives a write up after 7 s. */
const callWithinMsDefault = 3_000
const restMs = 100
const restMsMax = 3_000
/** Tries of a call that may be tried again, for each member, and at least. */
const triesPerMember = 2
const triesMin = 4

/** Only a member that knows its cluster's leader may answer: one in a minority refuses instead of waiting. */
const requireLeader = { hasleader: 'true' }

interface Rest {
  failures: number
  untilMs: number
}

/** A pause that grows with each failure, of random length so that those who failed together do not come back together. */
export function pauseMs(failures: number): number {
  return Math.min(restMs * 2 ** (failures - 1), restMsMax) * (0.5 + Math.random() / 2)
}

/** The members of one cluster. */
export class Members {
  readonly channels: readonly Channel[]
  readonly callWithinMs: number
  readonly log: Log
  readonly #tokens: Tokens | undefined
  readonly #rests = new Map<Channel, Rest>()
  readonly #waking = new Set<() => void>()
  #current: Channel
  #closed = false

  constructor(options: MembersOptions) {
    this.channels = options.endpoints.map(endpoint => new Channel(endpoint, options.tls, statusCall))
    // Many clients begin with different members.
    this.#current = this.channels[Math.floor(Math.random() * this.channels.length)]!
    this.callWithinMs = options.callWithinMs ?? callWithinMsDefault
    this.log = options.log ?? (() => undefined)
    if (options.user !== undefined) this.#tokens = new Tokens(options.user, options.password ?? (() => ''))
  }

  get closed(): boolean {
    return this.#closed
  }

  /**
   * Makes a call at a member that answers, and again at others where that is harmless. A transaction is sent at most once: it goes to another member only where
   * it had not been sent, or where it was refused before anything was done.
   */
  async call<Answer>(call: Call<Answer>): Promise<Answer> {
    const triesMax = call.effect === 'once' ? this.channels.length : Math.max(triesMin, this.channels.length * triesPerMember)
    let maybeDone: EtcdError | undefined
    for (let tries = 1; ; tries++) {
      let channel: Channel | undefined
      try {
        channel = await this.#pick()
        const answer = call.decode(await this.#send(channel, call))
        this.#rests.delete(channel)
        return answer
      } catch (error) {
        const fault = etcdErrorOf(error instanceof ProtobufError ? new GrpcError('malformed', error.message) : error, call.effect)
        if (this.#closed) throw new EtcdError('closed', 'the connection to etcd was closed', { cause: fault })
        if (maybeDone !== undefined && call.doneBefore !== undefined && fault.message.includes(call.doneBefore.words))
          return call.doneBefore.answer
        const again = fault.kind === 'unavailable' || fault.kind === 'unknown'
        if (!again) throw fault
        if (channel !== undefined) this.rest(channel, fault.message)
        if (fault.kind === 'unknown') maybeDone = fault
        if (tries >= triesMax || (maybeDone !== undefined && call.effect === 'once')) throw maybeDone ?? fault
        if (call.effect !== 'once' || channel === undefined) await this.#pause(pauseMs(tries))
      }
    }
  }

  /** Starts a call of many messages. Rejects with a GrpcError. */
  async stream(path: string, handlers: { message(bytes: Buffer): void; ended(error?: GrpcError): void }): Promise<OpenStream> {
    const channel = await this.#pick()
    const token = (await this.#tokens?.get(channel)) ?? ''
    const exchange = channel.stream(path, { ...requireLeader, ...(token && { token }) }, handlers)
    return { channel, exchange, token }
  }

  /** Asks one member about itself; no other can answer. */
  async ask<Answer>(channel: Channel, call: { path: string; message: Buffer; decode(answer: Buffer): Answer }): Promise<Answer> {
    await channel.open()
    const token = (await this.#tokens?.get(channel)) ?? ''
    try {
      return call.decode(await channel.unary(call.path, call.message, token ? { token } : {}, this.callWithinMs))
    } catch (error) {
      throw error instanceof ProtobufError ? new GrpcError('malformed', error.message) : error
    }
  }

  /** The token was refused in another way than as the end of a call. */
  tokenRefused(token: string): void {
    this.#tokens?.refused(token)
  }

  /** It failed: others are preferred for a while. */
  rest(channel: Channel, why: string): void {
    const nowMs = performance.now()
    const { failures, untilMs } = this.#rests.get(channel) ?? { failures: 0, untilMs: 0 }
    // Calls that were under way together fail together, and count as one.
    if (nowMs < untilMs) return
    this.#rests.set(channel, { failures: failures + 1, untilMs: nowMs + pauseMs(failures + 1) })
    this.log('warn', 'etcd-member-failed', { endpoint: channel.endpoint, failures: failures + 1, why })
  }

  /** It answered. */
  answered(channel: Channel): void {
    this.#rests.delete(channel)
  }

  async #send(channel: Channel, { path, message }: { path: string; message: Buffer }): Promise<Buffer> {
    if (this.#tokens === undefined) return channel.unary(path, message, requireLeader, this.callWithinMs)
    const token = await this.#tokens.get(channel)
    const metadata = (held: string): Record<string, string> => (held ? { ...requireLeader, token: held } : requireLeader)
    try {
      return await channel.unary(path, message, metadata(token), this.callWithinMs)
    } catch (error) {
      if (!(error instanceof GrpcError) || error.outcome !== 'refused' || !isTokenRefused(error.message)) throw error
      // It was refused before anything was done.
      this.#tokens.refused(token)
      return channel.unary(path, message, metadata(await this.#tokens.get(channel)), this.callWithinMs)
    }
  }

  /** A member with an open connection: the one spoken to last if it did not fail, else another one. */
  async #pick(): Promise<Channel> {
    if (this.#closed) throw new EtcdError('closed', 'the connection to etcd was closed')
    const nowMs = performance.now()
    const rested = (channel: Channel): boolean => nowMs >= (this.#rests.get(channel)?.untilMs ?? 0)
    if (this.#current.isOpen && rested(this.#current)) return this.#current
    const at = this.channels.indexOf(this.#current)
    const others = [...this.channels.slice(at + 1), ...this.channels.slice(0, at + 1)]
    const good = others.filter(rested)
    const open = good.find(channel => channel.isOpen)
    this.#current = open ?? (await this.#firstOpen(good).catch(() => this.#firstOpen(others)))
    return this.#current
  }

  /** Opens all at once: whoever is there first. Those that hang do not hold it up. */
  async #firstOpen(channels: readonly Channel[]): Promise<Channel> {
    try {
      return await Promise.any(channels.map(channel => channel.open().then(() => channel)))
    } catch (error) {
      for (const channel of channels) this.rest(channel, 'it cannot be reached')
      const reasons = error instanceof AggregateError ? error.errors.map(one => (one as Error).message) : []
      throw new GrpcError('unsent' satisfies GrpcOutcome, `no member can be reached: ${reasons.join('; ')}`)
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise(resolve => {
      const wake = (): void => {
        clearTimeout(timer)
        this.#waking.delete(wake)
        resolve()
      }
      const timer = setTimeout(wake, ms)
      this.#waking.add(wake)
    })
  }

  /** Ends all connections; calls under way end, pauses too. */
  close(): void {
    this.#closed = true
    for (const channel of this.channels) channel.close()
    for (const wake of this.#waking) wake()
  }
}

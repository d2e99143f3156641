// Owns the connection to the leader: dialling, hello, the pulse, back-off, and the refusal of a leader of a lower epoch.
// Must not know requests or jobs: session.ts does.
import type { Cancel, Connection, Platform } from '../platform/index.ts'
import {
  CoxswainError,
  decodeMessage,
  type ErrorCode,
  encodeMessage,
  errorFromWire,
  hello,
  type LeaderToClient,
  leaderToClient,
  limits,
  protocolVersion,
  release,
  type Welcome,
  welcome,
} from '../protocol/index.ts'
import type { Endpoint, LinkHandlers, LinkOptions } from './link-options.ts'

const backoffMsMin = 10
const backoffMsMax = 1000
/** A leader that was there a moment ago is back soon: until then the pauses stay short, or they would be most of what its death costs. */
const eagerDials = 16
const eagerBackoffMsMax = 160
/** So many pulses may be missed before the leader counts as gone. */
const pulsesMissedMax = 4
const silenceMsMin = 2000
/** Whoever is dialled must be there within this, and so much longer each time that nobody was: packets may be dropped without a word. */
const dialMsMin = 1000
const dialMsStep = 500
const dialMsMax = 3000
/** A greeting must be answered within this: the other side may be gone without a word. */
const greetingMsMax = 3000
/** Trying again cannot help against these. */
const finalCodes: readonly ErrorCode[] = ['VERSION_MISMATCH', 'WRONG_CLUSTER', 'UNAUTHENTICATED', 'FORBIDDEN']

/** One connection to the leader, made again whenever it ends. */
export class Link {
  readonly #options: LinkOptions
  readonly #platform: Platform
  readonly #handlers: LinkHandlers
  readonly #session: string
  /** It is there, and was asked. */
  #greets = false
  #state: 'new' | 'dialling' | 'open' | 'waiting' | 'ended' = 'new'
  #connection: Connection | undefined
  /** Number of the current dial: what older connections say is not heard. */
  #dial = 0
  #welcomed = false
  #lastError: CoxswainError | undefined
  #backoffMs = backoffMsMin
  /** Dials since the last welcome. */
  #dialsFailed = 0
  /** Of these, those that nobody answered in time. */
  #dialsInVain = 0
  #giveUpAtMs = 0
  #heardAtMs = 0
  #stopTimer: Cancel = nothing
  #stopWatchdog: Cancel = nothing
  #release: Cancel = nothing
  /** The cluster's id, empty before the first welcome. */
  cluster = ''
  /** The highest epoch heard of. */
  epoch = 0

  constructor(session: string, options: LinkOptions, platform: Platform, handlers: LinkHandlers) {
    this.#session = session
    this.#options = options
    this.#platform = platform
    this.#handlers = handlers
  }

  /** Begins to dial. */
  start(): void {
    if (this.#state !== 'new') return
    this.#release = this.#options.keepAlive()
    this.#giveUpAtMs = this.#platform.clock.monotonicMs() + this.#options.connectTimeoutMs
    void this.#connect()
  }

  /** Sends a frame, if there is a connection; false if there is none. */
  send(frame: Uint8Array): boolean {
    if (this.#state !== 'open') return false
    this.#connection?.send(frame)
    return true
  }

  /** Bytes handed over and not yet taken by the network. */
  get bufferedBytes(): number {
    return this.#connection?.bufferedBytes ?? 0
  }

  /** Ends it for good. */
  end(error: CoxswainError): void {
    if (this.#state === 'ended') return
    this.#state = 'ended'
    this.#stopTimer()
    this.#stopWatchdog()
    this.#release()
    this.#connection?.close('the client is done')
    this.#connection = undefined
    this.#handlers.ended(error)
  }

  async #connect(): Promise<void> {
    this.#state = 'dialling'
    this.#greets = false
    const dial = ++this.#dial
    let endpoint: Endpoint
    try {
      endpoint = await this.#options.endpoint()
    } catch (error) {
      if (!this.#stale(dial)) this.#homeless(error)
      return
    }
    if (this.#stale(dial)) return
    let greeted = false
    this.#connection = this.#platform.transport.connect(endpoint.address, endpoint.token, limits.frameBytesMax, {
      opened: () => {
        if (!this.#stale(dial)) this.#sayHello()
      },
      frame: bytes => {
        if (this.#stale(dial)) return
        this.#heardAtMs = this.#platform.clock.monotonicMs()
        try {
          if (greeted) this.#receive(decodeMessage(leaderToClient, bytes))
          else this.#greeted(decodeMessage(welcome, bytes), endpoint.address)
          greeted = true
        } catch (error) {
          if (!(error instanceof CoxswainError)) throw error
          this.#drop(error)
        }
      },
      closed: (reason, refused) => {
        if (!this.#stale(dial)) this.#closed(endpoint.address, reason, refused)
      },
    })
    this.#watchDial(endpoint.address)
  }

  /** Another candidate may be there while this one is not. */
  #watchDial(address: string): void {
    const dial = this.#dial
    const withinMs = Math.min(dialMsMax, dialMsMin + dialMsStep * this.#dialsInVain)
    this.#stopWatchdog()
    this.#stopWatchdog = this.#platform.clock.timer(withinMs, () => {
      // What already waits to be read is read before it is given up.
      this.#platform.clock.soon(() => {
        if (this.#stale(dial) || this.#greets || this.#state === 'open') return
        this.#dialsInVain++
        this.#drop(
          new CoxswainError('UNAVAILABLE', `No leader answers at ${address}: it was not there within ${withinMs} ms.`, { id: address }),
        )
      })
    })
  }

  #stale(dial: number): boolean {
    return dial !== this.#dial || this.#state === 'ended'
  }

  /** There is no address to dial. That is final at first and where there is no cluster any more; else it may come back. */
  #homeless(error: unknown): void {
    const known = error instanceof CoxswainError ? error : new CoxswainError('UNAVAILABLE', String(error), { cause: error })
    this.#lastError = known
    if (this.#welcomed && known.code !== 'NO_CLUSTER') this.#retry()
    else this.end(known)
  }

  #sayHello(): void {
    const greeting = {
      protocol: protocolVersion,
      release,
      role: 'client' as const,
      name: this.#options.name,
      cluster: this.cluster,
      epochSeen: this.epoch,
      session: this.#session,
    }
    this.#connection?.send(encodeMessage(hello, greeting))
    const dial = this.#dial
    this.#greets = true
    this.#stopWatchdog()
    this.#stopWatchdog = this.#platform.clock.timer(greetingMsMax, () => {
      // What already waits to be read is read before it is given up.
      this.#platform.clock.soon(() => {
        if (this.#stale(dial) || this.#state === 'open') return
        this.#drop(new CoxswainError('UNAVAILABLE', `The leader did not answer within ${greetingMsMax} ms.`))
      })
    })
  }

  #greeted(answer: Welcome, address: string): void {
    if (answer.kind === 'refused') {
      const error = errorFromWire(answer.code, answer.message, { id: address })
      if (finalCodes.includes(error.code)) this.end(error)
      else this.#drop(error)
    } else if (answer.kind === 'elsewhere') {
      if (answer.leader !== '' && answer.epoch >= this.epoch) this.#options.leads?.(answer.leader)
      this.#drop(
        new CoxswainError('UNAVAILABLE', `${address} stands by; the leader is at ${answer.leader || 'no known address'}.`, { id: address }),
      )
    } else if (answer.protocol !== protocolVersion) {
      const text = `The leader is release ${answer.release} (protocol ${answer.protocol}), this client ${release} (protocol ${protocolVersion}).`
      this.end(new CoxswainError('VERSION_MISMATCH', text, { id: address }))
    } else if (answer.epoch < this.epoch) this.#drop(new CoxswainError('FENCED', `The leader at ${address} was deposed.`))
    else {
      this.#options.leads?.(address)
      this.epoch = answer.epoch
      this.cluster = answer.cluster
      this.#state = 'open'
      this.#welcomed = true
      this.#lastError = undefined
      this.#backoffMs = backoffMsMin
      this.#dialsFailed = 0
      this.#dialsInVain = 0
      this.#release()
      this.#release = nothing
      this.#watchPulse(answer.pulseMs)
      this.#handlers.opened()
    }
  }

  #receive(message: LeaderToClient): void {
    if (message.kind !== 'pulse') this.#handlers.message(message)
    else if (message.epoch < this.epoch) this.#drop(new CoxswainError('FENCED', 'The leader was deposed.'))
    else this.epoch = message.epoch
  }

  /** Looks once per pulse whether the leader was heard; what already waits to be read is read before it is given up. */
  #watchPulse(pulseMs: number): void {
    const silenceMsMax = Math.max(pulseMs * pulsesMissedMax, silenceMsMin)
    const overdue = (): boolean => this.#platform.clock.monotonicMs() - this.#heardAtMs > silenceMsMax
    const dial = this.#dial
    const look = (): void => {
      if (!overdue()) {
        this.#stopWatchdog = this.#platform.clock.timer(pulseMs, look)
        return
      }
      this.#platform.clock.soon(() => {
        if (this.#stale(dial) || this.#state !== 'open') return
        if (overdue()) this.#drop(new CoxswainError('UNAVAILABLE', `The leader was silent for ${silenceMsMax} ms.`))
        else this.#stopWatchdog = this.#platform.clock.timer(pulseMs, look)
      })
    }
    this.#stopWatchdog()
    this.#stopWatchdog = this.#platform.clock.timer(pulseMs, look)
  }

  /** Gives this connection up and dials again. */
  #drop(error: CoxswainError): void {
    this.#lastError = error
    const connection = this.#connection
    this.#disconnected()
    connection?.close(error.code)
  }

  #closed(address: string, reason: string, refused: number | undefined): void {
    if (refused === 401 || refused === 403) {
      this.#lastError = new CoxswainError('UNAUTHENTICATED', `${address} does not accept this token: ${reason}.`, { id: address })
      if (!this.#welcomed) {
        this.end(this.#lastError)
        return
      }
    } else this.#lastError ??= new CoxswainError('UNAVAILABLE', `No leader answers at ${address}: ${reason}.`, { id: address })
    this.#disconnected()
  }

  #disconnected(): void {
    const wasOpen = this.#state === 'open'
    this.#dial++
    this.#connection = undefined
    this.#stopWatchdog()
    if (wasOpen) {
      this.#giveUpAtMs = this.#platform.clock.monotonicMs() + this.#options.reconnectTimeoutMs
      this.#release = this.#options.keepAlive()
    }
    this.#retry()
  }

  #retry(): void {
    this.#state = 'waiting'
    const last = this.#lastError
    if (this.#platform.clock.monotonicMs() >= this.#giveUpAtMs) {
      if (this.#welcomed)
        this.end(new CoxswainError('CONNECTION_LOST', `The cluster could not be reached again: ${last?.message ?? ''}`, { cause: last }))
      else this.end(last ?? new CoxswainError('UNAVAILABLE', 'No leader answers.'))
      return
    }
    const delayMs = this.#backoffMs * (0.5 + this.#platform.random.number() / 2)
    this.#backoffMs = Math.min(this.#backoffMs * 2, ++this.#dialsFailed < eagerDials ? eagerBackoffMsMax : backoffMsMax)
    this.#stopTimer = this.#platform.clock.timer(delayMs, () => {
      this.#lastError = undefined
      void this.#connect()
    })
  }
}

function nothing(): void {}

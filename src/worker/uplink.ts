// Owns the connection to whoever leads: dialling again and again, the greeting, the watch over silence.
// Must not obey a leader of an epoch that is lower than one it has seen.
import type { Cancel, Connection, Platform } from '../platform/index.ts'
import {
  CoxswainError,
  decodeMessage,
  encodeMessage,
  errorFromWire,
  hello,
  type LeaderToWorker,
  leaderToWorker,
  limits,
  type NodeDown,
  type NodeIdentity,
  type Outcome,
  outcomeBytes,
  protocolVersion,
  release,
  type Welcome,
  type WorkerToLeader,
  Writer,
  welcome,
  workerToLeader,
} from '../protocol/index.ts'
import type { EpochMemory } from './memory.ts'

/** Pause before dialling again: nearly none at first, then twice as long each time, with jitter. */
const firstPauseMs = 20
/** A leader that was there a moment ago is back soon: until then the pauses stay short, or they would be most of what its death costs. */
const eagerDials = 16
const eagerPauseMsMax = 160
const pauseMsMax = 1_000
/** A leader is silent when nothing came for this many of its pulses, and this much more. */
const pulsesMissedMax = 3
const silenceExtraMs = 500
/** A greeting must be answered within this. */
const greetingMsMax = 10_000

export interface UplinkOptions {
  name: string
  /** Id of the cluster it belongs to, if that is known. */
  cluster?: string | undefined
  /** Asked at each dial: addresses may change. */
  leader(): Promise<{ address: string; token: string }>
  /** Its certificate, in a cluster of several machines. */
  identity?: NodeIdentity
  /** A leader welcomed this worker there, or a standby says that the leader is there. */
  leads?(address: string): void
}

/** What the leader says of anything but certificates. */
export type WorkerOrder = Exclude<LeaderToWorker, NodeDown>

export interface UplinkHandlers {
  /** A leader welcomed this worker, its epoch is on disk: register now. */
  welcomed(): void
  message(message: WorkerOrder): void
  disconnected(reason: string): void
  /** A leader says no, for a reason that dialling again does not change. */
  refused(error: CoxswainError): void
  /** Called every pulse while connected. */
  pulse(): void
}

/** `entering`: welcomed, and the epoch is on its way to the disk. */
type Phase = 'idle' | 'dialling' | 'greeting' | 'entering' | 'welcomed'

export class Uplink {
  readonly #options: UplinkOptions
  readonly #platform: Platform
  readonly #memory: EpochMemory
  readonly #handlers: UplinkHandlers
  readonly #session: string
  #connection: Connection | undefined
  /** What keeps this node's certificate, while there is a leader. */
  #certificates: ReturnType<NodeIdentity['attach']> | undefined
  #phase: Phase = 'idle'
  /** Grows with each dial, so that a late answer to an earlier one is told apart. */
  #dial = 0
  #dialled = ''
  #failures = 0
  #heardAtMs = 0
  #pulseMs = 1_000
  #stopTimer: Cancel | undefined
  #closed = false

  constructor(options: UplinkOptions, platform: Platform, memory: EpochMemory, handlers: UplinkHandlers) {
    this.#options = options
    this.#platform = platform
    this.#memory = memory
    this.#handlers = handlers
    this.#session = platform.random.uuid()
  }

  /** Bytes handed over and not yet taken by the network. */
  get bufferedBytes(): number {
    return this.#connection?.bufferedBytes ?? 0
  }

  start(): void {
    void this.#connect()
  }

  send(message: WorkerToLeader, expectedBytes = 256): void {
    if (this.#phase !== 'welcomed') return
    const writer = new Writer(expectedBytes)
    workerToLeader.write(writer, message)
    this.#connection?.send(writer.view())
  }

  /** Ends this connection and dials anew. */
  reconnect(reason: string): void {
    this.#connection?.close(reason)
    this.#lost(this.#dial, reason)
  }

  close(reason: string): void {
    this.#closed = true
    this.#stopTimer?.()
    this.#connection?.close(reason)
    this.#connection = undefined
    this.#phase = 'idle'
  }

  async #connect(): Promise<void> {
    const dial = ++this.#dial
    this.#phase = 'dialling'
    let where: { address: string; token: string }
    try {
      where = await this.#options.leader()
    } catch (error) {
      this.#lost(dial, `the leader's address is not known: ${(error as Error).message}`)
      return
    }
    if (this.#closed || dial !== this.#dial) return
    this.#dialled = where.address
    this.#connection = this.#platform.transport.connect(where.address, where.token, limits.frameBytesMax, {
      opened: () => this.#opened(dial),
      frame: bytes => this.#frame(dial, bytes),
      closed: (reason, refused) => {
        if (dial === this.#dial && (refused === 401 || refused === 403))
          this.#refuse(new CoxswainError('UNAUTHENTICATED', `The leader does not accept the credential of this worker: ${reason}.`))
        this.#lost(dial, reason)
      },
    })
  }

  #opened(dial: number): void {
    if (dial !== this.#dial) return
    this.#phase = 'greeting'
    this.#heardAtMs = this.#platform.clock.monotonicMs()
    const { name, cluster } = this.#options
    const greeting = { protocol: protocolVersion, release, role: 'worker' as const, name, session: this.#session }
    this.#connection?.send(encodeMessage(hello, { ...greeting, cluster: cluster ?? this.#memory.cluster, epochSeen: this.#memory.epoch }))
    this.#watch(dial, greetingMsMax)
  }

  #frame(dial: number, bytes: Uint8Array): void {
    if (dial !== this.#dial) return
    this.#heardAtMs = this.#platform.clock.monotonicMs()
    try {
      if (this.#phase === 'greeting') void this.#greeted(dial, this.#dialled, decodeMessage(welcome, bytes))
      else if (this.#phase === 'welcomed') this.#hear(decodeMessage(leaderToWorker, bytes))
    } catch (error) {
      if (!(error instanceof CoxswainError)) throw error
      this.#platform.log('error', 'leader-frame-malformed', { error: error.message })
      this.reconnect('malformed frame')
    }
  }

  #hear(message: LeaderToWorker): void {
    if (message.kind === 'trust' || message.kind === 'certificate') this.#certificates?.heard(message)
    else this.#handlers.message(message)
  }

  async #greeted(dial: number, address: string, answer: Welcome): Promise<void> {
    if (answer.kind === 'elsewhere') {
      if (answer.leader !== '' && answer.epoch >= this.#memory.epoch) this.#options.leads?.(answer.leader)
      this.reconnect('it stands by')
      return
    }
    if (answer.kind === 'refused') {
      this.#refuse(errorFromWire(answer.code, answer.message))
      this.reconnect('refused')
      return
    }
    const { epoch, cluster } = answer
    const known = this.#options.cluster || this.#memory.cluster
    if (known !== '' && known !== cluster) {
      this.#refuse(
        new CoxswainError('WRONG_CLUSTER', `This worker belongs to cluster ${known}, the leader to ${cluster}.`, { id: cluster }),
      )
      this.reconnect('wrong cluster')
      return
    }
    if (epoch < this.#memory.epoch) {
      this.reconnect(`epoch ${epoch} is over, ${this.#memory.epoch} was seen`)
      return
    }
    this.#phase = 'entering'
    try {
      await this.#memory.raise(cluster, epoch)
    } catch (error) {
      // Without the epoch on disk nothing may be obeyed; the disk may have room again later.
      this.reconnect(`the epoch cannot be kept: ${(error as Error).message}`)
      return
    }
    if (dial !== this.#dial || this.#closed) return
    this.#phase = 'welcomed'
    this.#options.leads?.(address)
    this.#failures = 0
    this.#pulseMs = Math.max(1, answer.pulseMs)
    this.#watch(dial, this.#pulseMs)
    this.#certificates = this.#options.identity?.attach(message => this.send(message))
    this.#handlers.welcomed()
  }

  /** Every pulse: looks whether the leader is heard, and lets the worker be. */
  #watch(dial: number, afterMs: number): void {
    this.#stopTimer?.()
    this.#stopTimer = this.#platform.clock.timer(afterMs, () => {
      // What has arrived is handled first: a process that was stopped runs its overdue timers before it reads.
      this.#platform.clock.soon(() => {
        if (dial !== this.#dial || this.#closed) return
        const silentMs = this.#platform.clock.monotonicMs() - this.#heardAtMs
        const silentMsMax = this.#phase === 'welcomed' ? this.#pulseMs * pulsesMissedMax + silenceExtraMs : greetingMsMax
        if (silentMs > silentMsMax) {
          this.reconnect(`nothing heard for ${Math.round(silentMs)} ms`)
          return
        }
        if (this.#phase === 'welcomed') this.#handlers.pulse()
        this.#watch(dial, this.#phase === 'welcomed' ? this.#pulseMs : greetingMsMax)
      })
    })
  }

  #refuse(error: CoxswainError): void {
    this.#platform.log('error', 'refused-by-leader', { code: error.code, message: error.message })
    this.#handlers.refused(error)
  }

  #lost(dial: number, reason: string): void {
    if (dial !== this.#dial || this.#closed) return
    this.#dial++
    const wasWelcomed = this.#phase === 'welcomed'
    this.#certificates?.ended()
    this.#certificates = undefined
    this.#phase = 'idle'
    this.#connection = undefined
    this.#stopTimer?.()
    if (wasWelcomed) this.#handlers.disconnected(reason)
    const failures = this.#failures++
    const mostMs = failures < eagerDials ? eagerPauseMsMax : pauseMsMax
    const pauseMs = Math.min(mostMs, firstPauseMs * 2 ** Math.min(failures, 10)) * (0.5 + this.#platform.random.number())
    this.#platform.log('debug', 'dial-again', { reason, pauseMs: Math.round(pauseMs) })
    this.#stopTimer = this.#platform.clock.timer(pauseMs, () => void this.#connect())
  }
}

/** About how many bytes a report will have. */
export function reportBytes(outcomes: readonly Outcome[]): number {
  return outcomes.reduce((sum, outcome) => sum + outcomeBytes(outcome) + 192, 64)
}

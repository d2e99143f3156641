// Owns one end of a connection of the simulated network: frames wait in it, arrive in order and late, several in one read.
// Must not decide where nothing passes: the network does.
import type { Connection, ConnectionHandlers } from '../../src/platform/index.ts'
import type { Boot } from '../kernel/kernel.ts'
import type { Network } from './network.ts'

/** A close that the other side does not answer is over after this. */
const closeMsMax = 5000
const orderMs = 0.001
/** Frames that one read brings, without anything between them, at most. */
const readFramesMax = 16

interface Outgoing {
  frame: Uint8Array
  notBeforeMs: number
}

/** One end of a connection. */
export class End implements Connection {
  readonly network: Network
  readonly boot: Boot
  readonly remote: string
  /** This end was made by `listen`. */
  readonly accepted: boolean
  peer!: End
  handlers: ConnectionHandlers | undefined
  /** Frames on their way to the peer: not before these times. */
  readonly #outgoing: Outgoing[] = []
  bufferedBytes = 0
  #sending = false
  #readPaused = false
  #ended = false
  #closing: string | undefined

  constructor(network: Network, boot: Boot, accepted: boolean, remote: string) {
    this.network = network
    this.boot = boot
    this.accepted = accepted
    this.remote = remote
  }

  /** When the next frame may arrive. */
  get dueMs(): number {
    return this.#outgoing[0]?.notBeforeMs ?? Number.POSITIVE_INFINITY
  }

  get ended(): boolean {
    return this.#ended
  }

  send(frame: Uint8Array): void {
    // As with a socket that is not open yet: what is sent is dropped.
    if (this.#ended || this.#closing !== undefined || this.peer === this) return
    this.#outgoing.push({ frame: Uint8Array.from(frame), notBeforeMs: this.network.arrivalMs() })
    this.bufferedBytes += frame.length
    this.network.sawBuffer(this.bufferedBytes, this)
    this.#pump()
  }

  pause(): void {
    this.#readPaused = true
  }

  resume(): void {
    this.#readPaused = false
    this.peer.#pump()
  }

  close(reason: string): void {
    if (this.#ended || this.#closing !== undefined) return
    this.#closing = reason
    this.#pump()
    this.network.kernel.at(this.boot, closeMsMax, 'timer', () => this.end(reason))
  }

  /** The network may carry again what waits. */
  retry(): void {
    this.#pump()
  }

  #pump(): void {
    if (this.#sending || this.#ended) return
    const { kernel } = this.network
    const [next] = this.#outgoing
    if (!next) {
      if (this.#closing !== undefined && this.network.open(this.boot, this.peer.boot)) this.#finish()
      return
    }
    if (this.peer.#readPaused || !this.network.open(this.boot, this.peer.boot)) return
    this.#sending = true
    const delayMs = Math.max(orderMs, next.notBeforeMs - kernel.nowMs)
    kernel.at(undefined, delayMs, 'io', () => {
      this.#sending = false
      if (this.#ended) return
      if (this.peer.#readPaused || !this.network.open(this.boot, this.peer.boot)) return
      const { peer } = this
      const frames = this.#arriving().map(one => one.frame)
      kernel.at(peer.boot, 0, 'io', () => {
        for (const frame of frames) peer.#take(this.boot, frame)
      })
      this.#pump()
    })
  }

  /** What comes out of the network in one read: the next frame, and often what is right behind it. */
  #arriving(): Outgoing[] {
    const { kernel } = this.network
    let count = 1
    while (count < readFramesMax && (this.#outgoing[count]?.notBeforeMs ?? Number.POSITIVE_INFINITY) <= kernel.nowMs) {
      if (!kernel.stream('reads').chance(0.7)) break
      count++
    }
    const frames = this.#outgoing.splice(0, count)
    for (const { frame } of frames) this.bufferedBytes -= frame.length
    return frames
  }

  #take(from: Boot, frame: Uint8Array): void {
    if (this.#ended || this.#closing !== undefined) return
    this.network.arrived(from, this.boot, frame, this.accepted)
    this.handlers?.frame(Buffer.from(frame))
  }

  /** All was sent and a close was asked for: the other side hears of it, then this one. */
  #finish(): void {
    const reason = this.#closing!
    const { kernel } = this.network
    this.#sending = true
    kernel.at(undefined, this.network.latencyMs(), 'io', () => {
      this.peer.endLater(reason)
      kernel.at(undefined, this.network.latencyMs(), 'io', () => this.endLater(reason))
    })
  }

  endLater(reason: string): void {
    this.network.kernel.at(this.boot, 0, 'io', () => this.end(reason))
  }

  /** Over for this side, at once. */
  end(reason: string): void {
    if (this.#ended) return
    this.#ended = true
    this.network.forget(this)
    this.#outgoing.length = 0
    this.bufferedBytes = 0
    this.handlers?.closed(reason)
  }
}

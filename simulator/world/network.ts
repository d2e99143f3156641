// Owns the network between nodes: connections that carry frames in order and late, break, stall, or are cut one way.
// Must not lose a frame within a connection, as TCP does not; and must not share memory between nodes: frames are copied.
import type { Connection, ConnectionHandlers, Listener, ListenOptions, Transport } from '../../src/platform/index.ts'
import { CoxswainError } from '../../src/protocol/index.ts'
import type { Boot, Kernel } from '../kernel/kernel.ts'

/** A dial that nobody answers ends after this. */
const dialMsMax = 5000
/** A close that the other side does not answer is over after this. */
const closeMsMax = 5000
const orderMs = 0.001
/** Frames that one read brings, without anything between them, at most. */
const readFramesMax = 16

/** How slow the network is; faults change it. */
export interface NetworkMood {
  latencyMs: number
  jitterMs: number
}

/** What an onlooker is told of each frame that arrives. */
export type Tap = (from: Boot, to: Boot, frame: Uint8Array, accepted: boolean) => void

interface Listening {
  boot: Boot
  options: ListenOptions
}

interface Outgoing {
  frame: Uint8Array
  notBeforeMs: number
}

/** One end of a connection. */
class End implements Connection {
  readonly network: Network
  readonly boot: Boot
  readonly principal: string
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

  constructor(network: Network, boot: Boot, accepted: boolean, principal: string, remote: string) {
    this.network = network
    this.boot = boot
    this.accepted = accepted
    this.principal = principal
    this.remote = remote
  }

  get ended(): boolean {
    return this.#ended
  }

  send(frame: Uint8Array): void {
    // As with a socket that is not open yet: what is sent is dropped.
    if (this.#ended || this.#closing !== undefined || this.peer === this) return
    this.#outgoing.push({ frame: Uint8Array.from(frame), notBeforeMs: this.network.arrivalMs() })
    this.bufferedBytes += frame.length
    this.network.sawBuffer(this.bufferedBytes)
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

export class Network {
  readonly kernel: Kernel
  mood: NetworkMood = { latencyMs: 0.2, jitterMs: 0.3 }
  tap: Tap | undefined
  /** The most bytes that ever waited on one connection. */
  bufferedBytesMax = 0
  readonly #listeners = new Map<string, Listening>()
  readonly #ends = new Set<End>()
  /** Directions in which nothing passes: `from>to` by node names; a star stands for every node. */
  readonly #cuts = new Set<string>()

  constructor(kernel: Kernel) {
    this.kernel = kernel
  }

  latencyMs(): number {
    const stream = this.kernel.stream('network')
    return this.mood.latencyMs + stream.exponential(this.mood.jitterMs)
  }

  arrivalMs(): number {
    return this.kernel.nowMs + this.latencyMs()
  }

  sawBuffer(bytes: number): void {
    if (bytes > this.bufferedBytesMax) this.bufferedBytesMax = bytes
  }

  arrived(from: Boot, to: Boot, frame: Uint8Array, accepted: boolean): void {
    this.kernel.note(`${from.node.name}>${to.node.name}`, frame)
    this.tap?.(from, to, frame, accepted)
  }

  /** True if frames pass from one to the other. */
  open(from: Boot, to: Boot): boolean {
    if (this.#cuts.size === 0) return true
    const [one, other] = [from.node.name, to.node.name]
    return !this.#cuts.has(`${one}>${other}`) && !this.#cuts.has(`${one}>*`) && !this.#cuts.has(`*>${other}`)
  }

  cut(direction: string): void {
    this.#cuts.add(direction)
  }

  mend(direction: string): void {
    this.#cuts.delete(direction)
    for (const end of [...this.#ends]) end.retry()
  }

  mendAll(): void {
    this.#cuts.clear()
    for (const end of [...this.#ends]) end.retry()
  }

  /** Connections of a node break: both sides hear of it, if they can be reached. */
  reset(name: string, pick: () => boolean): number {
    let count = 0
    for (const end of [...this.#ends]) {
      if (end.boot.node.name !== name || !pick()) continue
      count++
      end.endLater('reset')
      if (this.open(end.boot, end.peer.boot)) end.peer.endLater('reset by the other side')
    }
    return count
  }

  /** A process died: its port is free, and its system tells the other sides, unless the way is cut. */
  died(boot: Boot): void {
    for (const [address, listening] of this.#listeners) if (listening.boot === boot) this.#listeners.delete(address)
    for (const end of [...this.#ends]) {
      if (end.boot !== boot) continue
      this.#ends.delete(end)
      this.kernel.at(undefined, this.latencyMs(), 'io', () => {
        if (this.open(boot, end.peer.boot)) end.peer.endLater('the other side is gone')
        // Nobody answers there any more: whoever sends is told, once the way is free.
        else this.kernel.at(undefined, dialMsMax, 'io', () => end.peer.endLater('the other side does not answer'))
      })
    }
  }

  forget(end: End): void {
    this.#ends.delete(end)
  }

  /** The transport of one process. */
  transport(boot: Boot): Transport {
    return {
      connect: (address, token, _frameBytesMax, handlers) => this.#connect(boot, address, token, handlers),
      listen: async options => this.#listen(boot, options),
    }
  }

  #listen(boot: Boot, options: ListenOptions): Listener {
    const address = `ws://${boot.node.name}:${options.port || 40_000 + boot.number}`
    if (this.#listeners.has(address)) throw new CoxswainError('ADDRESS_IN_USE', `${address} is listened on.`, { id: address })
    const listening = { boot, options }
    this.#listeners.set(address, listening)
    return {
      address,
      close: async () => {
        if (this.#listeners.get(address) === listening) this.#listeners.delete(address)
        for (const end of [...this.#ends]) {
          if (end.boot !== boot || !end.accepted) continue
          if (this.open(boot, end.peer.boot)) end.peer.endLater('the other side is gone')
          end.endLater('the listener closed')
        }
      },
    }
  }

  #connect(boot: Boot, address: string, token: string, handlers: ConnectionHandlers): Connection {
    const { kernel } = this
    const near = new End(this, boot, false, '', address)
    near.handlers = handlers
    // Stands for the other side until there is one.
    near.peer = near
    let settled = false
    const fail = (reason: string, refused?: number): void => {
      if (settled || near.ended) return
      settled = true
      kernel.at(boot, 0, 'io', () => {
        near.handlers = undefined
        near.end(reason)
        handlers.closed(reason, refused)
      })
    }
    kernel.at(undefined, dialMsMax, 'io', () => fail('nobody answers'))
    kernel.at(undefined, this.latencyMs(), 'io', () => {
      if (near.ended || settled) return
      const listening = this.#listeners.get(address)
      // To a machine that cannot be reached the dial waits; a machine without a listener says so.
      const name = /^ws:\/\/([^:]+):/.exec(address)?.[1] ?? ''
      if (listening ? !this.#both(boot, listening.boot) : this.#cuts.has(`*>${name}`)) return
      if (!listening) return fail('nobody listens')
      const principal = listening.options.authenticate(token)
      if (principal === undefined) return fail('refused with HTTP 401', 401)
      kernel.at(listening.boot, 0, 'io', () => {
        if (settled || near.ended || !boot.alive) return
        settled = true
        const far = new End(this, listening.boot, true, principal, boot.node.name)
        far.peer = near
        near.peer = far
        this.#ends.add(near)
        this.#ends.add(far)
        far.handlers = listening.options.accept(far)
        far.handlers.opened()
        kernel.at(boot, this.latencyMs(), 'io', () => {
          if (!near.ended) handlers.opened()
        })
      })
    })
    return near
  }

  #both(one: Boot, other: Boot): boolean {
    return this.open(one, other) && this.open(other, one)
  }
}

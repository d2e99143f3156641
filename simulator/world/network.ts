// Owns the network between nodes: connections that carry frames in order and late, break, stall, or are cut one way.
// Must not lose a frame within a connection, as TCP does not; and must not share memory between nodes: frames are copied.
import type { Connection, ConnectionHandlers, Listener, ListenOptions, Transport } from '../../src/platform/index.ts'
import { CoxswainError } from '../../src/protocol/index.ts'
import type { Boot, Kernel } from '../kernel/kernel.ts'
import { End } from './connection.ts'

/** A dial that nobody answers ends after this. */
const dialMsMax = 3000
/** Fewer bytes than the smallest bound of a connection. */
const unseenBytesMax = 1 << 20
/** A frame that is late by this much does not arrive. */
const stuckMs = 500

/** How slow the network is; faults change it. */
export interface NetworkMood {
  latencyMs: number
  jitterMs: number
}

/** What an onlooker is told of each frame that arrives. */
export type Tap = (from: Boot, to: Boot, frame: Uint8Array, accepted: boolean) => void

interface Listening {
  boot: Boot
  options: ListenOptions<unknown>
}

export class Network {
  readonly kernel: Kernel
  mood: NetworkMood = { latencyMs: 0.2, jitterMs: 0.3 }
  tap: Tap | undefined
  /** The most bytes that ever waited on one connection, by the sorts of nodes (`c>w`), where that was more than any side may leave unseen. */
  readonly peaks = new Map<string, number>()
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

  sawBuffer(bytes: number, end: End): void {
    if (bytes <= unseenBytesMax) return
    const way = `${end.boot.node.name[0]}>${end.peer.boot.node.name[0]}`
    this.peaks.set(way, Math.max(bytes, this.peaks.get(way) ?? 0))
  }

  /** Bytes on all connections that should have arrived long ago. */
  get stuckBytes(): number {
    let sum = 0
    for (const end of this.#ends) if (end.dueMs < this.kernel.nowMs - stuckMs) sum += end.bufferedBytes
    return sum
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
      listen: async options => this.#listen(boot, options as ListenOptions<unknown>),
    }
  }

  #listen(boot: Boot, options: ListenOptions<unknown>): Listener {
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
    const near = new End(this, boot, false, address)
    near.handlers = handlers
    // Stands for the other side until there is one.
    near.peer = near
    let settled = false
    const fail = (reason: string, refused?: number, absent?: boolean): void => {
      if (settled || near.ended) return
      settled = true
      kernel.at(boot, 0, 'io', () => {
        near.handlers = undefined
        near.end(reason)
        handlers.closed(reason, refused, absent)
      })
    }
    kernel.at(undefined, dialMsMax, 'io', () => fail('nobody answers'))
    kernel.at(undefined, this.latencyMs(), 'io', () => {
      if (near.ended || settled) return
      const listening = this.#listeners.get(address)
      // To a machine that cannot be reached the dial waits; a machine without a listener says so.
      const name = /^ws:\/\/([^:]+):/.exec(address)?.[1] ?? ''
      if (listening ? !this.#both(boot, listening.boot) : this.#cuts.has(`*>${name}`)) return
      if (!listening) return fail('nobody listens', undefined, true)
      const principal = listening.options.authenticate({ token, certificate: undefined, remote: boot.node.name })
      if (principal === undefined) return fail('refused with HTTP 401', 401)
      kernel.at(listening.boot, 0, 'io', () => {
        if (settled || near.ended || !boot.alive) return
        settled = true
        const far = new End(this, listening.boot, true, boot.node.name)
        far.peer = near
        near.peer = far
        this.#ends.add(near)
        this.#ends.add(far)
        const taken = listening.options.accept(far, principal)
        far.handlers = taken
        taken.opened()
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

// Owns a TCP proxy that knows WebSocket frames: per direction it delays, drops, doubles, flips, holds back and stops reading; it breaks connections.
// Must not reorder: TCP does not. Dropping and doubling of frames do not happen on a sound TCP connection either; who asks for them says why.
import { createServer, type Server, Socket } from 'node:net'
import { Cutter, flipped, type Piece } from './frames.ts'

/** What happens to the frames of one direction from now on. */
export interface Disturbance {
  /** Each piece waits that long, evenly spread; their order stays. */
  delayMs?: readonly [least: number, most: number]
  /** Shares of the frames, 0 to 1. The first frame of a connection (its greeting) is never touched. */
  drop?: number
  duplicate?: number
  /** Share of the frames in which a bit changes; `flipBit`: always this one, counted from the lowest of the first byte. */
  flip?: number
  flipBit?: number
  /** Cut in this direction: what comes is read and never passed on. */
  cut?: boolean
  /** Nothing is read: what comes piles up at the sender. */
  stall?: boolean
  /** Called with each frame that was passed on. */
  passed?(piece: Piece, frame: number): void
}

/** What was done, in frames. */
export interface Done {
  passed: number
  delayed: number
  dropped: number
  duplicated: number
  flipped: number
  cut: number
  connections: number
  resets: number
}

/** `up`: to the leader. `down`: from it. */
export type Way = 'up' | 'down'

/** Above it a sender is not read until the other side has taken some. */
const queuedBytesMax = 8 << 20
const bitsMax = 2 ** 30

/** One direction of one connection. */
class Lane {
  readonly #from: Socket
  readonly #to: Socket
  readonly #proxy: FaultProxy
  readonly #way: Way
  readonly #cutter = new Cutter()
  #frames = 0
  #dueMs = 0
  #queuedBytes = 0
  #queue: { dueMs: number; act: () => void }[] = []
  #timer: NodeJS.Timeout | undefined

  constructor(proxy: FaultProxy, way: Way, from: Socket, to: Socket) {
    this.#proxy = proxy
    this.#way = way
    this.#from = from
    this.#to = to
    from.on('data', (bytes: Buffer) => {
      for (const piece of this.#cutter.take(bytes)) this.#take(piece)
      this.breathe()
    })
    to.on('drain', () => this.breathe())
    from.on('end', () => this.#later(() => to.end(), 0))
  }

  /** Reads on, or not. */
  breathe(): void {
    const full = this.#queuedBytes + this.#to.writableLength > queuedBytesMax
    if (full || this.#proxy.ways[this.#way].stall) this.#from.pause()
    else this.#from.resume()
  }

  close(): void {
    clearTimeout(this.#timer)
    this.#queue = []
  }

  #take(piece: Piece): void {
    const { done, random } = this.#proxy
    const what = this.#proxy.ways[this.#way]
    const greeting = piece.kind === 'head' || this.#frames === 0
    const frame = piece.kind === 'head' ? -1 : this.#frames++
    if (what.cut) {
      done.cut++
      return
    }
    const chance = (share: number | undefined): boolean => !greeting && share !== undefined && random() < share
    if (chance(what.drop)) {
      done.dropped++
      return
    }
    let { bytes } = piece
    if (chance(what.flip)) {
      bytes = flipped(piece, what.flipBit ?? Math.floor(random() * bitsMax))
      done.flipped++
    }
    const times = chance(what.duplicate) ? 2 : 1
    done.duplicated += times - 1
    const [least, most] = what.delayMs ?? [0, 0]
    if (most > 0) done.delayed++
    for (let i = 0; i < times; i++) this.#pass(bytes, least + random() * (most - least), () => i === 0 && what.passed?.(piece, frame))
  }

  #pass(bytes: Buffer, delayMs: number, passed: () => void): void {
    this.#queuedBytes += bytes.length
    this.#later(() => {
      this.#queuedBytes -= bytes.length
      if (this.#to.destroyed) return
      this.#to.write(bytes)
      this.#proxy.done.passed++
      passed()
      this.breathe()
    }, delayMs)
  }

  /** Does it after that time, but not before what came first. */
  #later(act: () => void, delayMs: number): void {
    this.#dueMs = Math.max(this.#dueMs, performance.now() + delayMs)
    this.#queue.push({ dueMs: this.#dueMs, act })
    if (this.#queue.length === 1) this.#next()
  }

  /** One timer for the first in line: timers of different lengths do not keep their order. */
  #next(): void {
    for (let first = this.#queue[0]; first; first = this.#queue[0]) {
      const waitMs = first.dueMs - performance.now()
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.#next(), Math.ceil(waitMs))
        return
      }
      first.act()
      this.#queue.shift()
    }
  }
}

interface Pair {
  peer: Socket
  leader: Socket
  lanes: Lane[]
}

/** The proxy: peers connect to its address, and it to wherever the leader is then. */
export class FaultProxy implements AsyncDisposable {
  readonly done: Done = { passed: 0, delayed: 0, dropped: 0, duplicated: 0, flipped: 0, cut: 0, connections: 0, resets: 0 }
  readonly random: () => number
  readonly #server: Server
  readonly #leader: () => string | undefined
  readonly #pairs = new Set<Pair>()
  #ways: Record<Way, Disturbance> = { up: {}, down: {} }

  private constructor(leader: () => string | undefined, random: () => number) {
    this.#leader = leader
    this.random = random
    this.#server = createServer({ allowHalfOpen: true }, peer => this.#accept(peer))
  }

  /** Starts one; `leader` gives its address (`ws://host:port`) at each connection. */
  static async start(leader: () => string | undefined, random: () => number = Math.random): Promise<FaultProxy> {
    const proxy = new FaultProxy(leader, random)
    await new Promise<void>(resolve => proxy.#server.listen(0, '127.0.0.1', resolve))
    return proxy
  }

  get address(): string {
    return `ws://127.0.0.1:${(this.#server.address() as { port: number }).port}`
  }

  /** Connections that are open on both sides. */
  get open(): number {
    return this.#pairs.size
  }

  /** What happens in each direction now. */
  get ways(): Readonly<Record<Way, Disturbance>> {
    return this.#ways
  }

  /** Changes what happens in a direction, on all connections. */
  disturb(way: Way, what: Disturbance): void {
    this.#ways = { ...this.#ways, [way]: what }
    for (const { lanes } of this.#pairs) for (const lane of lanes) lane.breathe()
  }

  /** Breaks all connections on both sides, with RST. */
  reset(): void {
    for (const pair of this.#pairs) {
      this.done.resets++
      pair.peer.resetAndDestroy()
      pair.leader.resetAndDestroy()
      this.#forget(pair)
    }
  }

  #accept(peer: Socket): void {
    const address = this.#leader()
    peer.on('error', () => undefined)
    if (address === undefined) {
      peer.destroy()
      return
    }
    const { hostname, port } = new URL(address)
    const leader = new Socket({ allowHalfOpen: true })
    leader.on('error', () => undefined)
    leader.connect(Number(port), hostname)
    for (const socket of [peer, leader]) socket.setNoDelay(true)
    this.done.connections++
    const pair: Pair = { peer, leader, lanes: [new Lane(this, 'up', peer, leader), new Lane(this, 'down', leader, peer)] }
    this.#pairs.add(pair)
    // What one side's system broke, the other side sees broken; a cut hides it.
    const closed = (other: Socket, way: Way) => () => {
      if (this.#ways[way].cut) return
      other.destroy()
      this.#forget(pair)
    }
    peer.on('close', closed(leader, 'up'))
    leader.on('close', closed(peer, 'down'))
  }

  #forget(pair: Pair): void {
    for (const lane of pair.lanes) lane.close()
    this.#pairs.delete(pair)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.reset()
    await new Promise<void>(resolve => this.#server.close(() => resolve()))
  }
}

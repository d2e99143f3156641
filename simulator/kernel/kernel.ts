// Owns the simulated world's time: one queue of events, run one after the other, all promises drained after each.
// Must not know what its nodes are.
import { crc32 } from 'node:zlib'
import { EventQueue, type KernelEvent } from './queue.ts'
import { hashText, RandomStream } from './random.ts'
import { setInside, takeOffence } from './trap.ts'

/** One life of a process. Everything that happens to it dies with it. */
export class Boot {
  readonly node: SimNode
  readonly number: number
  alive = true
  /** Called once, right before the next event of this life runs. */
  beforeNext: (() => void) | undefined
  constructor(node: SimNode, number: number) {
    this.node = node
    this.number = number
  }
}

/** A place where processes live: its clocks, whether it is stopped, and what waits meanwhile. */
export class SimNode {
  readonly name: string
  readonly salt: number
  boot: Boot | undefined
  boots = 0
  paused = false
  held: KernelEvent[] = []
  /** Its monotonic clock runs so much faster than the world's, and began elsewhere. */
  rate = 1
  monotonicOffsetMs = 0
  wallOffsetMs = 0
  /** Latest time that was given to a `soon`: they run in order. */
  soonMs = 0
  /** Told when simulated code of this node threw: its process would have ended. */
  crashed: (error: unknown) => void = error => {
    throw error
  }

  constructor(name: string, seed: number) {
    this.name = name
    this.salt = hashText(`${name}#${seed}`)
  }
}

const wallStartMs = 1_790_000_000_000
/** Events between two looks at the real event loop. */
const sliceEvents = 4000
const orderMs = 0.001

type Tick = { _tickCallback?: () => void }

/** Runs ticks and promises until there are none, without leaving the current turn of the real event loop; undefined if that cannot be done. */
function findDrain(): (() => void) | undefined {
  const tick = (process as Tick)._tickCallback
  if (typeof tick !== 'function') return undefined
  let reached = 0
  Promise.resolve()
    .then(() => Promise.resolve())
    .then(() => reached++)
  tick.call(process)
  return reached === 1 ? () => tick.call(process) : undefined
}

export class Kernel {
  readonly seed: number
  nowMs = 0
  events = 0
  /** Over all events of all nodes: the same seed gives the same one. */
  hash = 0
  /** Whose code runs. */
  current: SimNode | undefined
  stopped = false
  readonly #queue = new EventQueue()
  readonly #streams = new Map<string, RandomStream>()
  #sequence = 0
  #failure: { error: unknown } | undefined

  constructor(seed: number) {
    this.seed = seed
  }

  /** The stream of numbers for one purpose. */
  stream(label: string): RandomStream {
    let stream = this.#streams.get(label)
    if (!stream) {
      stream = new RandomStream(this.seed, label)
      this.#streams.set(label, stream)
    }
    return stream
  }

  node(name: string): SimNode {
    return new SimNode(name, this.seed)
  }

  /** Something happens `delayMs` from now, to this boot if one is given. Returns its cancel. */
  at(boot: Boot | undefined, delayMs: number, kind: 'timer' | 'io', run: () => void): () => void {
    const atMs = this.nowMs + Math.max(0, delayMs)
    const toss = boot ? Math.imul(boot.node.salt ^ (atMs * 1000), 0x9e3779b1) : 0
    const event: KernelEvent = { atMs, toss, sequence: this.#sequence++, boot, kind, run }
    this.#queue.push(event)
    return () => {
      event.run = undefined
    }
  }

  /** Right after what is already waiting for this boot. */
  soon(boot: Boot, run: () => void): void {
    const { node } = boot
    node.soonMs = Math.max(node.soonMs, this.nowMs) + orderMs
    this.at(boot, node.soonMs - this.nowMs, 'io', run)
  }

  /** Milliseconds of this node's own monotonic clock. */
  monotonicMs(node: SimNode): number {
    return node.monotonicOffsetMs + this.nowMs * node.rate
  }

  wallMs(node: SimNode): number {
    return wallStartMs + this.nowMs + node.wallOffsetMs
  }

  /** Takes something into the trace's hash. */
  note(text: string, bytes?: Uint8Array): void {
    this.hash = crc32(text, this.hash)
    if (bytes) this.hash = crc32(bytes, this.hash)
  }

  pause(node: SimNode): void {
    node.paused = true
  }

  /** Goes on. As after SIGCONT: overdue timers first, then what has arrived. */
  resume(node: SimNode): void {
    if (!node.paused) return
    node.paused = false
    const { held } = node
    node.held = []
    held.sort((one, other) => Number(other.kind === 'timer') - Number(one.kind === 'timer') || one.sequence - other.sequence)
    for (const event of held) {
      if (!event.run || event.boot?.alive === false) continue
      // All at this moment, so that nothing that arrives later overtakes them.
      event.atMs = this.nowMs
      event.toss = 0
      event.sequence = this.#sequence++
      this.#queue.push(event)
    }
  }

  /** Runs until the given time, or until `stopped`. */
  run(untilMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const slice = (drain: (() => void) | undefined): void => {
        try {
          for (let left = drain ? sliceEvents : 1; left > 0; left--) {
            const event = this.#next(untilMs)
            if (!event) return resolve()
            this.#step(event, drain)
            if (!drain) break
          }
        } catch (error) {
          return reject(error)
        }
        setImmediate(() => {
          this.#leave()
          if (this.#failure) return reject(this.#failure.error)
          slice(drain)
        })
      }
      setImmediate(() => slice(findDrain()))
    })
  }

  /** What an unhandled rejection, or an exception, of the current node's code means. */
  blame(error: unknown): void {
    const { current } = this
    setInside(false)
    // What was refused comes first: the error may be what somebody made of it.
    const cause = takeOffence() ?? error
    try {
      if (!current) throw cause
      current.crashed(cause)
    } catch (fatal) {
      this.#failure ??= { error: fatal }
      this.stopped = true
    }
  }

  #next(untilMs: number): KernelEvent | undefined {
    for (;;) {
      const event = this.#queue.first
      if (this.#failure) throw this.#failure.error
      if (this.stopped || !event || event.atMs > untilMs) {
        if (!this.stopped) this.nowMs = Math.max(this.nowMs, untilMs)
        return undefined
      }
      this.#queue.pop()
      if (!event.run || event.boot?.alive === false) continue
      this.nowMs = event.atMs
      if (event.boot?.node.paused) {
        event.boot.node.held.push(event)
        continue
      }
      return event
    }
  }

  #step(event: KernelEvent, drain: (() => void) | undefined): void {
    this.events++
    this.current = event.boot?.node
    this.hash = crc32(`${event.atMs.toFixed(3)} ${this.current?.name ?? ''} ${event.kind}`, this.hash)
    setInside(true)
    try {
      const { boot } = event
      const before = boot?.beforeNext
      if (boot) boot.beforeNext = undefined
      before?.()
      event.run!()
      drain?.()
    } catch (error) {
      this.blame(error)
    } finally {
      if (drain) {
        this.#leave()
        this.current = undefined
      }
    }
  }

  /** No simulated code runs any more. What it was refused counts, also where it has caught the error. */
  #leave(): void {
    setInside(false)
    const offence = takeOffence()
    if (offence) this.blame(offence)
  }
}

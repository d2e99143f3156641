// A world for shells: a clock that moves by hand, connections in memory that carry frames in order, and a log that can be read.
// Nothing happens in it but in `calm` and `advance`: so every test runs the same way each time.
import type {
  Cancel,
  Clock,
  Connection,
  ConnectionHandlers,
  Files,
  Listener,
  ListenOptions,
  Platform,
  Random,
  Transport,
} from '../../src/platform/index.ts'
import { CoxswainError } from '../../src/protocol/index.ts'

/** Rounds without an event after which nothing is under way any more: what waits for a promise takes a few. */
const quietRounds = 3
const roundsMax = 10_000

/** One end of a connection in memory. */
export class FakeConnection implements Connection {
  readonly remote: string
  readonly #world: World
  peer!: FakeConnection
  handlers: ConnectionHandlers | undefined
  /** While true, the network takes nothing: what is sent waits here. */
  stuck = false
  ended = false
  readonly #waiting: Uint8Array[] = []
  #toldEnd = false

  constructor(world: World, remote: string) {
    this.#world = world
    this.remote = remote
  }

  get bufferedBytes(): number {
    return this.#waiting.reduce((sum, frame) => sum + frame.length, 0)
  }

  send(frame: Uint8Array): void {
    if (this.ended) return
    if (this.stuck) this.#waiting.push(frame)
    else this.#carry(frame)
  }

  #carry(frame: Uint8Array): void {
    this.#world.later(() => {
      if (!this.peer.#toldEnd) this.peer.handlers?.frame(frame)
    })
  }

  /** The network loses what waits, and takes what comes from now on: for fillers that are no messages. */
  drop(): void {
    this.stuck = false
    this.#waiting.length = 0
  }

  /** The network takes what waits. */
  unstick(): void {
    this.stuck = false
    for (const frame of this.#waiting.splice(0)) this.#carry(frame)
  }

  pause(): void {
    this.peer.stuck = true
  }

  resume(): void {
    this.peer.unstick()
  }

  close(reason: string): void {
    if (this.ended) return
    this.ended = true
    this.#waiting.length = 0
    this.#world.later(() => {
      this.#end(reason)
      this.peer.#end(reason)
    })
  }

  /** The end of the connection reaches only the other side's network later, or never. */
  vanish(): void {
    this.ended = true
    this.#toldEnd = true
  }

  #end(reason: string): void {
    this.ended = true
    if (this.#toldEnd) return
    this.#toldEnd = true
    // A side that nobody accepted has none.
    this.handlers?.closed(reason)
  }
}

interface Timer {
  atMs: number
  order: number
  callback: () => void
}

/** The clock, the network and the log of one test. */
export class World {
  nowMs = 1000
  wallMs = 1_700_000_000_000
  readonly log: { level: string; event: string; fields: Record<string, unknown> }[] = []
  readonly #events: (() => void)[] = []
  #timers: Timer[] = []
  #order = 0
  readonly #listeners = new Map<string, { options: ListenOptions<unknown>; connections: Set<FakeConnection> }>()
  readonly #frozen = new Set<string>()
  #ports = 0

  /** Something that happens soon: in the order in which it was asked for. */
  later(event: () => void): void {
    this.#events.push(event)
  }

  /** Lets everything happen that is under way, without any time passing. */
  async calm(): Promise<void> {
    let quiet = 0
    for (let round = 0; quiet < quietRounds; round++) {
      if (round > roundsMax) throw new Error('it does not come to rest')
      const events = this.#events.splice(0)
      quiet = events.length > 0 ? 0 : quiet + 1
      for (const event of events) event()
      await new Promise(resolve => setImmediate(resolve))
    }
  }

  /** Time passes, timer by timer, and everything that follows from each happens. */
  async advance(ms: number): Promise<void> {
    const endMs = this.nowMs + ms
    await this.calm()
    for (;;) {
      const due = this.#timers.filter(timer => timer.atMs <= endMs).sort((a, b) => a.atMs - b.atMs || a.order - b.order)[0]
      if (!due) break
      this.#timers = this.#timers.filter(timer => timer !== due)
      this.nowMs = Math.max(this.nowMs, due.atMs)
      due.callback()
      await this.calm()
    }
    this.nowMs = endMs
  }

  /** This process was asleep: time went by, and its timers are late. */
  async sleep(ms: number): Promise<void> {
    this.nowMs += ms
    await this.advance(0)
  }

  readonly clock: Clock = {
    monotonicMs: () => this.nowMs,
    wallMs: () => this.wallMs + this.nowMs,
    timer: (delayMs, callback): Cancel => {
      const timer = { atMs: this.nowMs + Math.max(0, delayMs), order: this.#order++, callback }
      this.#timers.push(timer)
      return () => {
        this.#timers = this.#timers.filter(one => one !== timer)
      }
    },
    soon: callback => this.later(callback),
  }

  readonly #random: Random = {
    uuid: () => `uuid-${this.#order++}`,
    number: () => 0.5,
  }

  readonly transport: Transport = {
    connect: (address, token, _frameBytesMax, handlers) => this.#connect(address, token, handlers),
    listen: async options => this.#listen(options),
  }

  readonly #files: Files = new Proxy({} as Files, {
    get: (_target, name) => () => Promise.reject(new Error(`no files in this world: ${String(name)}`)),
  })

  /** What a shell is given. */
  readonly platform: Platform = {
    clock: this.clock,
    random: this.#random,
    // Intervals only: nothing here asks for a calendar.
    nextTick: ({ everyMs }, afterMs) => (Math.floor(afterMs / everyMs) + 1) * everyMs,
    transport: this.transport,
    files: this.#files,
    log: (level, event, fields = {}) => this.log.push({ level, event, fields }),
  }

  /** The events that were logged. */
  get logged(): string[] {
    return this.log.map(entry => entry.event)
  }

  #listen(options: ListenOptions<unknown>): Listener {
    const port = options.port || 4000 + ++this.#ports
    const address = `ws://${options.host}:${port}`
    if (this.#listeners.has(address)) throw new CoxswainError('ADDRESS_IN_USE', `${address} is listened on.`, { id: address })
    this.#listeners.set(address, { options, connections: new Set() })
    return { address, close: async () => this.cut(address) }
  }

  /** Nobody listens there any more, and all connections to it end at once. */
  cut(address: string): void {
    const listener = this.#listeners.get(address)
    this.#listeners.delete(address)
    this.#frozen.delete(address)
    for (const connection of listener?.connections ?? []) connection.close('the other side is gone')
  }

  /** The far ends of the connections to it. */
  connections(address: string): FakeConnection[] {
    return [...(this.#listeners.get(address)?.connections ?? [])]
  }

  /** The process that listens there stands still: it says nothing any more, and whoever dials waits. */
  freeze(address: string): void {
    this.#frozen.add(address)
    for (const connection of this.#listeners.get(address)?.connections ?? []) connection.stuck = true
  }

  #connect(address: string, token: string, handlers: ConnectionHandlers): Connection {
    const listener = this.#listeners.get(address)
    const principal = listener?.options.authenticate({ token, certificate: undefined, remote: 'peer' })
    const near = new FakeConnection(this, address)
    near.handlers = handlers
    const far = new FakeConnection(this, 'peer')
    near.peer = far
    far.peer = near
    this.later(() => {
      if (this.#frozen.has(address)) return
      if (!listener) return handlers.closed('nobody listens')
      if (principal === undefined) return handlers.closed('refused with HTTP 401', 401)
      listener.connections.add(far)
      const taken = listener.options.accept(far, principal)
      far.handlers = taken
      taken.opened()
      handlers.opened()
    })
    return near
  }
}

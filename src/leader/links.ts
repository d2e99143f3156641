// Owns the leader's ends of its connections: who is there, and sending to each within a bound.
// Must not decide what is sent.
import type { Connection } from '../platform/index.ts'
import { type Codec, encodeMessage, type LeaderToClient, type LeaderToWorker, leaderToClient, leaderToWorker } from '../protocol/index.ts'

/** Bytes that may wait for one peer. A client that does not read is disconnected with a reason; nothing waits for it without end. */
export const clientBufferBytesMax = 64 << 20
export const workerBufferBytesMax = 256 << 20

class Link<M> {
  readonly connection: Connection
  readonly #codec: Codec<M>
  readonly #bufferBytesMax: number
  closed = false

  constructor(connection: Connection, codec: Codec<M>, bufferBytesMax: number) {
    this.connection = connection
    this.#codec = codec
    this.#bufferBytesMax = bufferBytesMax
  }

  send(message: M): void {
    if (this.closed) return
    if (this.connection.bufferedBytes > this.#bufferBytesMax) {
      this.closed = true
      this.connection.close(`it did not read: more than ${this.#bufferBytesMax} bytes wait for it`)
      return
    }
    this.connection.send(encodeMessage(this.#codec, message))
  }
}

/** A connected worker. */
export class WorkerLink extends Link<LeaderToWorker> {
  readonly id: string
  readonly boot: string
  /** 0 until it is registered. */
  incarnation = 0
  /** Lines waiting for the answer to a read from its logs, by request. */
  #tail: Promise<void> | undefined

  constructor(connection: Connection, id: string, boot: string) {
    super(connection, leaderToWorker, workerBufferBytesMax)
    this.id = id
    this.boot = boot
  }

  /** Sends what is made by `make`, after everything before it; used where bytes must be read from the store first. */
  sendLater(make: () => Promise<LeaderToWorker>, failed: (error: unknown) => void): void {
    const before = this.#tail ?? Promise.resolve()
    const mine = before.then(async () => {
      try {
        this.send(await make())
      } catch (error) {
        failed(error)
      }
    })
    this.#tail = mine
    void mine.then(() => {
      if (this.#tail === mine) this.#tail = undefined
    })
  }

  /** Sends in order: at once, or behind what is still being read. */
  sendInOrder(message: LeaderToWorker): void {
    const tail = this.#tail
    if (!tail) return this.send(message)
    this.sendLater(
      () => Promise.resolve(message),
      () => {},
    )
  }
}

/** A connected client. */
export class ClientLink extends Link<LeaderToClient> {
  readonly session: string
  /** Jobs of which it is sent results and changes. */
  readonly watched = new Set<string>()
  /** Jobs whose earlier results are still being sent: the end of the job is told after them. */
  readonly catchingUp = new Set<string>()

  constructor(connection: Connection, session: string) {
    super(connection, leaderToClient, clientBufferBytesMax)
    this.session = session
  }
}

/** Everyone who is connected. */
export class Links {
  readonly workers = new Map<string, WorkerLink>()
  readonly clients = new Set<ClientLink>()
  readonly #watchers = new Map<string, Set<ClientLink>>()

  watch(link: ClientLink, job: string): void {
    link.watched.add(job)
    const watchers = this.#watchers.get(job)
    if (watchers) watchers.add(link)
    else this.#watchers.set(job, new Set([link]))
  }

  unwatch(link: ClientLink, job: string): void {
    link.watched.delete(job)
    const watchers = this.#watchers.get(job)
    watchers?.delete(link)
    if (watchers?.size === 0) this.#watchers.delete(job)
  }

  watchers(job: string): ReadonlySet<ClientLink> | undefined {
    return this.#watchers.get(job)
  }

  removeClient(link: ClientLink): void {
    link.closed = true
    this.clients.delete(link)
    for (const job of [...link.watched]) this.unwatch(link, job)
  }

  /** True if another connection of the client's session is there. */
  hasSession(session: string): boolean {
    for (const link of this.clients) if (link.session === session) return true
    return false
  }
}

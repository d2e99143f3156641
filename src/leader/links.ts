// Owns the leader's ends of its connections: who is there, and sending to each within a bound.
// Must not decide what is sent.
import type { Connection } from '../platform/index.ts'
import {
  type Codec,
  encodeMessage,
  type LeaderToCandidate,
  type LeaderToClient,
  type LeaderToWorker,
  leaderToCandidate,
  leaderToClient,
  leaderToWorker,
  type Principal,
  type WireError,
} from '../protocol/index.ts'
import type { Past } from './catchup.ts'

/** Bytes that may wait for one peer. A client that does not read is disconnected with a reason; nothing waits for it without end. */
export const clientBufferBytesMax = 64 << 20
export const workerBufferBytesMax = 256 << 20
export const candidateBufferBytesMax = 1 << 20

abstract class Link<M> {
  readonly connection: Connection
  readonly #codec: Codec<M>
  readonly #bufferBytesMax: number
  closed = false

  constructor(connection: Connection, codec: Codec<M>, bufferBytesMax: number) {
    this.connection = connection
    this.#codec = codec
    this.#bufferBytesMax = bufferBytesMax
  }

  /** Bytes of inputs or results in the message: nearly all of it, where there are many. */
  protected abstract payloadBytes(message: M): number

  /** The bytes of a message, for `sendFrame`: made ahead of the moment in which they may be sent. */
  frame(message: M): Uint8Array {
    return encodeMessage(this.#codec, message, this.payloadBytes(message))
  }

  send(message: M): void {
    if (!this.closed) this.sendFrame(this.frame(message))
  }

  sendFrame(frame: Uint8Array): void {
    if (this.closed) return
    if (this.connection.bufferedBytes > this.#bufferBytesMax) {
      this.closed = true
      this.connection.close(`it did not read: more than ${this.#bufferBytesMax} bytes wait for it`)
      return
    }
    this.connection.send(frame)
  }
}

/** A connected worker. */
export class WorkerLink extends Link<LeaderToWorker> {
  readonly id: string
  readonly boot: string
  /** 0 until it is registered. */
  incarnation = 0
  /** Made at its registration, for capabilities to read and write its blocks. */
  blockKey: Uint8Array = new Uint8Array()
  /** What is being read from the store for it: everything later waits behind. */
  #tail: Promise<void> | undefined

  constructor(connection: Connection, id: string, boot: string) {
    super(connection, leaderToWorker, workerBufferBytesMax)
    this.id = id
    this.boot = boot
  }

  protected override payloadBytes(message: LeaderToWorker): number {
    if (message.kind !== 'assign') return 0
    return message.inputs.reduce((bytes, one) => bytes + one.length, 0)
  }

  /** Sends the frame that is made by `make`, if any, after everything before it; used where bytes must be read from the store first. */
  sendLater(make: () => Promise<Uint8Array | undefined>, failed: (error: unknown) => void): void {
    const before = this.#tail ?? Promise.resolve()
    const mine = before.then(async () => {
      try {
        const frame = await make()
        if (frame) this.sendFrame(frame)
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
    if (!this.closed) this.sendFrameInOrder(this.frame(message))
  }

  sendFrameInOrder(frame: Uint8Array): void {
    if (!this.#tail) return this.sendFrame(frame)
    this.sendLater(
      () => Promise.resolve(frame),
      () => {},
    )
  }
}

/** A connected client. */
export class ClientLink extends Link<LeaderToClient> {
  readonly session: string
  /** Jobs of which it is sent what is recorded after this index of the journal. */
  readonly watched = new Map<string, number>()
  /** Grant → the request that is answered when it is given. */
  readonly lockRequests = new Map<string, number>()
  /** What is still being sent of jobs that it began to watch. */
  readonly catchingUp = new Map<string, Past>()
  readonly principal: Principal
  /** Is told of every answer. */
  answered: ((message: LeaderToClient) => void) | undefined

  constructor(connection: Connection, session: string, principal: Principal) {
    super(connection, leaderToClient, clientBufferBytesMax)
    this.session = session
    this.principal = principal
  }

  override send(message: LeaderToClient): void {
    this.answered?.(message)
    super.send(message)
  }

  protected override payloadBytes(message: LeaderToClient): number {
    return message.kind === 'results' ? message.items.length : 0
  }
}

/** A connected standby. */
export class CandidateLink extends Link<LeaderToCandidate> {
  readonly id: string
  pid = 0
  /** It has applied the journal up to here. */
  appliedIndex = 0

  constructor(connection: Connection, id: string) {
    super(connection, leaderToCandidate, candidateBufferBytesMax)
    this.id = id
  }

  protected override payloadBytes(): number {
    return 0
  }
}

/** Everyone who is connected. */
export class Links {
  /** The latest registration of each worker that is not answered. Only the latest counts: an older one's connection is given up. */
  readonly registering = new Map<string, object>()
  readonly workers = new Map<string, WorkerLink>()
  readonly clients = new Set<ClientLink>()
  /** Standbys that have joined. */
  readonly candidates = new Map<string, CandidateLink>()
  readonly #watchers = new Map<string, Set<ClientLink>>()
  readonly #sessions = new Map<string, Set<ClientLink>>()

  /** Sends it what is recorded about the job after `index`. */
  watch(link: ClientLink, job: string, index: number): void {
    link.watched.set(job, index)
    const watchers = this.#watchers.get(job)
    if (watchers) watchers.add(link)
    else this.#watchers.set(job, new Set([link]))
  }

  unwatch(link: ClientLink, job: string): void {
    link.watched.delete(job)
    link.catchingUp.delete(job)
    const watchers = this.#watchers.get(job)
    watchers?.delete(link)
    if (watchers?.size === 0) this.#watchers.delete(job)
  }

  watchers(job: string): ReadonlySet<ClientLink> | undefined {
    return this.#watchers.get(job)
  }

  addClient(link: ClientLink): void {
    this.clients.add(link)
    const links = this.#sessions.get(link.session) ?? new Set()
    this.#sessions.set(link.session, links.add(link))
  }

  removeClient(link: ClientLink): void {
    link.closed = true
    this.clients.delete(link)
    const links = this.#sessions.get(link.session)
    links?.delete(link)
    if (links?.size === 0) this.#sessions.delete(link.session)
    for (const job of [...link.watched.keys()]) this.unwatch(link, job)
  }

  /** True if another connection of the client's session is there. */
  hasSession(session: string): boolean {
    return this.#sessions.has(session)
  }

  /** Tells the session that it will not have what it waits for. */
  denied(session: string, grant: string, error: WireError): void {
    for (const link of this.#sessions.get(session) ?? []) {
      const request = link.lockRequests.get(grant)
      if (request === undefined) continue
      link.lockRequests.delete(grant)
      link.send({ kind: 'failed', request, error })
    }
  }

  /** Tells the session that it has what it asked for. */
  granted(session: string, grant: string, token: number): void {
    for (const link of this.#sessions.get(session) ?? []) {
      const request = link.lockRequests.get(grant)
      if (request === undefined) continue
      link.lockRequests.delete(grant)
      link.send({ kind: 'granted', request, token })
    }
  }
}

// Clients and workers that say exactly what a test tells them to, and remember all that they hear.
import assert from 'node:assert/strict'
import {
  type ClientToLeader,
  type Codec,
  clientToLeader,
  decodeMessage,
  encodeMessage,
  type Hello,
  hello,
  type LaneReport,
  type LeaderToClient,
  type LeaderToWorker,
  leaderToClient,
  leaderToWorker,
  type Outcome,
  protocolVersion,
  type Resources,
  type ViewName,
  type Views,
  type Welcome,
  type WorkerToLeader,
  welcome,
  workerToLeader,
} from '../../src/protocol/index.ts'
import { amount } from './plans.ts'
import { type FakeLane, FakeWorker, finished } from './worker.ts'
import type { FakeConnection, World } from './world.ts'

/** A request without its number. */
export type Question = ClientToLeader extends infer M ? (M extends { request: number } ? Omit<M, 'request'> : never) : never

type Kind<M> = M extends { kind: infer K } ? K : never

/** One side of the protocol, spoken by hand. */
class Peer<Out, In extends { kind: string }> {
  readonly world: World
  readonly #out: Codec<Out>
  readonly #in: Codec<In>
  connection!: FakeConnection
  /** The answer to hello. */
  welcomed: Welcome | undefined
  /** Why the connection ended, once it has. */
  closed: string | undefined
  refused: number | undefined
  /** Everything heard on the current connection but pulses. */
  heard: In[] = []
  pulses = 0

  constructor(world: World, out: Codec<Out>, inward: Codec<In>) {
    this.world = world
    this.#out = out
    this.#in = inward
  }

  /** Dials and says hello; `said` may be nothing, to stay silent. */
  protected async dial(address: string, token: string, said: Hello | undefined): Promise<void> {
    this.welcomed = undefined
    this.closed = undefined
    this.heard = []
    let connection: FakeConnection | undefined
    connection = this.world.transport.connect(address, token, 0, {
      opened: () => said && connection!.send(encodeMessage(hello, said)),
      frame: bytes => {
        if (connection !== this.connection) return
        if (!this.welcomed) this.welcomed = decodeMessage(welcome, bytes)
        else this.#take(decodeMessage(this.#in, bytes))
      },
      closed: (reason, refused) => {
        if (connection !== this.connection) return
        this.closed = reason
        this.refused = refused
      },
    }) as FakeConnection
    this.connection = connection
    await this.world.calm()
  }

  #take(message: In): void {
    if (message.kind === 'pulse') this.pulses++
    else this.heard.push(message)
    this.took(message)
  }

  protected took(_message: In): void {}

  /** Says it, and lets all that follows happen. */
  async say(message: Out): Promise<void> {
    this.connection.send(encodeMessage(this.#out, message))
    await this.world.calm()
  }

  /** What was heard of one kind, oldest first. */
  of<K extends Kind<In>>(kind: K): Extract<In, { kind: K }>[] {
    return this.heard.filter((message): message is Extract<In, { kind: K }> => message.kind === kind)
  }

  /** The only one of a kind that was heard. */
  the<K extends Kind<In>>(kind: K): Extract<In, { kind: K }> {
    const all = this.of(kind)
    assert.equal(all.length, 1, `heard ${all.length} of ${String(kind)} in ${this.heard.map(message => message.kind).join(', ')}`)
    return all[0]!
  }

  /** Forgets what was heard so far. */
  forget(): void {
    this.heard = []
  }

  /** The connection ends. */
  async hangUp(): Promise<void> {
    this.connection.close('it hangs up')
    await this.world.calm()
  }
}

/** A client that does what it is told. */
export class ScriptedClient extends Peer<ClientToLeader, LeaderToClient> {
  readonly session: string
  #request = 0

  constructor(world: World, session = 'session-1') {
    super(world, clientToLeader, leaderToClient)
    this.session = session
  }

  connect(address: string, said: Partial<Hello> = {}, token = 'client'): Promise<void> {
    const greeting = {
      protocol: protocolVersion,
      release: '0',
      role: 'client' as const,
      name: 'a client',
      cluster: '',
      epochSeen: 0,
      session: this.session,
    }
    return this.dial(address, token, { ...greeting, ...said })
  }

  /** Connects and says nothing. */
  connectSilently(address: string): Promise<void> {
    return this.dial(address, 'client', undefined)
  }

  /** Sends a request and gives its answer, if there is one by now. */
  async ask(message: Question): Promise<LeaderToClient | undefined> {
    const request = ++this.#request
    await this.say({ ...message, request } as ClientToLeader)
    return this.heard.find(answer => 'request' in answer && answer.request === request)
  }

  /** Asks for a view and reads its JSON. */
  async view<V extends ViewName>(view: V, argument: Partial<Views[V]['argument']> = {}): Promise<Views[V]['answer']> {
    const answer = await this.ask({ kind: 'ask', view, argument: JSON.stringify(argument) })
    assert.equal(answer?.kind, 'view', JSON.stringify(answer))
    return JSON.parse(answer?.kind === 'view' ? answer.body : '')
  }
}

/** A worker that takes what it is handed and tells outcomes when it is told to. */
export class ScriptedWorker extends Peer<WorkerToLeader, LeaderToWorker> {
  readonly id: string
  readonly work: FakeWorker
  capacity: Resources = amount(1)

  constructor(world: World, id: string) {
    super(world, workerToLeader, leaderToWorker)
    this.id = id
    this.work = new FakeWorker(id, `${id}-boot-1`)
  }

  /** Connects, without registering. */
  greet(address: string, said: Partial<Hello> = {}, token = 'worker'): Promise<void> {
    const greeting = {
      protocol: protocolVersion,
      release: '0',
      role: 'worker' as const,
      name: this.id,
      cluster: '',
      epochSeen: 0,
      session: this.work.boot,
    }
    return this.dial(address, token, { ...greeting, ...said })
  }

  async connect(address: string): Promise<void> {
    await this.greet(address)
    await this.register()
  }

  async register(lanes: LaneReport[] = [...this.work.lanes.values()].map(lane => lane.report())): Promise<void> {
    await this.say({ kind: 'register', capacity: this.capacity, host: 'host', pid: 7, blocks: `http://${this.id}`, labels: [], lanes })
  }

  protected override took(message: LeaderToWorker): void {
    switch (message.kind) {
      case 'registered':
        this.work.incarnation = message.incarnation
        this.work.keep(message.keep)
        this.#tellAgain()
        return
      case 'assign':
        this.work.receive(message)
        return
      case 'acknowledge':
        for (const { lane, count } of message.lanes) {
          const known = this.work.lanes.get(lane)
          if (known) this.work.acknowledge(known, Math.min(count, known.head))
        }
        return
      case 'dismissed':
        this.work.lanes.clear()
    }
  }

  /** What was not acknowledged before the connection ended is reported again. */
  #tellAgain(): void {
    for (const lane of this.work.lanes.values()) {
      if (lane.kept.length > 0)
        this.connection.send(
          encodeMessage(workerToLeader, { kind: 'report', lane: lane.id, from: lane.acknowledged, outcomes: [...lane.kept] }),
        )
    }
  }

  /** The next tasks of a lane have these outcomes. */
  async end(outcomes: Outcome[], lane = this.lane): Promise<void> {
    await this.say({ kind: 'report', lane: lane.id, from: this.work.settle(lane, outcomes), outcomes })
  }

  /** The next `count` tasks of the first busy lane finish. */
  finish(count = 1, lane = this.lane): Promise<void> {
    return this.end([finished(lane, count)], lane)
  }

  /** Everything it has finishes, one by one, until nothing is left. */
  async finishAll(): Promise<void> {
    while (this.work.busy.length > 0) await this.finish()
  }

  /** The first lane with something to run. */
  get lane(): FakeLane {
    const [lane] = this.work.busy
    assert(lane, `${this.id} has nothing to do`)
    return lane
  }

  async beat(sequence = 1): Promise<void> {
    const load = { cpuShare: 0.25, memoryUsedBytes: 1, memoryFreeBytes: 2, eventLoopDelayMs: 0, diskFreeBytes: 3, executors: 1 }
    await this.say({ kind: 'heartbeat', sequence, ...load })
  }
}

// Owns one played worker process: to the leader it is a worker with many slots, and its attempts run until they are told to end.
// Must not run anything: what ten thousand attempts cost their own processes is not what a takeover is measured by.
import { once } from 'node:events'
import { readEndpoint } from '../../src/cli/state/endpoint.ts'
import { Home } from '../../src/cli/state/home.ts'
import { readToken } from '../../src/cli/state/tokens.ts'
import type { Connection } from '../../src/platform/index.ts'
import { nodeTransport } from '../../src/platform/node/index.ts'
import {
  ChunkWriter,
  decodeMessage,
  encodeMessage,
  hello,
  itemInline,
  type LeaderToWorker,
  leaderToWorker,
  limits,
  protocolVersion,
  release,
  type WorkerToLeader,
  welcome,
  workerToLeader,
  writeValue,
} from '../../src/protocol/index.ts'
import { type FakeLane, FakeWorker, type LaneTask, resultOf } from '../../test/fakes/worker.ts'
import { slot, slotResource } from './slot.ts'

/** What the process is started with. */
export interface PlayedOrder {
  home: string
  name: string
  /** Attempts at the same time. */
  slots: number
}

/** What it is told then: to end one of its attempts, to end all and whatever comes, to say how it stands. */
export type PlayedCommand = { kind: 'end' } | { kind: 'flow' } | { kind: 'tell' }

/** How it stands. */
export interface PlayedCounts {
  registered: boolean
  /** Attempts that it was handed since its start, and those of them without an outcome. */
  started: number
  running: number
}

/** As the agent's first pauses between dials. */
const dialAgainMs = 40
/** What a played attempt says that it took: long, so that each slot is given one at a time; or as little as a no-op, to get through many. */
const heldMicros = 1_000_000
const flowingMicros = 20

/** The results of the lane's next tasks, as an executor encodes them. */
function resultsOf(lane: FakeLane, count: number): Uint8Array {
  const chunk = new ChunkWriter()
  for (let number = lane.head; number < lane.head + count; number++) {
    const item = chunk.beginItem()
    item.byte(itemInline)
    writeValue(item, resultOf(lane.tasks[number]!))
    chunk.endItem()
  }
  return chunk.finish()
}

class PlayedWorker {
  readonly #order: PlayedOrder
  readonly #home: Home
  readonly #work: FakeWorker
  #connection: Connection | undefined
  #welcomed = false
  #registered = false
  #started = 0
  #epoch = 0
  #beats = 0
  #flowing = false

  constructor(order: PlayedOrder) {
    this.#order = order
    this.#home = new Home(order.home)
    this.#work = new FakeWorker(order.name, `${order.name}-${process.pid}`)
  }

  get counts(): PlayedCounts {
    let running = 0
    for (const lane of this.#work.lanes.values()) running += lane.tasks.length - lane.head
    return { registered: this.#registered, started: this.#started, running }
  }

  /** Dials whoever leads, again and again. */
  connect(): void {
    const endpoint = readEndpoint(this.#home)
    if (!endpoint) return this.#dialAgain()
    const connection = nodeTransport.connect(endpoint.address, readToken(this.#home, 'node'), limits.frameBytesMax, {
      opened: () => {
        const greeting = { protocol: protocolVersion, release, role: 'worker' as const, name: this.#order.name }
        connection.send(encodeMessage(hello, { ...greeting, cluster: '', epochSeen: this.#epoch, session: this.#work.boot }))
      },
      frame: bytes => {
        if (this.#welcomed) this.#take(decodeMessage(leaderToWorker, bytes))
        else this.#greeted(bytes)
      },
      closed: () => {
        this.#welcomed = false
        this.#registered = false
        this.#dialAgain()
      },
    })
    this.#connection = connection
  }

  #dialAgain(): void {
    setTimeout(() => this.connect(), dialAgainMs)
  }

  #greeted(bytes: Uint8Array): void {
    const answer = decodeMessage(welcome, bytes)
    if (answer.kind !== 'welcome' || answer.epoch < this.#epoch) return this.#connection?.close('this is not who leads')
    this.#welcomed = true
    this.#epoch = answer.epoch
    const { slots } = this.#order
    const { cpus, memoryBytes, amount } = slot
    const named = [{ name: slotResource, millis: slots * amount * 1000 }]
    const capacity = { cpuMillis: slots * cpus * 1000, memoryBytes: slots * memoryBytes, gpuMillis: 0, named }
    const lanes = [...this.#work.lanes.values()].map(lane => lane.report())
    this.#say({ kind: 'register', capacity, host: 'played', pid: process.pid, blocks: 'http://played', labels: [], lanes })
  }

  #say(message: WorkerToLeader): void {
    this.#connection?.send(encodeMessage(workerToLeader, message))
  }

  #take(message: LeaderToWorker): void {
    switch (message.kind) {
      case 'registered':
        this.#registered = true
        this.#work.incarnation = message.incarnation
        this.#work.keep(message.keep)
        for (const lane of this.#work.lanes.values())
          if (lane.kept.length > 0) this.#say({ kind: 'report', lane: lane.id, from: lane.acknowledged, outcomes: [...lane.kept] })
        return
      case 'assign': {
        const { runs } = message
        for (const { count } of runs) this.#started += count
        this.#work.receive({ lane: message.lane, incarnation: message.incarnation, runs })
        if (this.#flowing) this.#endAll(this.#work.lanes.get(message.lane)!)
        return
      }
      case 'acknowledge':
        for (const { lane, count } of message.lanes) {
          const known = this.#work.lanes.get(lane)
          if (known) this.#work.acknowledge(known, count)
        }
        return
      case 'pulse':
        return this.#beat()
      case 'dismissed':
        throw new Error(`worker ${this.#order.name} was given up: ${message.reason}`)
    }
  }

  #beat(): void {
    if (!this.#registered) return
    const load = { cpuShare: 0, memoryUsedBytes: 0, memoryFreeBytes: 0, eventLoopDelayMs: 0, diskFreeBytes: 0, executors: 0 }
    this.#say({ kind: 'heartbeat', sequence: ++this.#beats, ...load })
  }

  /** The next tasks of the lane, all of one run, end well; that is told now, or after the next registration. */
  #end(lane: FakeLane, count: number): void {
    const outcome = {
      kind: 'finished' as const,
      count,
      items: resultsOf(lane, count),
      blocks: [],
      elapsedMicros: (this.#flowing ? flowingMicros : heldMicros) * count,
    }
    const from = this.#work.settle(lane, [outcome])
    if (this.#registered) this.#say({ kind: 'report', lane: lane.id, from, outcomes: [outcome] })
  }

  /** All that the lane has ends, run by run. */
  #endAll(lane: FakeLane): void {
    for (let open = lane.open; open.length > 0; open = lane.open) {
      const [first] = open as [LaneTask]
      const other = open.findIndex(
        ({ job, attempt, index }, at) => job !== first.job || attempt !== first.attempt || index !== first.index + at,
      )
      this.#end(lane, other < 0 ? open.length : other)
    }
  }

  obey(command: PlayedCommand): void {
    if (command.kind === 'tell') process.send!(this.counts)
    else if (command.kind === 'end') this.#end(this.#work.busy[0]!, 1)
    else {
      this.#flowing = true
      for (const lane of this.#work.busy) this.#endAll(lane)
    }
  }
}

const [order] = (await once(process, 'message')) as [PlayedOrder]
const worker = new PlayedWorker(order)
process.on('message', command => worker.obey(command as PlayedCommand))
// Whoever started it is gone.
process.on('disconnect', () => process.exit())
worker.connect()

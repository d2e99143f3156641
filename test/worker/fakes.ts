// Owns what the worker's tests talk to: a transport within one process, and a leader that keeps to docs/protocol.md.
// Must not hold tests.
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Connection, ConnectionHandlers, ListenOptions, Platform, Transport } from '../../src/platform/index.ts'
import { nextTick, nodeClock, nodeFiles, nodeRandom, nodeWeb } from '../../src/platform/node/index.ts'
import {
  type BlockReference,
  Chunk,
  ChunkWriter,
  decodeMessage,
  decodeValue,
  encodeMessage,
  type Hello,
  hello,
  type LeaderToWorker,
  type LogLine,
  laneId,
  leaderToWorker,
  type Outcome,
  outcomeTasks,
  protocolVersion,
  type Run,
  readItem,
  release,
  type StagePlan,
  type TaskBlock,
  type WorkerToLeader,
  welcome,
  workerToLeader,
  writeBlockItem,
} from '../../src/protocol/index.ts'
import { Agent, type AgentOptions } from '../../src/worker/index.ts'
import { chunkOf } from '../fakes/values.ts'
import { blockKey, capabilityOf, registeredAtMs } from './grants.ts'

/** Connections within one process: frames arrive in order, in later turns of the event loop. */
export class MemoryTransport implements Transport {
  readonly #listeners = new Map<string, ListenOptions<unknown>>()

  connect(address: string, token: string, _frameBytesMax: number, handlers: ConnectionHandlers): Connection {
    const listener = this.#listeners.get(address)
    const principal = listener?.authenticate({ token, certificate: undefined, remote: 'memory' })
    if (!listener || principal === undefined) {
      setImmediate(() => handlers.closed(listener ? 'refused' : 'nobody listens', listener ? 401 : undefined))
      return new MemoryEnd(address)
    }
    const here = new MemoryEnd(address)
    const there = new MemoryEnd('memory')
    here.other = there
    there.other = here
    here.handlers = handlers
    setImmediate(() => {
      there.handlers = listener.accept(there, principal)
      there.handlers.opened()
      handlers.opened()
    })
    return here
  }

  async listen<P>(options: ListenOptions<P>): Promise<{ address: string; close(): Promise<void> }> {
    const address = `memory:${options.port}`
    this.#listeners.set(address, options as ListenOptions<unknown>)
    return { address, close: async () => void this.#listeners.delete(address) }
  }
}

class MemoryEnd implements Connection {
  readonly remote: string
  bufferedBytes = 0
  other: MemoryEnd | undefined
  handlers: ConnectionHandlers | undefined
  #open = true

  constructor(remote: string) {
    this.remote = remote
  }

  send(frame: Uint8Array): void {
    const { other } = this
    if (this.#open && other) setImmediate(() => other.#take(frame))
  }

  #take(frame: Uint8Array): void {
    if (this.#open) this.handlers?.frame(frame)
  }

  pause(): void {}
  resume(): void {}

  close(reason: string): void {
    for (const end of [this, this.other]) {
      if (!end) continue
      setImmediate(() => {
        if (!end.#open) return
        end.#open = false
        end.handlers?.closed(reason)
      })
    }
  }
}

type MessageOf<K extends WorkerToLeader['kind']> = Extract<WorkerToLeader, { kind: K }>

/** What is known of one lane after all reports. */
export interface LaneLog {
  /** One entry per task: its value, its failure, or that it was skipped. */
  ended: ({ value: unknown } | { block: BlockReference } | { failed: Extract<Outcome, { kind: 'failed' }> } | 'skipped')[]
  returnedFrom: number | undefined
}

/** A leader for one worker, driven by a test. */
export class FakeLeader {
  readonly transport: Transport
  readonly messages: WorkerToLeader[] = []
  readonly lanes = new Map<number, LaneLog>()
  readonly logs: LogLine[] = []
  readonly programs = new Map<string, Uint8Array>()
  readonly locations = new Map<string, string>()
  /** Workers that have a block, besides the one that is named. */
  readonly others = new Map<string, string[]>()
  epoch = 1
  incarnation = 1
  pulseMs = 200
  acknowledges = true
  /** Answers heartbeats with pulses. */
  pulses = true
  /** What a registration is told to keep; all of it by default. */
  keep: ((lanes: MessageOf<'register'>['lanes']) => { lane: number; tasks: number }[]) | undefined
  greeting: Hello | undefined
  connection: Connection | undefined
  refusal: { code: string; message: string } | undefined
  onReport: ((report: MessageOf<'report'>) => void) | undefined
  #close: (() => Promise<void>) | undefined
  #waiting: { condition(): unknown; resolve(): void }[] = []
  #laneCount = 0
  address = ''

  constructor(transport: Transport = new MemoryTransport()) {
    this.transport = transport
  }

  async listen(port = 1): Promise<void> {
    const listener = await this.transport.listen({
      host: '127.0.0.1',
      port,
      frameBytesMax: 40 << 20,
      authenticate: ({ token }) => (token === 'node-token' ? 'worker' : undefined),
      healthy: () => true,
      accept: connection => {
        this.connection = connection
        let greeted = false
        return {
          opened: () => undefined,
          frame: bytes => {
            if (greeted) this.#message(connection, decodeMessage(workerToLeader, bytes))
            else this.#greet(connection, decodeMessage(hello, bytes))
            greeted = true
            this.#check()
          },
          closed: () => {
            if (this.connection === connection) this.connection = undefined
            this.#check()
          },
        }
      },
    })
    this.address = listener.address
    this.#close = () => listener.close()
  }

  async close(): Promise<void> {
    this.connection?.close('leader ends')
    await this.#close?.()
  }

  #greet(connection: Connection, greeting: Hello): void {
    this.greeting = greeting
    if (this.refusal) {
      connection.send(encodeMessage(welcome, { kind: 'refused', ...this.refusal }))
      return
    }
    const { epoch, pulseMs } = this
    connection.send(
      encodeMessage(welcome, { kind: 'welcome', protocol: protocolVersion, release, cluster: 'c1', epoch, leader: 'l1', pulseMs }),
    )
  }

  send(message: LeaderToWorker): void {
    this.connection?.send(encodeMessage(leaderToWorker, message))
  }

  #message(connection: Connection, message: WorkerToLeader): void {
    if (message.kind !== 'heartbeat') this.messages.push(message)
    switch (message.kind) {
      case 'register': {
        const keep = this.keep?.(message.lanes) ?? message.lanes.map(lane => ({ lane: lane.lane, tasks: lane.received }))
        const { incarnation, epoch } = this
        this.send({ kind: 'registered', incarnation, epoch, keep, blockKey, timeMs: registeredAtMs })
        break
      }
      case 'heartbeat':
        this.messages.push(message)
        if (this.pulses) connection.send(encodeMessage(leaderToWorker, { kind: 'pulse', epoch: this.epoch }))
        break
      case 'getProgram':
        this.send({ kind: 'program', request: message.request, bytes: this.programs.get(message.program) })
        break
      case 'locateBlock':
        this.send({ kind: 'blockLocated', request: message.request, replicas: this.#replicas(message) })
        break
      case 'report':
        this.#report(message)
        break
      case 'returnTasks':
        this.lane(message.lane).returnedFrom = message.from
        break
      case 'logLines':
        this.logs.push(...message.lines)
        break
    }
  }

  #replicas({ holder, block }: MessageOf<'locateBlock'>): Extract<LeaderToWorker, { kind: 'blockLocated' }>['replicas'] {
    return [holder, ...(this.others.get(block) ?? [])].flatMap(worker => {
      const address = this.locations.get(worker)
      const capability = capabilityOf({ holder: worker, bearer: this.greeting?.name ?? '', block })
      return address === undefined ? [] : [{ worker, address, capability }]
    })
  }

  #report(message: MessageOf<'report'>): void {
    const log = this.lane(message.lane)
    let number = message.from
    if (number > log.ended.length) throw new Error(`a gap: report from ${number}, where ${log.ended.length} is next`)
    for (const outcome of message.outcomes) {
      const count = outcomeTasks(outcome)
      const chunk = outcome.kind === 'finished' ? new Chunk(outcome.items) : undefined
      for (let i = 0; i < count; i++, number++) {
        if (number < log.ended.length) continue
        if (outcome.kind === 'failed') log.ended.push({ failed: outcome })
        else if (!chunk) log.ended.push('skipped')
        else {
          const item = readItem(chunk.item(i))
          log.ended.push('inline' in item ? { value: decodeValue(item.inline) } : { block: item })
        }
      }
    }
    this.onReport?.(message)
    if (this.acknowledges) this.send({ kind: 'acknowledge', lanes: [{ lane: message.lane, count: log.ended.length }] })
  }

  /** What was reported of a lane. */
  lane(lane: number): LaneLog {
    let log = this.lanes.get(lane)
    if (!log) {
      log = { ended: [], returnedFrom: undefined }
      this.lanes.set(lane, log)
    }
    return log
  }

  /** Makes a program known and gives its id. */
  program(source: string): string {
    const bytes = Buffer.from(source)
    const program = createHash('sha256').update(bytes).digest('hex')
    this.programs.set(program, bytes)
    return program
  }

  newLane(): number {
    return laneId(this.epoch, ++this.#laneCount)
  }

  /** Gives tasks of one run to a lane; without a lane, to a new one. */
  assign(
    plan: StagePlan,
    inputs: readonly unknown[],
    options: { lane?: number; job?: string; first?: number; attempt?: number } = {},
  ): number {
    return this.assignChunk(plan, chunkOf(inputs), inputs.length, options)
  }

  assignChunk(
    plan: StagePlan,
    items: Uint8Array,
    count: number,
    options: { lane?: number; job?: string; first?: number; attempt?: number } = {},
  ): number {
    const lane = options.lane ?? this.newLane()
    const run: Run = { job: options.job ?? 'job', stage: 0, first: options.first ?? 0, count, attempt: options.attempt ?? 1 }
    this.send({ kind: 'assign', epoch: this.epoch, incarnation: this.incarnation, lane, plan, runs: [run], inputs: [items] })
    return lane
  }

  /** Resolves when the condition holds; it is looked at after each message. */
  until(condition: () => unknown): Promise<void> {
    if (condition()) return Promise.resolve()
    return new Promise(resolve => {
      this.#waiting.push({ condition, resolve })
    })
  }

  /** Resolves when so many tasks of the lane have ended. */
  async ended(lane: number, count: number): Promise<LaneLog> {
    await this.until(() => this.lane(lane).ended.length >= count)
    return this.lane(lane)
  }

  #check(): void {
    this.#waiting = this.#waiting.filter(one => {
      if (!one.condition()) return true
      one.resolve()
      return false
    })
  }
}

/** A chunk of one item that names a block. */
export function blockChunk(reference: BlockReference): Buffer {
  const chunk = new ChunkWriter()
  writeBlockItem(chunk.beginItem(), reference)
  chunk.endItem()
  return chunk.finish()
}

/** A plan with what tests rarely care about filled in. */
export function plan(
  program: string,
  task: string,
  overrides: { cpuMillis?: number; memoryBytes?: number; timeoutMs?: number } = {},
): StagePlan {
  return {
    task,
    program,
    resources: { cpuMillis: overrides.cpuMillis ?? 1000, memoryBytes: overrides.memoryBytes ?? 64 << 20, gpuMillis: 0, named: [] },
    retry: { retriesMax: 0, backoffBaseMs: 100, backoffMsMax: 1000 },
    timeoutMs: overrides.timeoutMs ?? 0,
    edges: [],
  }
}

/** The source of a program whose tasks have these bodies. */
export function programOf(tasks: Record<string, string>, before = ''): string {
  const entries = Object.entries(tasks).map(([name, run]) => `${JSON.stringify(name)}: { name: ${JSON.stringify(name)}, run: ${run} }`)
  return `${before}\nexport default { tasks: { ${entries.join(',\n')} } }\n`
}

/** All values of a lane; fails on anything else. */
export function values(log: LaneLog): unknown[] {
  return log.ended.map(one => {
    if (typeof one === 'object' && 'value' in one) return one.value
    throw new Error(`not a value: ${JSON.stringify(one)}`)
  })
}

/** The failure at a position of a lane. */
export function failureAt(log: LaneLog, position: number): Extract<Outcome, { kind: 'failed' }> {
  const one = log.ended[position]
  if (typeof one === 'object' && 'failed' in one) return one.failed
  throw new Error(`not a failure: ${JSON.stringify(one)}`)
}

/** The block at a position of a lane. */
export function blockAt(log: LaneLog, position: number): BlockReference {
  const one = log.ended[position]
  if (typeof one === 'object' && 'block' in one) return one.block
  throw new Error(`not a block: ${JSON.stringify(one)?.slice(0, 300)}`)
}

export type { TaskBlock }

/** Compiled code of executors is kept with that of the tests, if they keep any. */
export const compiled = process.env['NODE_COMPILE_CACHE'] && join(process.env['NODE_COMPILE_CACHE'], 'executors')

/** A worker with its leader, in one process and one temporary folder. */
export interface Stand {
  leader: FakeLeader
  agent: Agent
  folder: string
  platform: Platform
  options: AgentOptions
  [Symbol.asyncDispose](): Promise<void>
}

/** Starts an agent on a fresh folder, registered with a fake leader. */
export async function stand(overrides: Partial<AgentOptions> & { fake?: FakeLeader } = {}): Promise<Stand> {
  const { fake, ...given } = overrides
  const leader = fake ?? new FakeLeader()
  if (leader.address === '') await leader.listen()
  const folder = given.folder ?? mkdtempSync(join(tmpdir(), 'cox-worker-'))
  const platform = testPlatform(leader.transport)
  const options: AgentOptions = {
    name: 'w1',
    folder,
    leader: async () => ({ address: leader.address, token: 'node-token' }),
    executors: 2,
    capacity: { cpuMillis: 2000, memoryBytes: 1 << 30, gpuMillis: 0, named: [] },
    labels: [],
    blockHost: '127.0.0.1',
    ...(compiled && { compiled }),
    ...given,
  }
  const agent = new Agent(options, platform)
  try {
    await agent.start()
  } catch (error) {
    await agent.stop('it did not start', 0)
    if (!given.folder) rmSync(folder, { recursive: true, force: true })
    throw error
  }
  return {
    leader,
    agent,
    folder,
    platform,
    options,
    async [Symbol.asyncDispose]() {
      await agent.stop('test is over', 0)
      await leader.close()
      if (!given.folder) rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** The real clock and files with the given transport, and no log. */
export function testPlatform(transport: Transport): Platform {
  return { clock: nodeClock, random: nodeRandom, files: nodeFiles, transport, web: nodeWeb, nextTick, log: () => undefined }
}

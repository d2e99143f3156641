// Owns a worker node as a whole: carries what the leader and the executors say to the machine, and does what it decides.
// Must not run user code, and must not decide what the machine decides.
import { mkdir, rm } from 'node:fs/promises'
import { availableParallelism, hostname } from 'node:os'
import { join } from 'node:path'
import type { Cancel, Platform } from '../platform/index.ts'
import { Chunk, CoxswainError, type LeaderToWorker, type LogLine, type Outcome, type ProgramId, type Resources } from '../protocol/index.ts'
import { BlockFetcher } from './blocks/fetch.ts'
import { BlockServer } from './blocks/server.ts'
import { BlockStore } from './blocks/store.ts'
import { ExecutorPool } from './executors/pool.ts'
import { RawOutput } from './logs/raw.ts'
import { LogReaders } from './logs/readers.ts'
import { LogStore } from './logs/store.ts'
import { type Instruction, Machine, type MachineEvent } from './machine/index.ts'
import { EpochMemory } from './memory.ts'
import { Programs } from './programs.ts'
import { Questions } from './questions.ts'
import { Uplink } from './uplink.ts'
import { VitalSigns } from './vitals.ts'

/** Executors beyond one per cpu, where the number is not given: for tasks of other programs that take a fraction of one. */
const executorsBeyondCpus = 2
/** After the signals of running tasks were aborted because the worker stops, they have this long. */
const stopGraceMs = 500
/** What has ended is acknowledged, and what was killed has ended, within this. */
const stopSettleMs = 2_000

/** What a worker must know. */
export interface AgentOptions {
  /** Its name in the cluster; the same over restarts. */
  name: string
  /** Its state: blocks, programs, logs, the highest epoch it has seen. Nobody else's. */
  folder: string
  /** Where the leader is, and the token that proves this worker to it. Asked at each dial. */
  leader(): Promise<{ address: string; token: string }>
  /** Id of the cluster; without it, that of the first leader that welcomes it. */
  cluster?: string
  /** Executor processes at the same time. */
  executors?: number
  /** What tasks may ask of it altogether. */
  capacity: Resources
  labels: string[]
  /** Host that its block server listens on. */
  blockHost: string
  /** True if this bearer token may read and write blocks. */
  blockAuth(token: string): boolean
  /** Token with which it fetches blocks from other workers. */
  peerToken: string
  /** Folder from which packages are resolved that programs name as external; the working directory by default. */
  modules?: string
}

/** A worker node's main process. It never runs user code: executors do. */
export class Agent {
  readonly #options: AgentOptions
  readonly #platform: Platform
  readonly #machine: Machine
  readonly #memory: EpochMemory
  readonly #uplink: Uplink
  readonly #pool: ExecutorPool
  readonly #programs: Programs
  readonly #blocks: BlockStore
  readonly #blockServer: BlockServer
  readonly #logs: LogStore
  readonly #readers: LogReaders
  readonly #raw: RawOutput
  readonly #vitals: VitalSigns
  readonly #questions = new Questions()
  readonly #started = Promise.withResolvers<void>()
  readonly #drained = Promise.withResolvers<void>()
  readonly #ended = Promise.withResolvers<string>()
  #registered = false
  #incarnation = 0
  #heartbeats = 0
  #stopWake: Cancel | undefined
  #stopping: Promise<void> | undefined

  constructor(options: AgentOptions, platform: Platform) {
    this.#options = options
    this.#platform = platform
    const { folder, name, capacity } = options
    const slots =
      options.executors ?? Math.max(1, Math.ceil((capacity.cpuMillis || availableParallelism() * 1000) / 1000)) + executorsBeyondCpus
    this.#machine = new Machine({ slots, memoryBytes: capacity.memoryBytes })
    this.#memory = new EpochMemory(folder, platform.files)
    this.#blocks = new BlockStore(join(folder, 'blocks'), join(folder, 'copies'))
    this.#blockServer = new BlockServer(this.#blocks, { host: options.blockHost, authenticate: token => options.blockAuth(token) })
    this.#programs = new Programs(join(folder, 'programs'), platform, program => this.#askProgram(program))
    this.#logs = new LogStore(join(folder, 'logs'), platform.clock)
    this.#vitals = new VitalSigns(folder)
    const fetcher = new BlockFetcher(this.#blocks, {
      worker: name,
      token: options.peerToken,
      locate: holder => this.#questions.ask(request => this.#uplink.send({ kind: 'locateBlock', request, holder })),
      pause: ms => new Promise(resolve => void platform.clock.timer(ms, resolve)),
    })
    this.#uplink = new Uplink(options, platform, this.#memory, {
      welcomed: () => this.#register(),
      message: message => this.#fromLeader(message),
      disconnected: reason => this.#disconnected(reason),
      refused: error => this.#started.reject(error),
      pulse: () => this.#heartbeat(),
    })
    this.#readers = new LogReaders(this.#logs, platform.clock, {
      send: (request, lines, dropped, ended) => this.#uplink.send({ kind: 'logLines', request, lines, dropped, ended }),
      bufferedBytes: () => this.#uplink.bufferedBytes,
    })
    this.#raw = new RawOutput(platform.clock, lines => this.#log(lines))
    this.#pool = new ExecutorPool(
      {
        worker: name,
        blocks: join(folder, 'blocks'),
        temporary: join(folder, 'executors'),
        modules: options.modules ?? process.cwd(),
        programPath: program => this.#programs.path(program),
      },
      platform,
      {
        event: event => {
          this.#tell(event)
          if (event.kind === 'executorEnded') this.#raw.ended(event.executor)
        },
        logs: lines => this.#log(lines),
        raw: (executor, stream, text) => this.#raw.text(executor, stream, text),
        progress: progress => this.#uplink.send(progress),
        block: need => fetcher.provide(need),
        busy: () => this.#machine.busyExecutors(),
      },
    )
  }

  /** Resolves to the reason when the worker has ended: it was stopped, or the leader drained it. */
  get ended(): Promise<string> {
    return this.#ended.promise
  }

  /** Base URL of its block server. */
  get blocks(): string {
    return this.#blockServer.address
  }

  /** Starts; resolves when a leader has registered it. Rejects if the leader refuses it, or its folder cannot be used. */
  async start(): Promise<void> {
    const { folder } = this.#options
    try {
      await this.#platform.files.makeFolder(folder)
      await rm(join(folder, 'executors'), { recursive: true, force: true })
      await mkdir(join(folder, 'executors'), { mode: 0o700 })
      await this.#memory.open()
      await this.#programs.open()
      await this.#blocks.open()
      await this.#logs.open()
    } catch (error) {
      if (error instanceof CoxswainError) throw error
      throw new CoxswainError('STATE_FOLDER_UNUSABLE', `${folder} cannot be used: ${(error as Error).message}`, {
        id: folder,
        cause: error,
      })
    }
    await this.#blockServer.listen()
    this.#uplink.start()
    await this.#started.promise
  }

  /** Takes no new work, lets what runs end within `drainMs`, then aborts and kills it. */
  stop(reason: string, drainMs: number): Promise<void> {
    this.#stopping ??= this.#stop(reason, drainMs)
    return this.#stopping
  }

  async #stop(reason: string, drainMs: number): Promise<void> {
    this.#started.reject(new CoxswainError('INTERRUPTED', `The worker was stopped before it was registered: ${reason}`))
    this.#started.promise.catch(() => undefined)
    this.#tell({ kind: 'draining' })
    if (drainMs > 0) await this.#until(this.#drained.promise, drainMs)
    if (this.#machine.unfinished > 0 && drainMs > 0) {
      this.#pool.stopAll(`The worker stops: ${reason}`)
      await this.#until(this.#drained.promise, stopGraceMs)
    }
    this.#uplink.close(reason)
    this.#pool.killAll()
    await this.#until(this.#pool.empty(), stopSettleMs)
    this.#stopWake?.()
    this.#vitals.stop()
    this.#raw.flush()
    await this.#logs.close()
    await this.#blockServer.close()
    this.#ended.resolve(reason)
  }

  async #until(condition: Promise<void>, limitMs: number): Promise<void> {
    const limit = Promise.withResolvers<void>()
    // This timer must keep the process alive, which the platform's do not.
    const alive = setInterval(() => undefined, limitMs)
    const cancel = this.#platform.clock.timer(limitMs, limit.resolve)
    await Promise.race([condition, limit.promise])
    clearInterval(alive)
    cancel()
  }

  // --- to and from the machine

  #tell(event: MachineEvent): void {
    for (const instruction of this.#machine.handle(event, this.#platform.clock.monotonicMs())) this.#do(instruction)
  }

  #do(instruction: Instruction): void {
    switch (instruction.kind) {
      case 'report':
        this.#uplink.send(instruction, reportBytes(instruction.outcomes))
        break
      case 'returnTasks':
        this.#uplink.send(instruction)
        break
      case 'fetchProgram':
        void this.#provideProgram(instruction.program)
        break
      case 'start':
        this.#pool.start(instruction)
        break
      case 'send': {
        const { job, stage, first, attempt } = instruction.batch
        this.#raw.runs(instruction.executor, { job, stage, index: first, attempt })
        this.#pool.send(instruction)
        break
      }
      case 'cancel':
        this.#pool.cancel(instruction)
        break
      case 'forget':
        this.#pool.forget(instruction)
        break
      case 'signal':
        this.#pool.signal(instruction)
        break
      case 'wake':
        this.#wake(instruction.atMs)
        break
      case 'drained':
        this.#drained.resolve()
        // Drained by the leader: there is nothing left to be here for.
        if (!this.#stopping) void this.stop('drained', 0)
        break
    }
  }

  #wake(atMs: number): void {
    this.#stopWake?.()
    const { clock } = this.#platform
    this.#stopWake = clock.timer(Math.max(0, Math.ceil(atMs - clock.monotonicMs())), () => this.#tell({ kind: 'tick' }))
  }

  async #provideProgram(program: ProgramId): Promise<void> {
    try {
      await this.#programs.provide(program)
    } catch (error) {
      const known = error instanceof CoxswainError
      const code = known ? error.code : 'PROGRAM_LOAD_FAILED'
      const failure = { code, message: (error as Error).message.slice(0, 1000), stack: '', retryable: !known || code === 'PROGRAM_MISSING' }
      this.#tell({ kind: 'programFailed', program, failure })
      return
    }
    this.#tell({ kind: 'programReady', program })
  }

  // --- to and from the leader

  #register(): void {
    const { capacity, labels } = this.#options
    this.#registered = false
    this.#uplink.send({
      kind: 'register',
      capacity,
      host: hostname(),
      pid: process.pid,
      blocks: this.#blockServer.address,
      labels,
      lanes: this.#machine.laneReports(),
    })
  }

  #disconnected(reason: string): void {
    this.#registered = false
    this.#readers.clear()
    this.#platform.log('warn', 'leader-lost', { reason })
    this.#tell({ kind: 'disconnected' })
  }

  #fromLeader(message: LeaderToWorker): void {
    switch (message.kind) {
      case 'registered':
        this.#registered = true
        this.#incarnation = message.incarnation
        this.#tell(message)
        this.#questions.repeat()
        this.#heartbeat()
        this.#started.resolve()
        break
      case 'assign':
        if (this.#obeys(message.epoch) && message.incarnation === this.#incarnation) this.#assigned(message)
        break
      case 'cancel':
        if (this.#obeys(message.epoch)) this.#tell({ ...message, kind: 'cancelled' })
        break
      case 'acknowledge':
        this.#tell({ kind: 'acknowledged', lanes: message.lanes })
        break
      case 'program':
        this.#questions.answer(message.request, message.bytes)
        break
      case 'blockLocated':
        this.#questions.answer(message.request, message.address)
        break
      case 'dropBlocks':
        if (this.#obeys(message.epoch)) this.#dropBlocks(message.blocks)
        break
      case 'readLogs':
        this.#raw.flush()
        void this.#readers.read(message)
        break
      case 'unfollow':
        this.#readers.unfollow(message.request)
        break
      case 'drain':
        if (this.#obeys(message.epoch)) this.#tell({ kind: 'draining' })
        break
      case 'dismissed':
        this.#platform.log('warn', 'dismissed', { reason: message.reason })
        this.#tell({ kind: 'dismissed' })
        this.#register()
        break
      case 'pulse':
        break
    }
  }

  /** Orders of a leader that has a successor are ignored, and those that come before it has registered us. */
  #obeys(epoch: number): boolean {
    return this.#registered && epoch >= this.#memory.epoch
  }

  #assigned(message: Extract<LeaderToWorker, { kind: 'assign' }>): void {
    const runs = message.runs.map(({ run, inputs }) => ({ run, inputs: inputs.map(bytes => new Chunk(bytes)) }))
    for (const { run, inputs } of runs) {
      const count = inputs.reduce((sum, chunk) => sum + chunk.count, 0)
      if (count !== run.count) throw new CoxswainError('FRAME_MALFORMED', `An assignment of ${run.count} tasks came with ${count} inputs.`)
    }
    this.#tell({ kind: 'assigned', epoch: message.epoch, lane: message.lane, plan: message.plan, runs })
  }

  #dropBlocks(blocks: string[]): void {
    this.#blocks.drop(blocks).catch(error => this.#platform.log('warn', 'block-not-dropped', { error: (error as Error).message }))
  }

  #askProgram(program: ProgramId): Promise<Uint8Array | undefined> {
    return this.#questions.ask(request => this.#uplink.send({ kind: 'getProgram', request, program }))
  }

  #heartbeat(): void {
    if (!this.#registered) return
    this.#uplink.send({ kind: 'heartbeat', sequence: ++this.#heartbeats, ...this.#vitals.measure(), executors: this.#pool.size })
  }

  #log(lines: LogLine[]): void {
    this.#logs.append(lines)
    this.#readers.written(lines)
  }
}

/** About how many bytes a report will have. */
function reportBytes(outcomes: readonly Outcome[]): number {
  let bytes = 64
  for (const outcome of outcomes) bytes += outcome.kind === 'finished' ? outcome.items.length + outcome.blocks.length * 128 + 32 : 256
  return bytes
}

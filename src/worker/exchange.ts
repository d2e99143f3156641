// Owns the exchange within a worker: what leader and executors say goes to the machine, and what it decides is done.
// Must not decide anything about tasks, and must not obey a leader that has a successor.
import type { Cancel, Platform } from '../platform/index.ts'
import { Chunk, CoxswainError, type LeaderToWorker, type LogLine, type ProgramId } from '../protocol/index.ts'
import type { AgentOptions } from './agent.ts'
import { WorkerBlocks } from './blocks/blocks.ts'
import type { PoolHandlers, SecretAnswer } from './executors/pool.ts'
import { RawOutput } from './logs/raw.ts'
import { LogReaders } from './logs/readers.ts'
import { type ExecutorEvent, type ExecutorId, type Instruction, Machine, type MachineEvent } from './machine/index.ts'
import { Questions } from './questions.ts'
import type { Stores } from './stores.ts'
import { type Executors, realSurroundings, type Surroundings } from './surroundings.ts'
import { reportBytes, Uplink, type WorkerOrder } from './uplink.ts'

/** What the agent is told about its worker's life. */
export interface ExchangeHandlers {
  /** Base URL of the worker's block server. */
  blocksAddress(): string
  /** A leader has registered it, for the first time or again. */
  registered(): void
  refused(error: CoxswainError): void
  /** It was told to drain, and has nothing left. */
  drained(): void
}

export class Exchange {
  readonly #options: AgentOptions
  readonly #platform: Platform
  readonly #stores: Stores
  readonly #handlers: ExchangeHandlers
  readonly #machine: Machine
  readonly #uplink: Uplink
  readonly #surroundings: Surroundings
  readonly #pool: Executors
  readonly blocks: WorkerBlocks
  readonly #readers: LogReaders
  readonly #raw: RawOutput
  readonly #questions = new Questions()
  #registered = false
  #incarnation = 0
  #beats = 0
  #stopWake: Cancel | undefined

  constructor(
    options: AgentOptions,
    slots: number,
    stores: Stores,
    platform: Platform,
    handlers: ExchangeHandlers,
    surroundings: Surroundings = realSurroundings(options.folder),
  ) {
    this.#options = options
    this.#platform = platform
    this.#stores = stores
    this.#handlers = handlers
    this.#machine = new Machine({ slots, memoryBytes: options.capacity.memoryBytes })
    this.#surroundings = surroundings
    this.#uplink = new Uplink(options, platform, stores.epochs, {
      welcomed: () => this.#register(),
      message: message => this.#fromLeader(message),
      disconnected: reason => this.#disconnected(reason),
      refused: error => handlers.refused(error),
      pulse: () => this.#heartbeat(),
    })
    this.#readers = new LogReaders(stores.logs, platform.clock, {
      send: (request, lines, dropped, ended) => this.#uplink.send({ kind: 'logLines', request, lines, dropped, ended }),
      bufferedBytes: () => this.#uplink.bufferedBytes,
    })
    this.#raw = new RawOutput(platform.clock, lines => this.#log(lines))
    this.blocks = new WorkerBlocks(options, stores, platform, {
      locate: ({ block, holder }) => this.#questions.ask(request => this.#uplink.send({ kind: 'locateBlock', request, holder, block })),
      event: event => this.#fromExecutor(event),
    })
    this.#pool = this.#createPool()
  }

  #createPool(): Executors {
    const options = {
      worker: this.#options.name,
      blocks: this.#stores.blocks.folder,
      temporary: this.#stores.temporary,
      compiled: this.#stores.compiled,
      modules: this.#options.modules,
      programPath: (program: ProgramId) => this.#stores.programs.path(program),
    }
    return this.#surroundings.executors(options, this.#platform, {
      event: event => this.blocks.take(event),
      logs: lines => this.#log(lines),
      raw: (executor, stream, text) => this.#raw.text(executor, stream, text),
      progress: progress => this.#uplink.send(progress),
      block: need => this.blocks.provide(need),
      secret: (executor, need) => this.#secret(executor, need),
      busy: () => this.#machine.busyExecutors(),
    })
  }

  #fromExecutor(event: ExecutorEvent): void {
    this.#tell(event)
    if (event.kind === 'executorEnded') this.#raw.ended(event.executor)
  }

  /** Begins to look for a leader. */
  start(): void {
    this.#uplink.start()
  }

  /** Takes no new work, and gives back what has not started. */
  drain(): void {
    this.#tell({ kind: 'draining' })
  }

  /** Tasks without an outcome. */
  get unfinished(): number {
    return this.#machine.unfinished
  }

  /** Aborts the signals of all running tasks. */
  abortAll(reason: string): void {
    this.#pool.stopAll(reason)
  }

  /** Ends the connection and kills what is left; resolves when nothing is. */
  async close(reason: string): Promise<void> {
    this.#uplink.close(reason)
    this.#pool.killAll()
    await this.#pool.empty()
    this.blocks.close()
    this.#stopWake?.()
    this.#surroundings.vitals.stop()
    this.#raw.flush()
  }

  /** Asks the leader for a program's bytes; undefined: it does not know it. */
  askProgram(program: ProgramId): Promise<Uint8Array | undefined> {
    return this.#questions.ask(request => this.#uplink.send({ kind: 'getProgram', request, program }))
  }

  /** What an executor asks for is asked of the leader only if the lane that it names is its own. */
  async #secret(executor: ExecutorId, need: Parameters<PoolHandlers['secret']>[1]): Promise<SecretAnswer> {
    if (!this.#machine.runsAt(need.lane, executor)) return { value: undefined, code: 'FORBIDDEN', message: 'That lane is not its own.' }
    return this.#questions.ask(request => this.#uplink.send({ ...need, kind: 'getSecret', request }))
  }

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
        const { job, stage, first, attempt } = instruction.batch.runs[0]!
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
        this.#handlers.drained()
        break
    }
  }

  #wake(atMs: number): void {
    this.#stopWake?.()
    const { clock } = this.#platform
    this.#stopWake = clock.timer(Math.max(0, Math.ceil(atMs - clock.monotonicMs())), () =>
      // What has arrived is handled first: after a stop of the whole process its timers come before what was sent to it.
      clock.soon(() => this.#tell({ kind: 'tick' })),
    )
  }

  async #provideProgram(program: ProgramId): Promise<void> {
    const failure = await this.#stores.programs.obtain(program)
    this.#tell(failure ? { kind: 'programFailed', program, failure } : { kind: 'programReady', program })
  }

  #register(): void {
    const { capacity, labels } = this.#options
    this.#registered = false
    this.#uplink.send({
      kind: 'register',
      capacity,
      host: this.#surroundings.host,
      pid: this.#surroundings.pid,
      blocks: this.#handlers.blocksAddress(),
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

  #fromLeader(message: WorkerOrder): void {
    switch (message.kind) {
      case 'registered':
        this.#registered = true
        this.#incarnation = message.incarnation
        this.blocks.access.renew(message.blockKey, message.timeMs)
        this.#tell(message)
        this.#questions.repeat()
        this.#heartbeat()
        this.#handlers.registered()
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
      case 'secret':
        this.#questions.answer(message.request, message)
        break
      case 'blockLocated':
        this.#questions.answer(message.request, message.replicas)
        break
      case 'dropBlocks':
        if (this.#obeys(message.epoch)) this.blocks.drop(message)
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
    return this.#registered && epoch >= this.#stores.epochs.epoch
  }

  #assigned(message: Extract<LeaderToWorker, { kind: 'assign' }>): void {
    const { epoch, lane, plan, runs } = message
    const inputs = message.inputs.map(bytes => new Chunk(bytes))
    const tasks = runs.reduce((sum, run) => sum + run.count, 0)
    const given = inputs.reduce((sum, chunk) => sum + chunk.count, 0)
    if (given !== tasks) throw new CoxswainError('FRAME_MALFORMED', `An assignment of ${tasks} tasks came with ${given} inputs.`)
    this.#tell({ kind: 'assigned', epoch, lane, plan, runs, inputs })
  }

  #heartbeat(): void {
    if (!this.#registered) return
    this.#uplink.send({ kind: 'heartbeat', sequence: ++this.#beats, ...this.#surroundings.vitals.measure(), executors: this.#pool.size })
  }

  #log(lines: LogLine[]): void {
    this.#stores.logs.append(lines)
    this.#readers.written(lines)
  }
}

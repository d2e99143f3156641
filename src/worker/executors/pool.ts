// Owns the executor processes of an agent: carries out what the machine says about them, and tells it what they say.
// Must not decide anything about tasks.
import { join } from 'node:path'
import type { Platform } from '../../platform/index.ts'
import { type ErrorCode, isErrorCode, type LogLine } from '../../protocol/index.ts'
import type { ExecutorEvent, ExecutorId, Instruction } from '../machine/index.ts'
import type { FromExecutor } from './frames.ts'
import { ExecutorHost } from './host.ts'
import { GroupWatch } from './watch.ts'

/** How often busy executors' groups are looked at. */
const sampleIntervalMs = 250

type FrameOf<K extends FromExecutor['kind']> = Extract<FromExecutor, { kind: K }>

/** A secret, or a code and a message that say why there is none. */
export interface SecretAnswer {
  value: Uint8Array | undefined
  code: string
  message: string
}

/** What a pool needs of its agent. */
export interface PoolHandlers {
  event(event: ExecutorEvent): void
  logs(lines: LogLine[]): void
  /** Output that executors did not capture themselves. */
  raw(executor: ExecutorId, stream: 'out' | 'err', text: string): void
  progress(progress: FrameOf<'progress'>): void
  /** Where the block is on this machine, after fetching it. */
  block(need: FrameOf<'needBlock'>): Promise<string>
  /** The secret that a task of this executor asks for, or why it cannot have it. */
  secret(executor: ExecutorId, need: FrameOf<'needSecret'>): Promise<SecretAnswer>
  /** Executors that have tasks. */
  busy(): ExecutorId[]
}

export interface PoolOptions {
  worker: string
  /** Folders of this worker's own. */
  blocks: string
  temporary: string
  compiled: string
  /** Where packages that programs do not contain are resolved; the working directory by default. */
  modules: string | undefined
  programPath(program: string): string
}

export class ExecutorPool {
  readonly #options: PoolOptions
  readonly #platform: Platform
  readonly #handlers: PoolHandlers
  readonly #hosts = new Map<ExecutorId, ExecutorHost>()
  readonly #watch = new GroupWatch()
  #sampling = false
  #none: PromiseWithResolvers<void> | undefined

  constructor(options: PoolOptions, platform: Platform, handlers: PoolHandlers) {
    this.#options = options
    this.#platform = platform
    this.#handlers = handlers
  }

  get size(): number {
    return this.#hosts.size
  }

  /** Resolves when there is no executor. */
  empty(): Promise<void> {
    if (this.#hosts.size === 0) return Promise.resolve()
    this.#none ??= Promise.withResolvers<void>()
    return this.#none.promise
  }

  start(instruction: Extract<Instruction, { kind: 'start' }>): void {
    const { executor, program, heapMiB, shared } = instruction
    const { worker, blocks, modules = process.cwd() } = this.#options
    const temporary = join(this.#options.temporary, String(executor))
    const host = new ExecutorHost(
      { heapMiB, temporary, compiled: this.#options.compiled },
      {
        frame: frame => this.#frame(executor, host, frame),
        raw: (stream, text) => this.#handlers.raw(executor, stream, text),
        ended: exit => {
          this.#hosts.delete(executor)
          if (this.#hosts.size === 0) this.#none?.resolve()
          this.#handlers.event({ kind: 'executorEnded', executor, exit })
        },
      },
    )
    this.#hosts.set(executor, host)
    host.send({ kind: 'setup', worker, program, programPath: this.#options.programPath(program), blocks, modules, shared })
  }

  send({ executor, batch }: Extract<Instruction, { kind: 'send' }>): void {
    this.#hosts.get(executor)?.send({ kind: 'batch', ...batch }, batch.items.length + 256)
    this.#sampleSoon()
  }

  cancel({ executor, lane, ranges }: Extract<Instruction, { kind: 'cancel' }>): void {
    this.#hosts.get(executor)?.send({ kind: 'cancel', lane, ranges })
  }

  forget({ executor, lane, idle }: Extract<Instruction, { kind: 'forget' }>): void {
    const host = this.#hosts.get(executor)
    if (idle) host?.sendLater({ kind: 'forget', lane })
    else host?.send({ kind: 'forget', lane })
  }

  signal({ executor, signal }: Extract<Instruction, { kind: 'signal' }>): void {
    this.#hosts.get(executor)?.signal(signal)
  }

  /** The worker stops: signals of running tasks are aborted. */
  stopAll(reason: string): void {
    for (const host of this.#hosts.values()) host.send({ kind: 'stop', reason })
  }

  /** Kills all that is left. */
  killAll(): void {
    for (const host of this.#hosts.values()) host.signal('SIGKILL')
  }

  #frame(executor: ExecutorId, host: ExecutorHost, frame: FromExecutor): void {
    switch (frame.kind) {
      case 'logs':
        this.#handlers.logs(frame.lines)
        break
      case 'progress':
        this.#handlers.progress(frame)
        break
      case 'needBlock':
        void this.#fetch(host, frame)
        break
      case 'needSecret':
        void this.#handlers.secret(executor, frame).then(answer => host.send({ ...answer, kind: 'secret', request: frame.request }))
        break
      case 'ready':
        this.#handlers.event({ kind: 'executorReady', executor })
        break
      case 'loadFailed': {
        const { message, stack } = frame
        const code = isErrorCode(frame.code) ? frame.code : 'PROGRAM_LOAD_FAILED'
        this.#handlers.event({ kind: 'loadFailed', executor, failure: { code, message, stack, retryable: false } })
        break
      }
      default:
        this.#handlers.event({ ...frame, executor })
    }
  }

  async #fetch(host: ExecutorHost, need: FrameOf<'needBlock'>): Promise<void> {
    try {
      host.send({ kind: 'blockReady', block: need.block, path: await this.#handlers.block(need) })
    } catch (error) {
      const { code, message } = error as { code?: ErrorCode; message: string }
      host.send({ kind: 'blockFailed', block: need.block, code: code ?? 'BLOCK_LOST', message: message.slice(0, 1000) })
    }
  }

  /** Samples busy executors as long as there are any. */
  #sampleSoon(): void {
    if (this.#sampling) return
    this.#sampling = true
    this.#platform.clock.timer(sampleIntervalMs, () => {
      this.#sampling = false
      const groups = new Map<number, ExecutorId>()
      for (const executor of this.#handlers.busy()) {
        const group = this.#hosts.get(executor)?.group
        if (group !== undefined) groups.set(group, executor)
      }
      if (groups.size === 0) return
      this.#watch.sample(new Set(groups.keys()), samples => {
        for (const [group, sample] of samples) this.#handlers.event({ kind: 'sampled', executor: groups.get(group)!, ...sample })
      })
      this.#sampleSoon()
    })
  }
}

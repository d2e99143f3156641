// Owns a worker node as a whole: its start, its stop, and what it must be told.
// Must not run user code, and must not know how tasks are carried.
import { availableParallelism } from 'node:os'
import type { ObjectStore, PeerCertificate, Platform } from '../platform/index.ts'
import { CoxswainError, type NodeIdentity, type Resources } from '../protocol/index.ts'
import type { WorkerBlocks } from './blocks/blocks.ts'
import { BlockServer } from './blocks/server.ts'
import { Exchange } from './exchange.ts'
import { Stores } from './stores.ts'

/** Executors beyond one per cpu, where the number is not given: for tasks of other programs that take a fraction of one. */
const executorsBeyondCpus = 2
/** After the signals of running tasks were aborted because the worker stops, they have this long. */
const stopGraceMs = 500
/** What was killed has ended within this. */
const stopSettleMs = 2_000

/** What a worker must know. */
export interface AgentOptions {
  /** Its name in the cluster; the same over restarts. */
  name: string
  /** Its state: blocks, programs, logs, the highest epoch it has seen. Nobody else's. */
  folder: string
  /** Where compiled code is kept for the next executors, also by other workers; without it, in its own folder. */
  compiled?: string
  /** Where the leader is, and the token that proves this worker to it. Asked at each dial. */
  leader(): Promise<{ address: string; token: string }>
  /** A leader welcomed this worker there, or a standby says that the leader is there. */
  leads?(address: string): void
  /** Id of the cluster; without it, that of the first leader that welcomes it. */
  cluster?: string
  /** Executor processes at the same time. */
  executors?: number
  /** What tasks may ask of it altogether. */
  capacity: Resources
  labels: string[]
  /** Host that its block server listens on. */
  blockHost: string
  /** Its port; a free one by default. */
  blockPort?: number
  /** Host, or host and port, by which others reach its block server, where it is not the one listened on. */
  blockAdvertise?: string
  /** Names that its block server may be asked by, beside these and plain addresses. */
  blockNames?: readonly string[]
  /** A durable tier of blocks: results and inputs are there before they are named, so that the loss of this worker loses none of them. */
  tier?: ObjectStore
  /** Who the certificate of a peer is of: it must ask for blocks by that name. Undefined: nobody who may. */
  blockNameOf?(certificate: PeerCertificate): string | undefined
  /** Its certificate, in a cluster of several machines. */
  identity?: NodeIdentity
  /** Folder from which packages are resolved that programs name as external; the working directory by default. */
  modules?: string
}

/** A worker node's main process. It never runs user code: executors do. */
export class Agent {
  readonly #platform: Platform
  readonly #stores: Stores
  readonly #exchange: Exchange
  readonly #blockServer: BlockServer
  readonly #started = Promise.withResolvers<void>()
  readonly #drained = Promise.withResolvers<void>()
  readonly #ended = Promise.withResolvers<string>()
  #stopping: Promise<void> | undefined

  constructor(options: AgentOptions, platform: Platform) {
    this.#platform = platform
    this.#stores = new Stores(options, platform, program => this.#exchange.askProgram(program))
    const cpus = Math.ceil((options.capacity.cpuMillis || availableParallelism() * 1000) / 1000)
    const slots = options.executors ?? Math.max(1, cpus) + executorsBeyondCpus
    this.#exchange = new Exchange(options, slots, this.#stores, platform, {
      blocksAddress: () => this.#blockServer.address,
      registered: () => this.#started.resolve(),
      refused: error => this.#started.reject(error),
      drained: () => {
        this.#drained.resolve()
        // Drained by the leader: there is nothing left to be here for.
        if (!this.#stopping) void this.stop('drained', 0)
      },
    })
    this.#blockServer = createBlockServer(this.#exchange.blocks, options, platform)
  }

  /** Resolves to the reason when the worker has ended: it was stopped, or the leader drained it. */
  get ended(): Promise<string> {
    return this.#ended.promise
  }

  /** Base URL of its block server. */
  get blocks(): string {
    return this.#blockServer.address
  }

  /** Requests for blocks that were refused since the start. */
  get blocksRefused(): number {
    return this.#exchange.blocks.access.refused
  }

  /** Starts; resolves when a leader has registered it. Rejects if the leader refuses it, or its folder cannot be used. */
  async start(): Promise<void> {
    await this.#stores.open()
    await this.#blockServer.listen()
    this.#exchange.start()
    await this.#started.promise
  }

  /** Takes no new work, lets what runs end within `drainMs`, then aborts and kills it. */
  stop(reason: string, drainMs: number): Promise<void> {
    this.#stopping ??= this.#stop(reason, drainMs)
    return this.#stopping
  }

  async #stop(reason: string, drainMs: number): Promise<void> {
    this.#started.promise.catch(() => undefined)
    this.#started.reject(new CoxswainError('INTERRUPTED', `The worker was stopped before it was registered: ${reason}`))
    this.#exchange.drain()
    if (drainMs > 0) {
      await this.#within(drainMs, this.#drained.promise)
      if (this.#exchange.unfinished > 0) {
        this.#exchange.abortAll(`The worker stops: ${reason}`)
        await this.#within(stopGraceMs, this.#drained.promise)
      }
    }
    await this.#within(stopSettleMs, this.#exchange.close(reason))
    await this.#stores.logs.close()
    await this.#blockServer.close()
    this.#ended.resolve(reason)
  }

  async #within(limitMs: number, condition: Promise<void>): Promise<void> {
    const limit = Promise.withResolvers<void>()
    // The platform's timers do not keep the process alive; this does.
    const alive = setInterval(() => undefined, limitMs)
    const cancel = this.#platform.clock.timer(limitMs, limit.resolve)
    await Promise.race([condition, limit.promise])
    clearInterval(alive)
    cancel()
  }
}

function createBlockServer({ store, access, tier }: WorkerBlocks, options: AgentOptions, { web, log }: Platform): BlockServer {
  if (!web) throw new Error('a worker needs a platform that speaks HTTP')
  const { name, blockHost: host, blockPort, blockAdvertise, blockNames } = options
  return new BlockServer(store, {
    web,
    host,
    ...(blockPort !== undefined && { port: blockPort }),
    ...(blockAdvertise !== undefined && { advertise: blockAdvertise }),
    ...(blockNames && { names: blockNames }),
    ...(options.blockNameOf && { nameOf: certificate => options.blockNameOf!(certificate) }),
    name,
    access,
    tier,
    log,
  })
}

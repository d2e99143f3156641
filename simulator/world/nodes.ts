// Owns the nodes of a simulated cluster: production classes on a simulated platform, started, killed and started again.
// Must not hold a model of what they do: the production code is what runs.
import { clusterOf } from '../../src/client/connect.ts'
import type { Cluster } from '../../src/client/index.ts'
import { Programs } from '../../src/client/programs/cache.ts'
import { Session } from '../../src/client/session.ts'
import type { CoreLimits, State } from '../../src/core/index.ts'
import { Candidate, type Endpoint } from '../../src/leader/index.ts'
import type { Platform } from '../../src/platform/index.ts'
import { CoxswainError, everything, nodeRoles, type Principal } from '../../src/protocol/index.ts'
import type { AgentOptions } from '../../src/worker/agent.ts'
import { Exchange } from '../../src/worker/exchange.ts'
import { Stores } from '../../src/worker/stores.ts'
import { Boot, type Kernel, type SimNode } from '../kernel/kernel.ts'
import type { Scenario } from '../scenario.ts'
import type { ClusterHandle, ClusterStore } from './cluster-store.ts'
import { Disk } from './disk.ts'
import type { ExecutionListener, ExecutorMood } from './executor.ts'
import { SimExecutors } from './executors.ts'
import type { Network } from './network.ts'
import { program } from './program.ts'

const clientToken = 'a client'
const nodeToken = 'a node'

/** A line that a node logged. */
export interface LogLine {
  atMs: number
  node: string
  level: string
  event: string
  fields: Record<string, unknown>
}

/** What nodes need of their world. */
export interface Surroundings {
  readonly scenario: Scenario
  kernel: Kernel
  network: Network
  store: ClusterStore
  limits: Partial<CoreLimits>
  executorMood: ExecutorMood
  endpoint: Endpoint | undefined
  /** True: this dial is given an address that holds no more. */
  stale(): Endpoint | undefined
  log(line: LogLine): void
  leads(node: string, endpoint: Endpoint): void
  check(node: string, state: State): void
  executed: ExecutionListener
  kill(node: string, why: string): void
  /** A leader that is silent is to be killed, if it is still this process. */
  killProcess(pid: number): void
}

/** Any node: it has at most one life at a time. */
abstract class WorldNode {
  readonly world: Surroundings
  readonly sim: SimNode
  readonly disk: Disk
  readonly #index: number

  constructor(world: Surroundings, name: string, index: number) {
    this.world = world
    this.#index = index
    this.sim = world.kernel.node(name)
    this.disk = new Disk(world.kernel)
    this.sim.crashed = error => this.threw(error)
  }

  get name(): string {
    return this.sim.name
  }

  get alive(): boolean {
    return this.sim.boot !== undefined
  }

  /** Number of this life's process: never the same twice. */
  get pid(): number {
    return (this.#index + 1) * 10_000 + this.sim.boots
  }

  start(): void {
    if (this.alive) return
    const boot = new Boot(this.sim, ++this.sim.boots)
    this.sim.boot = boot
    this.world.kernel.note(`start ${this.name} ${boot.number}`)
    this.world.kernel.at(boot, 0, 'io', () => this.run(boot))
  }

  /** As by kill -9. */
  kill(): void {
    const { boot } = this.sim
    if (!boot) return
    boot.alive = false
    this.sim.boot = undefined
    this.sim.paused = false
    this.sim.held = []
    this.world.kernel.note(`kill ${this.name}`)
    this.died()
    this.world.network.died(boot)
  }

  /** Its code threw what nobody caught: its process would have ended. */
  threw: (error: unknown) => void = error => {
    throw error
  }

  protected abstract run(boot: Boot): void
  protected died(): void {}

  protected platform(boot: Boot): Platform {
    const { kernel, network } = this.world
    const { sim } = this
    const random = kernel.stream(`random ${sim.name} ${boot.number}`)
    return {
      clock: {
        monotonicMs: () => kernel.monotonicMs(sim),
        wallMs: () => kernel.wallMs(sim),
        timer: (delayMs, callback) => kernel.at(boot, Math.max(1, delayMs) / sim.rate, 'timer', callback),
        soon: callback => kernel.soon(boot, callback),
      },
      random: { uuid: () => random.uuid(), number: () => random.number() },
      // Intervals only: nothing here asks for a calendar.
      nextTick: ({ everyMs }, afterMs) => (Math.floor(afterMs / everyMs) + 1) * everyMs,
      transport: network.transport(boot),
      files: this.disk.files(boot),
      log: (level, event, fields = {}) => this.world.log({ atMs: kernel.nowMs, node: sim.name, level, event, fields }),
    }
  }

  /** Where the leader is, as a dialling node finds it. */
  protected async lookUp(): Promise<Endpoint> {
    const found = this.world.stale() ?? this.world.endpoint
    if (!found) throw new CoxswainError('UNAVAILABLE', 'No leader was announced.')
    return found
  }
}

const nodes: Principal = { kind: 'node', name: '', roles: nodeRoles, credential: 'local' }
const user: Principal = { kind: 'user', name: 'local', role: 'admin', scope: everything, credential: 'local' }

/** A process that stands by or leads. */
export class CandidateNode extends WorldNode {
  #store: ClusterHandle | undefined
  #candidate: Candidate | undefined

  protected run(boot: Boot): void {
    const opened = this.world.store.open(boot)
    if (!(opened instanceof Promise)) return this.#begin(boot, opened)
    opened.then(
      store => {
        if (boot.alive) this.#begin(boot, store)
      },
      error => this.world.kill(this.name, `${(error as CoxswainError).code ?? ''} ${String(error)}`),
    )
  }

  #begin(boot: Boot, store: ClusterHandle): void {
    const { world, pid } = this
    this.#store = store
    const candidate = new Candidate(
      {
        id: this.name,
        store,
        host: this.name,
        port: 4700,
        authenticate: ({ token }) => (token === nodeToken ? nodes : token === clientToken ? user : undefined),
        announce: async endpoint => world.leads(this.name, endpoint),
        limits: world.limits,
        vitals: () => ({ pid, rssBytes: 1, eventLoopDelayMs: 0 }),
        check: state => world.check(this.name, state),
        token: async () => nodeToken,
        ...(world.store.locking && { kill: leader => world.killProcess(leader.pid) }),
      },
      this.platform(boot),
    )
    this.#candidate = candidate
    const end = (reason: string): void => world.kill(this.name, reason)
    candidate.run().then(end, error => end(`${(error as CoxswainError).code ?? ''} ${String(error)}`))
  }

  /** Ends it in good order. */
  stop(reason: string): void {
    const { boot } = this.sim
    const end = (error: unknown): void => this.world.kill(this.name, String((error as CoxswainError).code))
    if (boot) this.world.kernel.at(boot, 0, 'io', () => void this.#candidate?.stop(reason).catch(end))
  }

  protected override died(): void {
    this.#store?.crash()
    this.#store = undefined
    this.#candidate = undefined
  }
}

/** A worker: the agent's exchange with everything that it decides, and executors that are played. */
export class WorkerNode extends WorldNode {
  cpus = 2
  memoryBytes = 8 * 2 ** 30

  protected run(boot: Boot): void {
    const { world, name } = this
    const { kernel } = world
    const platform = this.platform(boot)
    const folder = `/${name}`
    const options: AgentOptions = {
      name,
      folder,
      leader: async () => ({ address: (await this.lookUp()).address, token: nodeToken }),
      capacity: { cpuMillis: this.cpus * 1000, memoryBytes: this.memoryBytes, gpuMillis: 0, named: [] },
      labels: [],
      blockHost: name,
      modules: '/',
    }
    let exchange: Exchange
    const stores = new Stores({ folder }, platform, id => exchange.askProgram(id))
    const handlers = {
      blocksAddress: () => `http://${name}`,
      registered: () => {},
      refused: () => {},
      drained: () => world.kill(name, 'drained'),
    }
    const load = { cpuShare: 0.1, memoryUsedBytes: 1, memoryFreeBytes: 2 ** 33, eventLoopDelayMs: 0, diskFreeBytes: 2 ** 36 }
    exchange = new Exchange(options, this.cpus + 2, stores, platform, handlers, {
      host: name,
      pid: this.pid,
      vitals: { measure: () => load, stop: () => {} },
      executors: (_options, _platform, given) => new SimExecutors(kernel, boot, world.executorMood, given, world.executed),
    })
    const open = async (): Promise<void> => {
      await stores.epochs.open()
      await stores.programs.open()
      exchange.start()
    }
    open().catch(error => world.kill(name, String(error)))
  }
}

/** Programs without a bundler: all tasks of the simulation are in one. */
class GivenPrograms extends Programs {
  override get(): Promise<typeof program> {
    return Promise.resolve(program)
  }
}

/** A client's process; what it does with its cluster is its workload's. */
export class ClientNode extends WorldNode {
  cluster: Cluster | undefined
  session: Session | undefined
  /** Called in each life, once it is connected. */
  begin: (client: ClientNode) => void = () => {}

  protected run(boot: Boot): void {
    const { world } = this
    const platform = this.platform(boot)
    const session = new Session(
      {
        endpoint: async () => ({ address: (await this.lookUp()).address, token: clientToken }),
        name: this.name,
        connectTimeoutMs: 600_000,
        reconnectTimeoutMs: 600_000,
        keepAlive: () => () => {},
      },
      platform,
    )
    this.session = session
    session.open().then(
      () => {
        this.cluster = clusterOf(platform, session, new GivenPrograms([], undefined), async () => {})
        this.begin(this)
      },
      // There was no leader to be found: it is tried anew, as by its user.
      error => world.kill(this.name, String(error)),
    )
  }

  protected override died(): void {
    this.cluster = undefined
    this.session = undefined
  }
}

// Owns a whole cluster in one process: its nodes, network, store and clients, and what an onlooker writes down of them.
// Must not decide when something goes wrong: faults.ts does.
import { type CoreLimits, check as checkState, type State } from '../../src/core/index.ts'
import { Archivist } from '../../src/leader/archivist.ts'
import type { Endpoint } from '../../src/leader/index.ts'
import { decodeMessage, leaderToWorker } from '../../src/protocol/index.ts'
import { checkArchive } from '../checkers/archive.ts'
import { MirrorChecker } from '../checkers/mirror.ts'
import { History } from '../history.ts'
import { Kernel } from '../kernel/kernel.ts'
import { probeOf } from '../probes.ts'
import type { FaultKind, Scenario } from '../scenario.ts'
import type { ClusterStore } from './cluster-store.ts'
import type { ExecutorMood } from './executor.ts'
import { Network } from './network.ts'
import { CandidateNode, ClientNode, type LogLine, type Surroundings, WorkerNode } from './nodes.ts'
import { SharedEtcd } from './shared-etcd.ts'
import { SharedStore } from './store.ts'

/** Number of `assign` in its union, which is its first byte. */
const assignTag = 2
const logLinesMax = 4000
/** Where claims depose, a deposed leader hears of it so late, on average. */
const newsMs = 1000
/** Faults after which a leader may not be heard. */
const silencing: ReadonlySet<FaultKind> = new Set([
  'pause',
  'cut-in',
  'cut-out',
  'clog',
  'slow-network',
  'stale-endpoint',
  'crash-candidate',
  'power-loss',
  'store-cut',
  'store-down',
])
/** For each so many jobs one more record goes by between two looks at all invariants. */
const jobsPerCheckSkipped = 4

let snapshotRecords = Number.POSITIVE_INFINITY
let trappedArchivist = false

/** Snapshots are taken as often as the run's knob says. */
function knobArchivist(records: number): void {
  snapshotRecords = records
  if (trappedArchivist) return
  trappedArchivist = true
  const original = Archivist.prototype.look
  Archivist.prototype.look = function (this: Archivist, recordsMin = snapshotRecords): Promise<void> {
    return original.call(this, recordsMin)
  }
}

export class World implements Surroundings {
  readonly scenario: Scenario
  readonly kernel: Kernel
  readonly network: Network
  readonly store: ClusterStore
  readonly history = new History()
  readonly limits: Partial<CoreLimits>
  readonly executorMood: ExecutorMood = { loadMs: 15, startFails: 0, dies: 0 }
  readonly candidates: CandidateNode[]
  readonly workers: WorkerNode[]
  readonly clients: ClientNode[]
  readonly lines: LogLine[] = []
  endpoint: Endpoint | undefined
  readonly #endpoints: Endpoint[] = []
  /** How likely a dial is given an older address. */
  staleShare = 0
  /** Dead nodes are started again. */
  restarts = true
  /** Nodes that stay down until then. */
  readonly downUntilMs = new Map<string, number>()
  readonly #mirror: MirrorChecker
  readonly #epochs = new Map<string, number>()
  readonly #watched: boolean
  /** Records until the next look at all invariants. */
  #unchecked = 0

  /** Where nobody looks on, the same happens, and states are neither mirrored nor checked. */
  constructor(scenario: Scenario, watched = true) {
    this.scenario = scenario
    this.#watched = watched
    const { seed, knobs } = scenario
    this.kernel = new Kernel(seed)
    this.network = new Network(this.kernel)
    this.store = this.#makeStore()
    this.history.rows = this.store.rows
    const { laneTasksMax, laneAheadMs, assignTasksMax, openTasksMax, resultGraceMs, finishedJobsMax } = knobs
    this.limits = { laneTasksMax, laneAheadMs, assignTasksMax, openTasksMax, resultGraceMs, finishedJobsMax }
    knobArchivist(knobs.snapshotRecords)
    const make = <N>(count: number, one: (index: number) => N): N[] => Array.from({ length: count }, (_, index) => one(index))
    this.candidates = make(scenario.candidates, index => new CandidateNode(this, `c${index + 1}`, index))
    this.workers = make(scenario.workers, index => new WorkerNode(this, `w${index + 1}`, 100 + index))
    this.clients = make(scenario.clients, index => new ClientNode(this, `u${index + 1}`, 200 + index))
    this.#mirror = new MirrorChecker(this.history)
    if (watched) this.store.durable = row => this.#mirror.durable(row)
    this.store.snapshotUsed = () => this.history.probe('snapshot used')
    this.network.tap = (from, to, frame, accepted) => {
      if (!accepted && frame[0] === assignTag && to.node.name.startsWith('w')) this.#order(from.node.name, to.node.name, frame)
    }
    this.#setClocks()
    for (const node of this.nodes) node.threw = error => this.#threw(node.name, error)
    for (const worker of this.workers) {
      worker.cpus = knobs.workerCpus
      worker.disk.written = (path, bytes) => this.#written(worker.name, path, bytes)
    }
  }

  #makeStore(): ClusterStore {
    const { store, locking, knobs } = this.scenario
    if (store === 'etcd') return new SharedEtcd(this.kernel, knobs.rowBytesKept)
    const memory = new SharedStore(this.kernel, { locking, rowBytesKept: knobs.rowBytesKept, newsMs: locking ? 0 : newsMs })
    if (knobs.readMs !== undefined) memory.readMs = knobs.readMs
    return memory
  }

  /** One client more, of nobody's: it is there from now on. */
  addClient(name: string): ClientNode {
    const client = new ClientNode(this, name, 300 + this.clients.length)
    client.threw = error => this.#threw(name, error)
    this.clients.push(client)
    return client
  }

  /** The state as a replay of all durable rows has it. */
  get replayed(): State {
    return this.#mirror.state
  }

  /** How far each candidate that runs has applied the journal. */
  get applied(): { node: string; index: number | undefined }[] {
    return this.candidates
      .filter(one => one.alive && !one.sim.paused)
      .map(({ name }) => ({ node: name, index: this.#mirror.appliedIndex(name) }))
  }

  get nodes(): (CandidateNode | WorkerNode | ClientNode)[] {
    return [...this.candidates, ...this.workers, ...this.clients]
  }

  find(name: string): CandidateNode | WorkerNode | ClientNode | undefined {
    return this.nodes.find(node => node.name === name)
  }

  /** Who leads, as far as it was announced. */
  get leader(): CandidateNode | undefined {
    const last = this.history.leaderships.at(-1)
    return this.candidates.find(node => node.name === last?.node)
  }

  #setClocks(): void {
    const random = this.kernel.stream('clocks')
    for (const { sim } of this.nodes) {
      sim.rate = 1 + (random.number() * 2 - 1) * this.scenario.drift
      sim.monotonicOffsetMs = Math.floor(random.number() * 1e6)
      sim.wallOffsetMs = this.scenario.drift > 0 ? Math.floor((random.number() - 0.5) * 60_000) : 0
    }
  }

  /** Everything is up. */
  start(): void {
    for (const node of this.nodes) this.kernel.at(undefined, this.kernel.stream('start').number() * 100, 'io', () => node.start())
  }

  log(line: LogLine): void {
    const probe = probeOf(line.event, line.fields)
    if (probe) this.history.probe(probe)
    if (this.lines.length < logLinesMax) this.lines.push(line)
  }

  leads(node: string, endpoint: Endpoint): void {
    this.history.leaderships.push({ atMs: this.kernel.nowMs, node, epoch: endpoint.epoch, cluster: endpoint.cluster })
    this.endpoint = endpoint
    this.#endpoints.push(endpoint)
    if (endpoint.epoch > 1) this.history.probe('takeover')
  }

  /** Every invariant after every record while the state is small; the larger it is, the rarer, so that looking costs no more than running. */
  check(node: string, state: State): void {
    if (!this.#watched) return
    this.#mirror.live(node, state)
    if (--this.#unchecked > 0) return
    this.#unchecked = Math.floor(state.jobs.byId.size / jobsPerCheckSkipped)
    checkState(state)
  }

  executed: Surroundings['executed'] = (what, execution) => {
    this.history.executions.push({ atMs: this.kernel.nowMs, what, execution })
  }

  stale(): Endpoint | undefined {
    const stream = this.kernel.stream('stale')
    return this.staleShare > 0 && stream.chance(this.staleShare) ? stream.pick(this.#endpoints) : undefined
  }

  /** A process ends by itself or by a fault; its supervisor starts it again. */
  kill(name: string, why: string): void {
    const node = this.find(name)
    if (!node?.alive) return
    this.log({ atMs: this.kernel.nowMs, node: name, level: 'info', event: 'ended', fields: { why } })
    if (why.includes('FENCED')) this.history.probe('fenced leader')
    if (why.includes('JOURNAL_WRITE_FAILED')) this.history.probe('journal failed')
    if (
      !name.startsWith('u') &&
      /Error: |JOURNAL_CORRUPT|JOURNAL_VERSION/.test(why) &&
      !/JOURNAL_WRITE_FAILED|JOURNAL_UNAVAILABLE|FENCED/.test(why)
    )
      this.history.violate('crash', `${name} ended: ${why}`, this.kernel.nowMs)
    node.kill()
    this.#mirror.gone(name)
    this.#restart(name)
  }

  #restart(name: string): void {
    const delayMs = 30 + this.kernel.stream('restart').exponential(200)
    this.kernel.at(undefined, delayMs, 'io', () => {
      if (!this.restarts) return
      if ((this.downUntilMs.get(name) ?? 0) > this.kernel.nowMs) this.#restart(name)
      else this.find(name)?.start()
    })
  }

  killProcess(pid: number): void {
    const node = this.candidates.find(one => one.alive && one.pid === pid)
    if (!node) return
    this.history.probe('killed to fence')
    // Drifting clocks, slow or cut ways and stops make a sound leader look dead; without any of them nobody may be killed.
    const excuse = this.scenario.drift > 0 || this.scenario.classes.some(kind => silencing.has(kind)) || node.sim.paused
    if (!excuse) this.history.violate('L2', `${node.name} was killed as silent, and nothing kept it from being heard`, this.kernel.nowMs)
    this.kill(node.name, 'killed by a standby')
  }

  #threw(name: string, error: unknown): void {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
    this.history.violate('crash', `${name} threw: ${text}`, this.kernel.nowMs)
    this.kernel.stopped = true
  }

  #written(worker: string, path: string, bytes: Buffer): void {
    if (!path.endsWith('epoch.json')) return
    const { cluster, epoch } = JSON.parse(bytes.toString()) as { cluster: string; epoch: number }
    this.history.epochs.push({ atMs: this.kernel.nowMs, worker, cluster, epoch })
    this.#epochs.set(worker, Math.max(epoch, this.#epochs.get(worker) ?? 0))
  }

  #order(_from: string, worker: string, frame: Uint8Array): void {
    const known = this.#epochs.get(worker) ?? 0
    if (known === 0) return
    let message: ReturnType<typeof leaderToWorker.read>
    try {
      message = decodeMessage(leaderToWorker, frame)
    } catch {
      // A greeting has the same first byte now and then.
      return
    }
    if (message.kind !== 'assign' || message.epoch >= known) return
    this.history.probe('stale order')
    this.history.staleOrders.push({ atMs: this.kernel.nowMs, worker, lane: message.lane, epoch: message.epoch })
  }

  /** At the end: what the mirror can still see. */
  finish(): void {
    this.#mirror.finish()
    const archive = this.store.archive()
    if (archive) checkArchive(this.history, archive, this.#mirror.state)
    else this.history.probe('history still to be written at the end')
    this.history.probe('rows', this.store.rows.length)
  }
}

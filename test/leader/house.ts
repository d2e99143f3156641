// A leader in a world that moves by hand, on a disk in memory that outlives it. Every record goes through the core's invariants.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { type CoreLimits, check, type State } from '../../src/core/index.ts'
import { createMemoryStore, type MemoryOptions, type MemoryStore } from '../../src/journal/index.ts'
import type { AuditOptions } from '../../src/leader/audit/audit.ts'
import { type Endpoint, Leader, type LeaderOptions, type SecretSealer } from '../../src/leader/index.ts'
import type { Files } from '../../src/platform/index.ts'
import { decodeRecords, type Inputs, type JobPlan, type JournalRecord, type Principal } from '../../src/protocol/index.ts'
import { ScriptedClient, ScriptedWorker } from '../fakes/peers.ts'
import { inputs, type JobOptions, plan } from '../fakes/plans.ts'
import { principals } from '../fakes/principals.ts'
import { World } from '../fakes/world.ts'

/** The bytes of the program that jobs run here. */
export const programBytes = Buffer.from('export const work = 1')
/** Its name. */
export const programId = createHash('sha256').update(programBytes).digest('hex')

export interface HouseOptions {
  limits?: Partial<CoreLimits>
  disk?: MemoryOptions
  /** Where the audit log goes; none without it. */
  files?: Files
  audit?: AuditOptions
  rates?: LeaderOptions['rates']
  /** Besides the tokens of `principals`. */
  others?: Readonly<Record<string, Principal>>
  /** Keeps secrets. */
  sealer?: SecretSealer
  /** False where a test writes too much for all invariants to be looked at after every record. */
  checking?: boolean
}

export interface StaffedOptions extends HouseOptions {
  /** Of worker w1. */
  cpus?: number
}

export class House {
  readonly world = new World()
  readonly disk
  readonly #options: HouseOptions
  store!: MemoryStore
  leader!: Leader
  endpoint!: Endpoint
  /** Why the leadership ended, once it has. */
  ended: string | undefined
  #state: State | undefined

  private constructor(options: HouseOptions) {
    this.#options = options
    this.disk = createMemoryStore(options.disk)
  }

  /** A house whose first leader leads. */
  static async open(options: HouseOptions = {}): Promise<House> {
    const house = new House(options)
    await house.start()
    return house
  }

  /** A house with a client, and the program known: jobs can be submitted. */
  static async ready(options: HouseOptions = {}): Promise<{ house: House; client: ScriptedClient }> {
    const house = await House.open(options)
    const client = await house.client()
    await house.putProgram(client)
    return { house, client }
  }

  /** The same with worker w1: jobs can run. */
  static async staffed(options: StaffedOptions = {}): Promise<{ house: House; client: ScriptedClient; worker: ScriptedWorker }> {
    const house = await House.open(options)
    const client = await house.client()
    const worker = await house.worker('w1', options.cpus)
    await house.putProgram(client)
    return { house, client, worker }
  }

  /** The same after its first task, the job `first`: it is known how long tasks take, so that a lane is given many. */
  static async warm(options: StaffedOptions = {}): Promise<{ house: House; client: ScriptedClient; worker: ScriptedWorker }> {
    const staffed = await House.staffed(options)
    await staffed.house.submit(staffed.client, 'first', 1)
    await staffed.worker.finish()
    return staffed
  }

  /** Another leader takes the disk. */
  async start(id = 'candidate-1', port = 0): Promise<void> {
    this.store = this.disk.open()
    this.ended = undefined
    const leader = new Leader(
      {
        id,
        store: this.store,
        host: '127.0.0.1',
        port,
        authenticate: ({ token }) => principals[token] ?? this.#options.others?.[token],
        ...(this.#options.audit && { audit: this.#options.audit }),
        ...(this.#options.rates && { rates: this.#options.rates }),
        announce: async endpoint => {
          this.endpoint = endpoint
        },
        limits: this.#options.limits ?? {},
        ...(this.#options.sealer && { sealer: this.#options.sealer }),
        vitals: () => ({ pid: 42, rssBytes: 1000, eventLoopDelayMs: 0 }),
        check: state => {
          this.#state = state
          if (this.#options.checking !== false) check(state)
        },
      },
      { ...this.world.platform, ...(this.#options.files && { files: this.#options.files }) },
    )
    this.leader = leader
    const started = leader.start()
    // Looked at below; a start that fails while the world calms down must not end the test's process.
    started.catch(() => {})
    await this.world.calm()
    await started
    leader.ended.then(reason => {
      if (this.leader === leader) this.ended = reason
    })
    await this.world.calm()
  }

  get address(): string {
    return this.endpoint.address
  }

  /** The state of the leader, after its first record. */
  get state(): State {
    assert(this.#state)
    return this.#state
  }

  /** kill -9 of the leader: nothing that was under way happens, and everyone loses the connection. */
  async kill(): Promise<void> {
    this.store.kill()
    this.world.cut(this.address)
    await this.world.calm()
  }

  /** The leader dies, and the next one starts on what is on the disk. */
  async restart(): Promise<void> {
    await this.kill()
    await this.start()
  }

  async client(session?: string): Promise<ScriptedClient> {
    const client = new ScriptedClient(this.world, session)
    await client.connect(this.address)
    assert.equal(client.welcomed?.kind, 'welcome')
    return client
  }

  async worker(id = 'w1', cpus = 1): Promise<ScriptedWorker> {
    const worker = new ScriptedWorker(this.world, id)
    worker.capacity = { ...worker.capacity, cpuMillis: cpus * 1000 }
    await worker.connect(this.address)
    assert(worker.work.incarnation > 0 || this.disk.waiting > 0)
    return worker
  }

  /** A job's plan that runs the house's program. */
  plan(id: string, options: JobOptions = {}): JobPlan {
    const job = plan(id, options)
    return { ...job, stages: job.stages.map(stage => ({ ...stage, program: programId })) }
  }

  async putProgram(client: ScriptedClient): Promise<void> {
    await client.ask({ kind: 'putProgram', program: programId, bytes: programBytes })
  }

  /** Submits a job of `count` tasks and watches it. Gives the answer, if there is one by now. */
  submit(
    client: ScriptedClient,
    id: string,
    count: number,
    options: JobOptions & { watch?: boolean; inputs?: Inputs[]; open?: boolean } = {},
  ) {
    const given = options.inputs ?? [inputs(count, { open: options.open ?? false })]
    const jobs = [
      {
        plan: this.plan(id, { session: client.session, ...options }),
        inputs: given,
        flow: undefined,
        policies: [],
        run: undefined,
        watch: options.watch ?? true,
      },
    ]
    return client.ask({ kind: 'submitJobs', jobs })
  }

  /** All records on the disk. */
  async records(): Promise<JournalRecord[]> {
    const rows = await this.disk.open().journal.read(1, 1_000_000)
    return rows.flatMap(row => decodeRecords(row.records, row.count))
  }
}

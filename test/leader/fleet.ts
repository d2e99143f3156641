// Owns candidates in a world that moves by hand: each has its own handle of one disk in memory.
// Must not judge them: the tests do.
import { check, type State } from '../../src/core/index.ts'
import { createMemoryStore, type LeadershipView, type MemoryStore } from '../../src/journal/index.ts'
import { Candidate, type Endpoint } from '../../src/leader/index.ts'
import { decodeRecords, type JournalRecord, type StatusView } from '../../src/protocol/index.ts'
import { ScriptedClient } from '../fakes/peers.ts'
import { principals } from '../fakes/principals.ts'
import { World } from '../fakes/world.ts'

/** One candidate process, as far as the others can tell. */
export interface Process {
  id: string
  candidate: Candidate
  store: MemoryStore
  endpoint: Endpoint | undefined
  /** How its life ended: the reason, or the error. */
  ended: unknown
  follows: string[]
}

/** Candidates of one cluster, in a world that may be shared with others. */
export class Fleet {
  readonly world: World
  readonly disk = createMemoryStore()
  readonly processes = new Map<string, Process>()
  readonly killed: string[] = []
  state: State | undefined

  constructor(world = new World()) {
    this.world = world
  }

  /** Starts a candidate, with its own handle of the disk, or with this one; `wallOffsetMs`: how far its clock is off. */
  async start(
    id: string,
    priority = 100,
    firstDelayMs = 0,
    { store = this.disk.open(), wallOffsetMs = 0 }: { store?: MemoryStore; wallOffsetMs?: number } = {},
  ): Promise<Process> {
    const { platform } = this.world
    const clock = { ...platform.clock, wallMs: () => platform.clock.wallMs() + wallOffsetMs }
    const process: Process = { id, store, endpoint: undefined, ended: undefined, follows: [], candidate: undefined as never }
    process.candidate = new Candidate(
      {
        id,
        store,
        priority,
        firstDelayMs,
        host: '127.0.0.1',
        port: 0,
        authenticate: ({ token }) => principals[token],
        token: async () => 'worker',
        announce: async endpoint => {
          process.endpoint = endpoint
        },
        kill: view => this.#kill(view),
        standsBy: view => process.follows.push(view.leader),
        vitals: () => ({ pid: 42, rssBytes: 1, eventLoopDelayMs: 0 }),
        check: state => {
          this.state = state
          check(state)
        },
      },
      { ...platform, clock },
    )
    this.processes.set(id, process)
    process.candidate.run().then(
      reason => {
        process.ended = reason
      },
      error => {
        process.ended = error
      },
    )
    await this.world.calm()
    return process
  }

  /** Three of them: the first leads, the others stand by. */
  static async of(...priorities: number[]): Promise<Fleet> {
    const fleet = new Fleet()
    for (const [at, priority] of priorities.entries()) await fleet.start(`candidate-${at + 1}`, priority)
    await fleet.world.advance(600)
    return fleet
  }

  #kill(view: LeadershipView): void {
    this.killed.push(view.leader)
    this.die(view.leader)
  }

  /** kill -9. */
  die(id: string): void {
    const process = this.processes.get(id)!
    process.store.kill()
    if (process.endpoint) this.world.cut(process.endpoint.address)
  }

  at(number: number): Process {
    return this.processes.get(`candidate-${number}`)!
  }

  async client(number: number): Promise<ScriptedClient> {
    const client = new ScriptedClient(this.world)
    await client.connect(this.at(number).endpoint!.address)
    return client
  }

  async status(number: number): Promise<StatusView> {
    const client = await this.client(number)
    return (await client.view('status', {})) as StatusView
  }

  async records(): Promise<JournalRecord[]> {
    const rows = await this.disk.open().journal.read(1, 1_000_000)
    return rows.flatMap(row => decodeRecords(row.records, row.count))
  }

  async epochs(): Promise<[epoch: number, leader: string][]> {
    return (await this.records()).flatMap(one => (one.kind === 'LeaderClaimed' ? [[one.epoch, one.leader] as [number, string]] : []))
  }
}

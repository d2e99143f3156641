// Owns the bar of many workers: what a decision of the pure core costs with 100 and with 10,000 of them.
// Must not use threads, sockets or a disk: workers are played by a queue of lanes that have something to report.
import {
  apply,
  createObserved,
  createState,
  decide,
  defaultLimits,
  type Observed,
  observeHungry,
  observeTasks,
  observeWorker,
  type State,
  settle,
} from '../../src/core/index.ts'
import { ChunkWriter, type JobPlan, type JournalRecord, limits as wireLimits } from '../../src/protocol/index.ts'
import { type Bar, sized } from '../bar.ts'
import { median } from '../statistics.ts'

const fewWorkers = 100
const manyWorkers = 10_000
const tasksFull = 1_000_000
const tasksSmoke = 20_000
/** Reports that one turn of the loop takes. */
const reportsPerTurn = 100
/** As long as this the core thinks a task takes, so that each lane gets one after the other: every task is placed by itself. */
const taskMicros = 1_000_000
const jobName = 'bench'
const program = 'a'.repeat(64)
const limits = { ...defaultLimits, workersMax: manyWorkers }
const capacity = { cpuMillis: 1000, memoryBytes: 2 ** 30, gpuMillis: 0, named: [] }

type Command = Parameters<typeof decide>[1]
/** What is known of a lane, as the core hands it out. */
type Lane = Parameters<typeof observeHungry>[1]

/** A cluster without a world: commands go in, assignments come back as lanes that will report. */
class Played {
  readonly state: State = createState()
  readonly observed: Observed = createObserved()
  /** Lanes with a task that will be reported, in the order they got it. */
  readonly busy: Lane[] = []
  /** Decisions so far: commands, and assignments that settle chose. */
  decisions = 0
  #taken = 0

  constructor() {
    this.#record({ kind: 'LeaderClaimed', cluster: 'bench', epoch: 1, leader: 'bench', pid: 1, address: 'ws://x', release: '0', atMs: 1 })
  }

  #record(record: JournalRecord): void {
    apply(this.state, record)
    if (record.kind !== 'TasksAssigned') return
    this.decisions++
    const lane = this.state.tasks.lanes.get(record.lane)!
    for (const { count } of record.runs) for (let task = 0; task < count; task++) this.busy.push(lane)
  }

  command(command: Command): void {
    this.decisions++
    const { records, reply } = decide(this.state, command, limits)
    if (reply.kind === 'refused' || reply.kind === 'dismissed')
      throw new Error(`${command.kind}: ${reply.kind === 'refused' ? reply.error.message : reply.reason}`)
    for (const record of records) this.#record(record)
  }

  settle(): void {
    settle(this.state, this.observed, { limits, policy: 'spread' }, record => this.#record(record))
    // What the loop takes away after each turn.
    this.state.payloadDrops.length = 0
    this.state.blockDrops.length = 0
  }

  join(worker: string): void {
    this.command({ kind: 'registerWorker', worker, boot: 'b', capacity, host: 'h', pid: 1, blocks: 'http://x', labels: [], lanes: [] })
    observeWorker(this.observed, worker, 0)
  }

  /** The next lanes in line report the end of one task each. */
  report(count: number, items: Uint8Array): void {
    for (let reports = 0; reports < count && this.#taken < this.busy.length; reports++) {
      const lane = this.busy[this.#taken++]!
      const outcome = { kind: 'finished' as const, count: 1, items, blocks: [], elapsedMicros: taskMicros }
      observeTasks(this.observed, lane, 1, taskMicros)
      const { id: worker, incarnation } = lane.worker
      this.command({ kind: 'report', worker, incarnation, lane: lane.id, from: lane.done, outcomes: [outcome], jitter: 0 })
      if (lane.runs.length > 0) observeHungry(this.observed, lane)
    }
    // The line is cut now and then, not at each report: shifting is dear.
    if (this.#taken < 1 << 16) return
    this.busy.splice(0, this.#taken)
    this.#taken = 0
  }
}

function itemsOf(count: number): Buffer {
  const writer = new ChunkWriter()
  for (let index = 0; index < count; index++) writer.add(Buffer.from([0, 1]))
  return writer.finish()
}

function plan(): JobPlan {
  const stage = {
    task: 'noop',
    program,
    resources: { cpuMillis: 1000, memoryBytes: 2 ** 28, gpuMillis: 0, named: [] },
    retry: { retriesMax: 0, backoffBaseMs: 0, backoffMsMax: 0 },
    timeoutMs: 0,
    edges: [],
  }
  return { job: jobName, name: 'noop', contentHash: 'b'.repeat(64), labels: [], priority: 0, session: 's', detached: true, stages: [stage] }
}

/** Microseconds per decision, from the first task in line to the last outcome. */
function microsPerDecision(workers: number, tasks: number): number {
  const played = new Played()
  for (let number = 0; number < workers; number++) played.join(`worker-${number}`)
  played.command({ kind: 'putProgram', program, bytes: new Uint8Array(1) })
  played.command({ kind: 'submitJob', plan: plan(), inputs: [] })
  for (let first = 0; first < tasks; first += wireLimits.chunkTasksMax) {
    const count = Math.min(wireLimits.chunkTasksMax, tasks - first)
    played.command({
      kind: 'addTasks',
      job: jobName,
      inputs: { stage: 0, first, items: itemsOf(count), blocks: [], seal: first + count === tasks },
    })
  }
  const one = itemsOf(1)
  // The first lanes of all workers are opened before the clock runs: joining is not what is measured.
  played.settle()
  const before = played.decisions
  const startedMs = performance.now()
  while (played.state.jobs.openTasks > 0) {
    played.report(reportsPerTurn, one)
    played.settle()
  }
  return ((performance.now() - startedMs) * 1000) / (played.decisions - before)
}

export const workers: Bar = {
  name: 'workers',
  title: '10,000 workers registered (in process, pure core)',
  async measure(bench) {
    const tasks = sized(bench, tasksFull, tasksSmoke)
    // One round for the compiler; then both sides in turn, so that a change of the machine's speed meets both.
    microsPerDecision(fewWorkers, Math.ceil(tasks / 10))
    const few: number[] = []
    const many: number[] = []
    for (let round = 0; round < bench.repeats; round++) {
      few.push(microsPerDecision(fewWorkers, tasks))
      many.push(microsPerDecision(manyWorkers, tasks))
    }
    return [
      { what: `${fewWorkers} workers`, unit: 'µs per decision', values: few },
      { what: `${manyWorkers} workers`, unit: 'µs per decision', values: many },
      { what: 'many to few', unit: '×', values: [median(many) / median(few)], bar: { at: 1.5, side: 'at most' } },
    ]
  },
}

// Drives the pure core as a leader does: ask, settle, let time pass, take over. Every record goes through `check` and through the ledger's
// laws; at the end the whole journal is replayed in several ways and must give the same bytes (S6).
import assert from 'node:assert/strict'
import { check } from '../../src/core/check.ts'
import type { Command, Reply } from '../../src/core/commands.ts'
import { apply, decide } from '../../src/core/core.ts'
import type { Stage } from '../../src/core/jobs/state.ts'
import { type CoreLimits, defaultLimits } from '../../src/core/limits.ts'
import { fits } from '../../src/core/membership/resources.ts'
import { createObserved, forgetWorker, observeHungry, observeTasks, observeWorker } from '../../src/core/observed/observed.ts'
import { settle } from '../../src/core/placement/settle.ts'
import { keptForOther, type PlacementPolicy } from '../../src/core/placement/workers.ts'
import { decodeSnapshot, encodeSnapshot } from '../../src/core/snapshot.ts'
import { createState, type State } from '../../src/core/state.ts'
import {
  Chunk,
  decodeRecords,
  encodeRecords,
  type JournalRecord,
  type Outcome,
  type RecordKind,
  type RecordOf,
  type Resources,
  type RunPolicy,
  type StagePolicy,
} from '../../src/protocol/index.ts'
import { amount, chunkOf, inputs, type JobOptions, plan, program } from '../fakes/plans.ts'
import { type FakeLane, FakeWorker, finished, resultOf } from '../fakes/worker.ts'
import { HistoryLedger } from './history-ledger.ts'
import { Ledger } from './ledger.ts'

export interface HarnessOptions {
  limits?: Partial<CoreLimits>
  policy?: PlacementPolicy
  /** False where a scenario is too large to look at everything after every record. */
  checking?: boolean
}

const snapshotEvery = 17
/** From one snapshot in so many the journal is replayed to its end; from the others over the time of so many. */
const snapshotsPerWhole = 6
const snapshotsReplayed = 3
/** Before a result that is false, as the codec writes such a value. */
export const falseMark = '\0\0'

export class Harness {
  state: State = createState()
  observed = createObserved()
  readonly limits: CoreLimits
  readonly policy: PlacementPolicy
  readonly records: JournalRecord[] = []
  readonly payloads = new Map<number, Uint8Array>()
  readonly workers = new Map<string, FakeWorker>()
  ledger = new Ledger()
  readonly rows = new HistoryLedger()
  nowMs = 1_700_000_000_000
  readonly #checking: boolean
  /** Payloads that no record needs any more: reading one is a mistake. */
  #dropped = new Set<number>()
  #snapshots: { index: number; bytes: Buffer }[] = []
  /** What is answered now never reaches anyone: its turn will not be durable. */
  #unheard = false

  constructor(options: HarnessOptions = {}) {
    this.limits = { ...defaultLimits, ...options.limits }
    this.policy = options.policy ?? 'spread'
    this.#checking = options.checking ?? true
    this.#claim()
    this.ask({ kind: 'putProgram', program, bytes: Buffer.from('the program') })
  }

  #claim(): void {
    const epoch = this.state.epoch + 1
    const leader = `leader-${epoch}`
    this.emit({
      kind: 'LeaderClaimed',
      cluster: 'cluster-1',
      epoch,
      leader,
      pid: epoch,
      address: 'ws://here',
      release: '0',
      atMs: this.nowMs,
    })
  }

  emit(record: JournalRecord): void {
    this.rows.before(this.state, record, this.records.length + 1)
    apply(this.state, record)
    this.records.push(record)
    this.rows.after(this.state, record, this.records.length)
    if (this.#checking) {
      check(this.state)
      this.ledger.next(record)
      this.#compare(record)
      if (this.records.length % snapshotEvery === 0) this.#snapshots.push({ index: this.records.length, bytes: encodeSnapshot(this.state) })
    }
    if (record.kind === 'TasksAssigned' && !record.adopted) this.workers.get(record.worker)?.receive(record)
  }

  /** The state's accounts must be those of the naive model. */
  #compare(record: JournalRecord): void {
    if (record.kind === 'LockAsked' || record.kind === 'GrantEnded') this.ledger.locks.compare(this.state.grants)
    this.ledger.nodes.compare(this.state.nodes, this.state.nowMs)
    if (record.kind === 'EventEmitted') {
      const { started, woken } = this.state.events.seen.get(`${record.event}#${record.id}`)!
      assert.deepEqual({ started, woken }, this.ledger.events.came.get(`${record.event} ${record.id}`))
      assert.equal(this.state.events.seen.size, this.ledger.events.came.size)
    }
    if (record.kind === 'EntriesWritten') {
      const entries = [...this.state.spaces.byName].flatMap(([name, space]) =>
        [...space].map(([key, { version }]) => [`${name}/${key}`, version]),
      )
      assert.deepEqual(new Map(entries as [string, number][]), new Map([...this.ledger.entries].sort()))
    }
    const ids = 'job' in record ? [record.job] : [...this.state.jobs.byId.keys()]
    for (const id of ids) {
      const job = this.state.jobs.byId.get(id)
      if (job?.flow) {
        this.#compareFlow(id, job.stages)
        continue
      }
      for (const stage of job?.stages ?? []) {
        const { readyCount: waiting, delayedCount: delayed, runningCount: running, succeeded, failed, cancelled } = stage
        assert.deepEqual(
          { waiting, delayed, running, succeeded, failed, cancelled },
          this.ledger.counts(id, stage.number),
          `${id}/${stage.number} after ${record.kind}`,
        )
      }
    }
  }

  /** Of a workflow the model does not know what was given up until the job ends, nor how many tasks there will be. */
  #compareFlow(id: string, stages: readonly Stage[]): void {
    for (const stage of stages) {
      const { running, succeeded, failed } = this.ledger.counts(id, stage.number)
      assert.deepEqual([stage.runningCount, stage.succeeded, stage.failed], [running, succeeded, failed], `${id}/${stage.number}`)
    }
  }

  /** One command, as one turn of the loop without its settling. */
  ask(command: Command): Reply {
    if (this.nowMs > this.state.nowMs) this.emit({ kind: 'TimePassed', nowMs: this.nowMs })
    const { records, payloads, reply } = decide(this.state, command, this.limits)
    for (const { payload, bytes } of payloads) this.payloads.set(payload, bytes)
    for (const record of records) this.emit(record)
    this.#takeDrops()
    return reply
  }

  /** A command that must be refused; says with which code. */
  refused(command: Command): string {
    const before = this.records.filter(record => record.kind !== 'TimePassed').length
    const reply = this.ask(command)
    assert.equal(reply.kind, 'refused')
    assert.equal(this.records.filter(record => record.kind !== 'TimePassed').length, before, 'a refused command left a record')
    return reply.kind === 'refused' ? reply.error.code : ''
  }

  settle(): void {
    settle(this.state, this.observed, { limits: this.limits, policy: this.policy }, record => this.emit(record))
    this.#takeDrops()
    if (this.#checking) this.#assertNobodyWaitsBesideRoom()
  }

  #takeDrops(): void {
    for (const payload of this.state.payloadDrops.splice(0)) this.#dropped.add(payload)
  }

  /** L4: no task that may run waits while there is room for it. */
  #assertNobodyWaitsBesideRoom(): void {
    const workers = [...this.state.membership.workers.values()].filter(worker => !worker.draining && this.observed.workers.has(worker.id))
    for (const schedulingClass of this.state.tasks.waiting) {
      const need = schedulingClass.plan.resources
      for (const worker of workers) {
        if (!fits(need, worker.free) || keptForOther(this.observed, schedulingClass, worker)) continue
        const others = workers.some(other => other !== worker && fits(need, other.capacity))
        const runs = [...schedulingClass.waiting].flatMap(stage => [...stage.ready])
        assert(
          others && runs.every(run => run.avoid === worker.id),
          `tasks of ${schedulingClass.plan.task} wait beside room on ${worker.id}`,
        )
      }
    }
    for (const job of this.state.jobs.byId.values())
      assert(job.finishedAtMs > 0 || !this.state.jobs.complete.has(job), `${job.plan.job} is complete and not ended`)
  }

  /** Time passes; what waited for it goes on. */
  advance(ms: number): void {
    this.nowMs += ms
    this.emit({ kind: 'TimePassed', nowMs: this.nowMs })
    this.settle()
  }

  submit(id: string, count = 1, options: JobOptions & { open?: boolean; policies?: StagePolicy[]; run?: RunPolicy } = {}): Reply {
    const job = plan(id, options)
    const reply = this.ask({
      kind: 'submitJob',
      plan: job,
      inputs: job.stages.map((_, stage) => inputs(count, { stage, open: options.open ?? false })),
      policies: options.policies ?? [],
      run: options.run,
    })
    this.settle()
    return reply
  }

  cancel(job: string, reason = 'no longer wanted'): Reply {
    const reply = this.ask({ kind: 'cancelJob', job, reason })
    this.settle()
    return reply
  }

  /** A worker comes; from then on it is handed work. */
  join(id: string, capacity: Resources | number = 1): FakeWorker {
    const worker = new FakeWorker(id, `${id}-boot-1`)
    this.workers.set(id, worker)
    this.register(worker, capacity)
    this.settle()
    return worker
  }

  /** Registers with the lanes it has, and sends again what was not acknowledged. */
  register(worker: FakeWorker, capacity: Resources | number = 1): Reply {
    forgetWorker(this.observed, worker.id)
    const lanes = [...worker.lanes.values()].map(lane => lane.report())
    const reply = this.ask({
      kind: 'registerWorker',
      worker: worker.id,
      boot: worker.boot,
      capacity: typeof capacity === 'number' ? amount(capacity) : capacity,
      host: 'host',
      pid: 1,
      blocks: '',
      labels: [],
      lanes,
    })
    if (reply.kind !== 'registered') return reply
    worker.incarnation = reply.incarnation
    worker.connected = true
    worker.keep(reply.keep)
    observeWorker(this.observed, worker.id, this.nowMs)
    for (const lane of [...worker.lanes.values()]) {
      if (lane.kept.length > 0) this.report(worker, lane, lane.acknowledged, lane.kept)
      else worker.acknowledge(lane, lane.acknowledged)
    }
    return reply
  }

  report(worker: FakeWorker, lane: FakeLane, from: number, outcomes: Outcome[]): Reply {
    const known = this.state.tasks.lanes.get(lane.id)
    for (const outcome of outcomes)
      if (known && outcome.kind === 'finished') observeTasks(this.observed, known, outcome.count, outcome.elapsedMicros)
    const reply = this.ask({
      kind: 'report',
      worker: worker.id,
      incarnation: worker.incarnation,
      lane: lane.id,
      from,
      outcomes: [...outcomes],
      jitter: 0.5,
    })
    if (reply.kind === 'done' && !this.#unheard) worker.acknowledge(lane, lane.head)
    return reply
  }

  /** The next tasks of the worker's first busy lane have these outcomes. */
  end(worker: FakeWorker, outcomes: Outcome[], lane = worker.busy[0]): Reply {
    assert(lane, `${worker.id} has nothing to do`)
    const reply = this.report(worker, lane, worker.settle(lane, outcomes), outcomes)
    this.settle()
    return reply
  }

  /** The worker finishes the next `count` tasks of its first busy lane. */
  finish(worker: FakeWorker, count = 1): Reply {
    assert(worker.busy[0], `${worker.id} has nothing to do`)
    return this.end(worker, [finished(worker.busy[0], count)])
  }

  /** How the next task of a lane succeeds: with a list where others wait for one. */
  success(lane: FakeLane, items = 3): Outcome {
    const { stage, first } = this.state.tasks.lanes.get(lane.id)!.runs[0]!
    const step = stage.wide < 0 ? stage.owners[first] : undefined
    const spreads = step !== undefined && stage.job.flow!.uses(step).some(use => use.kind === 'spread')
    if (!spreads) return finished(lane, 1)
    return { kind: 'spread', items: chunkOf(Array.from({ length: items }, () => 'item')), blocks: [], elapsedMicros: 1000 }
  }

  /** All workers finish all that they have, until nothing runs. */
  finishAll(): void {
    for (let progress = true; progress; ) {
      progress = false
      for (const worker of this.workers.values()) {
        for (const lane of worker.connected ? worker.busy : []) {
          while (lane.open.length > 0) {
            this.end(worker, [this.success(lane)], lane)
            progress = true
          }
        }
      }
    }
  }

  /** The lane's tasks from number `from` on come back. */
  giveBack(worker: FakeWorker, lane: FakeLane, from: number): Reply {
    lane.truncate(from)
    const reply = this.ask({ kind: 'returnTasks', worker: worker.id, incarnation: worker.incarnation, lane: lane.id, from })
    if (lane.acknowledged === lane.tasks.length) worker.lanes.delete(lane.id)
    this.settle()
    return reply
  }

  /** The worker's connection ends. */
  lose(worker: FakeWorker, reason = 'its connection ended'): Reply {
    worker.connected = false
    forgetWorker(this.observed, worker.id)
    const reply = this.ask({ kind: 'loseWorker', worker: worker.id, incarnation: worker.incarnation, reason })
    this.settle()
    return reply
  }

  /** A new leader that has the whole journal. All workers are away until they register. */
  takeOver(): void {
    this.state = replay(this.records)
    this.#dropped = new Set(this.state.payloadDrops.splice(0))
    this.observed = createObserved()
    for (const worker of this.workers.values()) worker.connected = false
    this.#claim()
    for (const lane of this.state.tasks.lanes.values()) observeHungry(this.observed, lane)
    this.settle()
  }

  /** The leader dies in this turn, before it is durable: work was handed out, but nobody was answered. Then a new one takes over. */
  dieIn(turn: () => void): void {
    const index = this.records.length
    this.#unheard = true
    turn()
    this.#unheard = false
    this.records.length = index
    this.rows.truncate(index)
    this.#snapshots = this.#snapshots.filter(snapshot => snapshot.index <= index)
    this.ledger = new Ledger()
    for (const record of this.records) this.ledger.next(record)
    this.takeOver()
  }

  stage(job: string, number = 0): Stage {
    return this.state.jobs.byId.get(job)!.stages[number]!
  }

  jobState(job: string): string | undefined {
    return this.state.jobs.byId.get(job)?.state
  }

  /** Tasks at the head of the lane that are of one run. */
  headRun(lane: FakeLane): number {
    return this.state.tasks.lanes.get(lane.id)!.runs[0]!.count
  }

  /** Tasks at the head of the lane, of any runs, that may finish in one outcome: nobody wants a list of one of them. */
  valuesAhead(lane: FakeLane): number {
    let count = 0
    for (const { stage, first, count: tasks } of this.state.tasks.lanes.get(lane.id)!.runs) {
      for (let task = first; task < first + tasks; task++) {
        const step = stage.job.flow && stage.wide < 0 ? stage.owners[task] : undefined
        if (step !== undefined && stage.job.flow!.uses(step).some(use => use.kind === 'spread')) return count
        count++
      }
    }
    return count
  }

  /** The records of one kind so far. */
  of<K extends RecordKind>(kind: K): RecordOf<K>[] {
    return this.records.filter((record): record is RecordOf<K> => record.kind === kind)
  }

  /** The results of a stage that are kept, by task. */
  results(job: string, number = 0): Map<number, string> {
    const results = new Map<number, string>()
    for (const segment of this.stage(job, number).results) {
      assert(!this.#dropped.has(segment.payload), 'a result was dropped that is needed')
      const chunk = new Chunk(this.payloads.get(segment.payload)!)
      for (let i = 0; i < segment.count; i++) results.set(segment.first + i, chunk.item(segment.from + i).toString())
    }
    return results
  }

  /** The laws that hold at the end of every scenario. */
  verify(): void {
    this.rows.verify(payload => {
      assert(!this.#dropped.has(payload), 'a result was dropped that the history needs')
      return this.payloads.get(payload)!
    })
    const bytes = encodeSnapshot(this.state)
    const whole = replay(decodeRecords(encodeRecords(this.records), this.records.length))
    assert(encodeSnapshot(whole).equals(bytes), 'S6: a replay of the whole journal differs')
    check(whole)
    const restored = decodeSnapshot(bytes)
    check(restored)
    assert(encodeSnapshot(restored).equals(bytes), 'S6: a snapshot does not give itself again')
    for (const [number, { index, bytes: from }] of this.#snapshots.entries()) {
      // To the end from some of them, from the others as far as a later one: from each to the end would be quadratic.
      const later = number % snapshotsPerWhole === 0 ? undefined : this.#snapshots[number + snapshotsReplayed]
      const state = decodeSnapshot(from)
      for (const record of this.records.slice(index, later?.index)) apply(state, record)
      assert(
        encodeSnapshot(state).equals(later?.bytes ?? bytes),
        `S6: a replay from the snapshot at ${index} differs at ${later?.index ?? 'the end'}`,
      )
    }
    for (const job of this.state.jobs.byId.values()) {
      for (const stage of job.stages) {
        for (const [index, result] of this.results(job.plan.job, stage.number))
          assert.equal(result.replace(falseMark, ''), resultOf({ job: job.plan.job, stage: stage.number, index }))
      }
    }
  }
}

/** The state that these records make. */
export function replay(records: readonly JournalRecord[]): State {
  const state = createState()
  for (const record of records) apply(state, record)
  return state
}

/** Runs a scenario; the laws of the end are checked after it. */
export function scenario(script: (cluster: Harness) => void, options: HarnessOptions = {}): () => void {
  return () => {
    const cluster = new Harness(options)
    script(cluster)
    cluster.verify()
  }
}

// Reads a journal record by record with a naive model of its own, one entry per task, and holds it to the laws that any journal must
// keep: S1 (epochs), S9, S10, S12 (one result per task, of an attempt that was handed out before), S11 (what ended stays ended), S14.
import assert from 'node:assert/strict'
import type { JobPlan, JournalRecord, Range, RecordOf, Resources, StagePlan } from '../../src/protocol/index.ts'
import { EventLedger } from './event-ledger.ts'
import { FlowLedger } from './flow-ledger.ts'
import { LimitLedger } from './limit-ledger.ts'
import { LockLedger } from './lock-ledger.ts'
import { ScheduleLedger } from './schedule-ledger.ts'

type Status = 'waiting' | 'delayed' | 'running' | 'succeeded' | 'failed' | 'cancelled'

export interface LedgerTask {
  key: string
  job: string
  stage: number
  index: number
  status: Status
  attempt: number
  untilMs: number
  /** It runs and is to stop. */
  stopping: boolean
}

interface LedgerStage {
  plan: StagePlan
  tasks: LedgerTask[]
  sealed: boolean
  abandoned: boolean
}

interface LedgerJob {
  plan: JobPlan
  state: 'running' | 'succeeded' | 'failed' | 'cancelled'
  over: boolean
  paused?: boolean
  /** It did not end in its time, or is being cancelled. */
  late: boolean
  stages: LedgerStage[]
  /** Its steps, if it is a workflow. */
  flow?: FlowLedger
}

interface LedgerLane {
  worker: string
  resources: Resources
  queue: LedgerTask[]
  vacated: boolean
}

const terminal: ReadonlySet<Status> = new Set(['succeeded', 'failed', 'cancelled'])

/** Facts that may stand between the runs that an event starts, and the event. */
const startsRuns: ReadonlySet<string> = new Set(['FlowSubmitted', 'TasksAdded', 'StepsAdded', 'EventEmitted'])

function newTask(job: string, stage: number, index: number, attempt: number): LedgerTask {
  return { key: `${job}/${stage}/${index}`, job, stage, index, status: 'waiting', attempt, untilMs: 0, stopping: false }
}

export class Ledger extends ScheduleLedger {
  epoch = 0
  nowMs = 0
  override readonly jobs = new Map<string, LedgerJob>()
  readonly lanes = new Map<number, LedgerLane>()
  readonly workers = new Map<string, { incarnation: number; capacity: Resources }>()
  /** Every (task, attempt) that was ever handed out. */
  readonly handedOut = new Set<string>()
  readonly #highest = new Map<string, number>()
  readonly candidates = new Set<string>()
  #emptied = 0
  #forgotten = 0
  readonly locks = new LockLedger()
  readonly limits = new LimitLedger()
  readonly events = new EventLedger()
  /** Workflows that got the last event. */
  heard: string[] = []
  /** `space/key` → the number of the write that made it what it is, counted over all. */
  readonly entries = new Map<string, number>()
  #written = 0
  readonly #transactions = new Set<string>()
  readonly #leaders = new Map<number, string>()
  readonly #incarnations = new Set<number>()

  next(record: JournalRecord): void {
    for (const job of this.jobs.values()) job.flow?.changed()
    if (!startsRuns.has(record.kind)) this.events.apart()
    if (this.epoch === 0) assert.equal(record.kind, 'LeaderClaimed', 'S1: a journal begins with a claim')
    if (this.nodes.took(record, this.nowMs)) return
    const take = this[record.kind] as (record: JournalRecord) => void
    take.call(this, record)
    this.#abandonWhatCannotStart()
  }

  /** How many tasks of a stage have each status. */
  counts(job: string, stage: number): Record<Status, number> {
    const counts = { waiting: 0, delayed: 0, running: 0, succeeded: 0, failed: 0, cancelled: 0 }
    for (const task of this.jobs.get(job)!.stages[stage]!.tasks) counts[task.status]++
    return counts
  }

  /** True if the stage waits for another one. */
  blocked(job: LedgerJob, stage: LedgerStage): boolean {
    return stage.plan.edges.some(edge => !this.#complete(job, job.stages[edge.producer]!))
  }

  #complete(job: LedgerJob, stage: LedgerStage): boolean {
    if (!stage.sealed || stage.tasks.some(task => !terminal.has(task.status))) return false
    return stage.abandoned || !this.blocked(job, stage)
  }

  #abandonWhatCannotStart(): void {
    for (const job of this.jobs.values()) {
      if (job.state !== 'running') continue
      for (const stage of job.stages) {
        if (stage.abandoned) continue
        const producers = stage.plan.edges.map(edge => job.stages[edge.producer]!)
        const unlucky = producers.some(
          producer => this.#complete(job, producer) && (producer.abandoned || producer.tasks.some(task => task.status !== 'succeeded')),
        )
        if (!unlucky) continue
        stage.abandoned = true
        stage.sealed = true
        for (const task of stage.tasks) if (!terminal.has(task.status)) this.#end(task, 'cancelled')
      }
    }
  }

  #end(task: LedgerTask, status: Status): void {
    assert(!terminal.has(task.status), `S11: ${task.key} was ${task.status} and is to be ${status}`)
    Object.assign(task, { status, stopping: false })
  }

  #job(id: string): LedgerJob {
    const job = this.jobs.get(id)
    assert(job, `there is no job ${id}`)
    return job
  }

  #tasks(job: string, stage: number, ranges: readonly Range[]): LedgerTask[] {
    const { tasks } = this.#job(job).stages[stage]!
    return ranges.flatMap(({ first, count }) => tasks.slice(first, first + count))
  }

  #lane(id: number): LedgerLane {
    const lane = this.lanes.get(id)
    assert(lane, `S12: lane ${id} was never opened, or is over`)
    return lane
  }

  /** Takes the next tasks of a lane; all must be of one stage and in a row. */
  #advance(id: number, count: number): LedgerTask[] {
    const lane = this.#lane(id)
    const done = lane.queue.splice(0, count)
    assert.equal(done.length, count, `lane ${id} has no ${count} tasks`)
    for (const task of done) assert.equal(task.status, 'running', `S10: ${task.key} has an outcome and does not run`)
    if (lane.queue.length === 0) this.lanes.delete(id)
    return done
  }

  #giveBack(task: LedgerTask): void {
    const stops = task.stopping || this.#job(task.job).state !== 'running'
    task.stopping = false
    task.status = stops ? 'cancelled' : 'waiting'
  }

  #wake(nowMs: number): void {
    this.nowMs = Math.max(this.nowMs, nowMs)
    for (const job of this.jobs.values())
      for (const stage of job.stages)
        for (const task of stage.tasks) if (task.status === 'delayed' && task.untilMs <= this.nowMs) task.status = 'waiting'
  }

  /** S14: what is reserved on a worker is not more than it has. */
  #checkRoom(worker: string): void {
    const { capacity } = this.workers.get(worker)!
    const lanes = [...this.lanes.values()].filter(lane => lane.worker === worker && !lane.vacated)
    const sum = (of: (resources: Resources) => number): number => lanes.reduce((total, lane) => total + of(lane.resources), 0)
    assert(sum(one => one.cpuMillis) <= capacity.cpuMillis, `S14: ${worker} has promised more cpus than it has`)
    assert(sum(one => one.memoryBytes) <= capacity.memoryBytes, `S14: ${worker} has promised more memory than it has`)
    assert(sum(one => one.gpuMillis) <= capacity.gpuMillis, `S14: ${worker} has promised more gpus than it has`)
    const names = new Set(lanes.flatMap(lane => lane.resources.named.map(one => one.name)))
    for (const name of names) {
      const of = (resources: Resources): number => resources.named.find(one => one.name === name)?.millis ?? 0
      assert(sum(of) <= of(capacity), `S14: ${worker} has promised more ${name} than it has`)
    }
  }

  LeaderClaimed(record: RecordOf<'LeaderClaimed'>): void {
    assert(record.epoch > this.epoch, `S1: epoch ${record.epoch} after ${this.epoch}`)
    assert(!this.#leaders.has(record.epoch), `S1: two leaders of epoch ${record.epoch}`)
    this.#leaders.set(record.epoch, record.leader)
    this.epoch = record.epoch
    this.#wake(record.atMs)
  }

  CandidateJoined(record: RecordOf<'CandidateJoined'>): void {
    assert(record.priority >= 1, 'a candidate without a priority')
    this.candidates.add(record.candidate)
  }

  CandidateLeft(record: RecordOf<'CandidateLeft'>): void {
    assert(this.candidates.delete(record.candidate), `${record.candidate} left and was not there`)
  }

  LeaderResigned(record: RecordOf<'LeaderResigned'>): void {
    assert.equal(record.epoch, this.epoch, 'S1: a leader of another epoch resigned')
  }

  TimePassed(record: RecordOf<'TimePassed'>): void {
    assert(record.nowMs > this.nowMs, 'cluster time goes back')
    this.#wake(record.nowMs)
  }

  WorkerJoined(record: RecordOf<'WorkerJoined'>): void {
    assert(!this.workers.has(record.worker), `${record.worker} joined twice`)
    assert(!this.#incarnations.has(record.incarnation), `incarnation ${record.incarnation} was given twice`)
    this.#incarnations.add(record.incarnation)
    this.workers.set(record.worker, { incarnation: record.incarnation, capacity: record.capacity })
  }

  WorkerLost(record: RecordOf<'WorkerLost'>): void {
    assert.equal(this.workers.get(record.worker)?.incarnation, record.incarnation)
    for (const [id, lane] of this.lanes) {
      if (lane.worker !== record.worker) continue
      for (const task of lane.queue) {
        // Nobody knows how far it came there: what runs next is another attempt.
        task.attempt++
        this.#giveBack(task)
      }
      this.lanes.delete(id)
    }
    this.workers.delete(record.worker)
  }

  WorkerDraining(record: RecordOf<'WorkerDraining'>): void {
    assert.equal(this.workers.get(record.worker)?.incarnation, record.incarnation)
  }

  ProgramAdded(record: RecordOf<'ProgramAdded'>): void {
    this.newPayload(record.payload)
  }

  ProgramForgotten(record: RecordOf<'ProgramForgotten'>): void {
    for (const job of this.jobs.values())
      assert(job.over || job.plan.stages.every(stage => stage.program !== record.program), 'a program was forgotten that is needed')
  }

  JobSubmitted({ plan }: RecordOf<'JobSubmitted'>): void {
    assert(!this.jobs.has(plan.job) && !this.archived.includes(plan.job), `S4: job ${plan.job} was submitted twice`)
    const stages = plan.stages.map(stage => ({ plan: stage, tasks: [], sealed: false, abandoned: false }))
    this.jobs.set(plan.job, { plan, state: 'running', over: false, late: false, stages })
  }

  FlowSubmitted(record: RecordOf<'FlowSubmitted'>): void {
    this.JobSubmitted({ ...record, kind: 'JobSubmitted' })
    const job = this.#job(record.plan.job)
    job.flow = new FlowLedger(
      stage => job.stages[stage]!.tasks,
      () => this.nowMs,
    )
  }

  StagesAdded(record: RecordOf<'StagesAdded'>): void {
    const job = this.#job(record.job)
    assert(job.flow && job.state === 'running')
    for (const plan of record.stages) job.stages.push({ plan, tasks: [], sealed: false, abandoned: false })
  }

  StepsAdded(record: RecordOf<'StepsAdded'>): void {
    const job = this.#job(record.job)
    assert(job.flow && job.state === 'running')
    const base = job.stages.findIndex(stage => !stage.sealed)
    job.flow.add(record.flow, base, record.parent)
    for (const stage of job.stages) stage.sealed = true
  }

  TaskExpanded(record: RecordOf<'TaskExpanded'>): void {
    for (const task of this.#advance(record.lane, 1)) {
      this.#succeed(task)
      const job = this.#job(task.job)
      const step = job.flow!.stepOf(task.stage, task.index)
      this.limits.holds(task.job, task.stage, task.key, () => job.state !== 'running' || job.over || job.flow!.hasEnded(step))
    }
  }

  TaskSpread(record: RecordOf<'TaskSpread'>): void {
    this.newPayload(record.payload)
    for (const task of this.#advance(record.lane, 1)) {
      this.#succeed(task)
      this.#job(task.job).flow!.spread(task.stage, task.index, record.width)
    }
  }

  BranchDecided(record: RecordOf<'BranchDecided'>): void {
    this.#job(record.job).flow!.decided(record.step, record.taken)
  }

  SignalReceived(record: RecordOf<'SignalReceived'>): void {
    this.newPayload(record.payload)
    const job = this.#job(record.job)
    assert.equal(job.state, 'running', 'a job that has ended took a signal')
    job.flow!.signalled(record.name, record.signal)
  }

  #succeed(task: LedgerTask): void {
    const { flow, state } = this.#job(task.job)
    const counts = !task.stopping || flow?.counts(task.stage, task.index)
    assert(counts && state === 'running', `S10: a result of ${task.key} was taken after its cancellation`)
    this.#end(task, 'succeeded')
  }

  TasksAdded(record: RecordOf<'TasksAdded'>): void {
    const { job, stage, first, count } = record
    if (record.payload === this.lastPayload) this.events.shared(job)
    else this.newPayload(record.payload)
    assert(count > 0)
    const found = this.#job(job)
    const { tasks, sealed } = found.stages[stage]!
    assert.equal(found.state, 'running')
    assert.equal(sealed, false)
    assert.equal(tasks.length, first)
    for (let index = first; index < first + count; index++) tasks.push(newTask(job, stage, index, 1))
  }

  StageSealed(record: RecordOf<'StageSealed'>): void {
    const stage = this.#job(record.job).stages[record.stage]!
    assert.equal(stage.sealed, false)
    stage.sealed = true
  }

  JobCancelled(record: RecordOf<'JobCancelled'>): void {
    const job = this.#job(record.job)
    assert.equal(job.state, 'running', `S11: job ${record.job} was ${job.state} when it was cancelled`)
    job.flow?.ends()
    this.#stop(job, 'cancelled')
    this.limits.ended(record.job, true)
  }

  #stop(job: LedgerJob, state: 'cancelled' | 'failed'): void {
    job.state = state
    for (const stage of job.stages) {
      stage.sealed = true
      for (const task of stage.tasks) {
        if (task.status === 'waiting' || task.status === 'delayed') this.#end(task, 'cancelled')
      }
    }
  }

  JobPaused(record: RecordOf<'JobPaused'>): void {
    const job = this.#job(record.job)
    assert(job.state === 'running' && (job.paused ?? false) !== record.paused, `${record.job} was paused twice, or when it had ended`)
    job.paused = record.paused
  }

  JobRerun({ job: id, steps, program }: RecordOf<'JobRerun'>): void {
    const job = this.#job(id)
    assert(job.flow && job.over && job.state !== 'succeeded', `S11: ${id} is ${job.state} and went on`)
    const waiting = new Set(steps.flatMap(({ first, count }) => Array.from({ length: count }, (_, at) => first + at)))
    job.flow.goOn(waiting, task => this.#highest.get(task.key) ?? 0)
    if (program !== undefined) for (const stage of job.stages) stage.plan = { ...stage.plan, program }
    Object.assign(job, { state: 'running', over: false, late: false })
    this.limits.again(id)
    for (const { stage, index, step } of job.flow.built(waiting))
      this.limits.holds(id, stage, `${id}/${stage}/${index}`, () => job.state !== 'running' || job.over || job.flow!.hasEnded(step))
  }

  StageLimited(record: RecordOf<'StageLimited'>): void {
    const { tasks } = this.#job(record.job).stages[record.policy.stage]!
    assert.equal(tasks.length, 0, 'a stage was limited that has tasks')
    this.limits.limitStage(record.job, record.policy)
  }

  JobLimited(record: RecordOf<'JobLimited'>): void {
    const { plan, stages } = this.#job(record.job)
    assert(stages.every(stage => stage.tasks.length === 0 && !stage.sealed))
    this.limits.limitRun(record.job, plan.priority, record.policy)
  }

  StepTimedOut(record: RecordOf<'StepTimedOut'>): void {
    const { flow } = this.#job(record.job)
    flow!.givenUp(record.step)
    this.#stopLate(record.job)
  }

  JobCancelling(record: RecordOf<'JobCancelling'>): void {
    assert(this.#job(record.job).flow, `${record.job} is compensated and no workflow`)
    this.JobTimedOut({ kind: 'JobTimedOut', job: record.job }, 'cancelled')
  }

  JobTimedOut(record: RecordOf<'JobTimedOut'>, as: 'failed' | 'cancelled' = 'failed'): void {
    const job = this.#job(record.job)
    assert(job.state === 'running' && !job.late && !this.limits.waits(record.job), `${record.job} has not begun, or is over`)
    job.late = true
    if (!job.flow) return this.#stop(job, 'failed')
    job.flow.givenUp(undefined, as)
    this.#stopLate(record.job)
  }

  /** Of a step that is late no result is taken, and nothing of it is tried again; nor of one that may still succeed. */
  #stopLate(id: string): void {
    const { flow, stages } = this.#job(id)
    for (const task of stages.flatMap(stage => stage.tasks)) {
      if (!flow!.isTold(flow!.stepOf(task.stage, task.index))) continue
      if (task.status === 'running') task.stopping = true
      else if (task.status === 'delayed') task.status = 'waiting'
    }
  }

  TasksCancelled(record: RecordOf<'TasksCancelled'>): void {
    assert.equal(this.#job(record.job).state, 'running')
    for (const task of this.#tasks(record.job, record.stage, record.ranges)) {
      if (terminal.has(task.status)) continue
      if (task.status === 'waiting' || task.status === 'delayed') this.#end(task, 'cancelled')
      else if (task.status === 'running') task.stopping = true
    }
  }

  JobFinished(record: RecordOf<'JobFinished'>): void {
    const job = this.#job(record.job)
    assert.equal(job.over, false, `S11: job ${record.job} ended twice`)
    const flowed = job.flow && job.state === 'running' ? job.flow.end() : undefined
    const tasks = job.stages.flatMap(stage => stage.tasks)
    assert(job.stages.every(stage => stage.sealed))
    assert(
      tasks.every(task => terminal.has(task.status)),
      `job ${record.job} ended with open tasks`,
    )
    const failed = tasks.some(task => task.status === 'failed')
    const expected = flowed
      ? flowed
      : job.state === 'cancelled'
        ? 'cancelled'
        : failed || job.state === 'failed'
          ? 'failed'
          : job.stages.some(one => one.abandoned)
            ? 'cancelled'
            : 'succeeded'
    assert.equal(record.state, expected)
    Object.assign(job, { state: record.state, over: true, paused: false })
    this.limits.ended(record.job, false)
  }

  ResultsReleased(record: RecordOf<'ResultsReleased'>): void {
    this.#tasks(record.job, record.stage, record.ranges)
  }

  JobsForgotten(record: RecordOf<'JobsForgotten'>): void {
    for (const id of record.jobs) {
      assert(this.#job(id).over, `job ${id} was forgotten while it runs`)
      this.jobs.delete(id)
      if (!this.archived.includes(id)) this.events.forget(id)
      this.limits.forget(id)
    }
  }

  JobsArchived(record: RecordOf<'JobsArchived'>): void {
    this.archived.push(...record.jobs)
    this.JobsForgotten({ kind: 'JobsForgotten', jobs: record.jobs })
  }

  HistoryEmptied({ first, count }: RecordOf<'HistoryEmptied'>): void {
    assert(count > 0 && first === this.#emptied + 1, `the history was emptied from ${first} on, behind ${this.#emptied}`)
    this.#emptied += count
    assert(this.#emptied <= this.#forgotten + this.archived.length, 'results went that nobody had')
  }

  HistoryForgotten({ first, count }: RecordOf<'HistoryForgotten'>): void {
    assert(count > 0 && first === this.#forgotten + 1, `the history was forgotten from ${first} on, behind ${this.#forgotten}`)
    const gone = this.archived.splice(0, count)
    assert.equal(gone.length, count)
    for (const id of gone) this.events.forget(id)
    this.#forgotten += count
    this.#emptied = Math.max(this.#emptied, this.#forgotten)
  }

  TasksAssigned(record: RecordOf<'TasksAssigned'>): void {
    assert.equal(this.workers.get(record.worker)?.incarnation, record.incarnation, 'tasks were handed to a worker that is gone')
    assert(record.runs.length > 0)
    let lane = this.lanes.get(record.lane)
    if (!lane) {
      if (!record.adopted) assert.equal(Math.floor(record.lane / 2 ** 32), this.epoch, 'a lane was opened under a foreign epoch')
      const { resources } = this.#job(record.runs[0]!.job).stages[record.runs[0]!.stage]!.plan
      lane = { worker: record.worker, resources, queue: [], vacated: false }
      this.lanes.set(record.lane, lane)
    }
    assert.equal(lane.worker, record.worker)
    assert.equal(lane.vacated, false, 'S14: tasks were handed to a lane without a reservation')
    for (const run of record.runs) {
      assert(run.count > 0)
      const job = this.#job(run.job)
      const stage = job.stages[run.stage]!
      assert.equal(job.state, 'running')
      // What a leader that died had handed out runs already.
      assert(record.adopted || !job.paused, `${run.job} is paused, and tasks of it were handed out`)
      assert(!this.limits.waits(run.job), `${run.job} has begun before its turn`)
      assert(!this.blocked(job, stage), `${run.job}/${run.stage} was handed out before its time`)
      assert.deepEqual(stage.plan.resources, lane.resources)
      if (job.flow) this.#beginFlow(job, job.flow, run)
      for (const task of this.#tasks(run.job, run.stage, [run])) {
        // What runs already may have been handed out by a leader whose clock was ahead.
        if (!(record.adopted && task.status === 'delayed'))
          assert.equal(task.status, 'waiting', `S10: ${task.key} was handed out and is ${task.status}`)
        assert.equal(run.attempt, task.attempt, `S10: ${task.key} was handed out at a wrong attempt`)
        task.status = 'running'
        this.handedOut.add(`${task.key}#${task.attempt}`)
        this.#highest.set(task.key, Math.max(task.attempt, this.#highest.get(task.key) ?? 0))
        lane.queue.push(task)
        this.limits.handedOut(run.job, run.stage, task.key, this.nowMs, () => task.status !== 'running')
      }
    }
    this.#checkRoom(record.worker)
  }

  /** Tasks of a workflow begin: those whose number followed from other steps are known from here on. */
  #beginFlow(job: LedgerJob, flow: FlowLedger, { stage, first, count }: { stage: number; first: number; count: number }): void {
    const { tasks } = job.stages[stage]!
    for (let index = tasks.length; index < first + count; index++)
      tasks.push(newTask(job.plan.job, stage, index, flow.firstAttempt(stage, index)))
    for (let index = first; index < first + count; index++) flow.handedOut(stage, index)
  }

  TasksFinished(record: RecordOf<'TasksFinished'>): void {
    this.newPayload(record.payload)
    const done = this.#advance(record.lane, record.count)
    // Their payload goes with their job.
    for (const task of done) assert.equal(task.job, done[0]!.job, 'results of two jobs share a payload')
    for (const task of done) this.#succeed(task)
  }

  TaskFailed(record: RecordOf<'TaskFailed'>): void {
    const [task] = this.#advance(record.lane, 1)
    assert(!task!.stopping && this.#job(task!.job).state === 'running', `S10: a failure of ${task!.key} was taken after its cancellation`)
    if (record.retryAtMs === undefined) return this.#end(task!, 'failed')
    task!.attempt++
    task!.untilMs = record.retryAtMs
    task!.status = record.retryAtMs > this.nowMs ? 'delayed' : 'waiting'
  }

  TasksSkipped(record: RecordOf<'TasksSkipped'>): void {
    for (const task of this.#advance(record.lane, record.count)) this.#giveBack(task)
  }

  LockAsked(record: RecordOf<'LockAsked'>): void {
    this.locks.asked(record)
  }

  GrantEnded(record: RecordOf<'GrantEnded'>): void {
    this.locks.ended(record)
  }

  EntriesWritten(record: RecordOf<'EntriesWritten'>): void {
    this.#written++
    const { session, number } = record
    assert(session === '' || !this.#transactions.has(`${session} ${number}`), `transaction ${number} of ${session} was done twice`)
    this.#transactions.add(`${session} ${number}`)
    for (const { space, key, payload } of record.writes) {
      if (payload !== undefined) this.newPayload(payload)
      if (payload === undefined) this.entries.delete(`${space}/${key}`)
      else this.entries.set(`${space}/${key}`, this.#written)
    }
  }

  SessionEnded(): void {}

  TriggerSet(record: RecordOf<'TriggerSet'>): void {
    this.events.set(record)
  }

  TriggerPaused(record: RecordOf<'TriggerPaused'>): void {
    this.events.paused(record)
  }

  TriggerDeleted(record: RecordOf<'TriggerDeleted'>): void {
    this.events.deleted(record)
  }

  EventEmitted(record: RecordOf<'EventEmitted'>): void {
    if (record.payload !== undefined) this.newPayload(record.payload)
    let waiting = 0
    this.heard = []
    for (const [id, job] of this.jobs) {
      const steps = job.state === 'running' ? (job.flow?.emitted(record.event, record.key) ?? 0) : 0
      if (steps > 0) this.heard.push(id)
      waiting += steps
    }
    this.events.emitted(record, waiting, job => this.jobs.has(job) || this.archived.includes(job))
  }

  LaneVacated(record: RecordOf<'LaneVacated'>): void {
    const lane = this.#lane(record.lane)
    assert.equal(lane.vacated, false, 'S14: a reservation ended twice')
    lane.vacated = true
  }

  TasksReturned(record: RecordOf<'TasksReturned'>): void {
    const lane = this.#lane(record.lane)
    for (const task of lane.queue.splice(record.keep)) this.#giveBack(task)
    if (lane.queue.length === 0) this.lanes.delete(record.lane)
  }
}

// Owns what the outside is told of each fact: assignments at once, everything else when its fact is durable.
// Must not choose: it only looks at facts and at the state on both sides of them.
import { failureOfTask, inputsOf, RunCursor, type Stage, type State } from '../core/index.ts'
import {
  blockHolding,
  Chunk,
  CoxswainError,
  type JournalRecord,
  type LeaderToClient,
  type PayloadId,
  type RecordOf,
  type Run,
  type TaskBlock,
} from '../protocol/index.ts'
import { acknowledgement, assignment, type PendingAssign, readyAssignment } from './assignment.ts'
import { readInputs, waitsForOthers } from './compose.ts'
import type { BlockDrops } from './drops.ts'
import { Ends } from './ends.ts'
import type { Links } from './links.ts'
import type { LogReadings } from './logs.ts'
import type { RecordListener } from './loop.ts'
import type { Payloads } from './payloads.ts'
import { lateStops, type Stop, stopsOf } from './stops.ts'

/** What the outbox needs of the leader. */
export interface OutboxParts {
  state: State
  links: Links
  payloads: Payloads
  drops: BlockDrops
  logs: LogReadings
  /** Inputs could not be read. */
  failed(error: unknown): void
}

export class Outbox implements RecordListener {
  readonly #state: State
  readonly #links: Links
  readonly #payloads: Payloads
  readonly #drops: BlockDrops
  readonly #logs: LogReadings
  readonly #failed: (error: unknown) => void
  readonly #ends: Ends
  /** Called when facts about schedules are durable. */
  schedulesChanged = (): void => {}
  /** What goes out at the end of the turn, and what goes out when the turn is durable. */
  #now: (() => void)[] = []
  #durable: (() => void)[] = []
  /** Lane → number of the task up to which outcomes are acknowledged, per worker. */
  #acknowledged = new Map<string, Map<number, number>>()
  /** Lanes to which something is to be sent when it is durable: what comes next for them must not go first. */
  readonly #late = new Map<number, number>()
  /** Of this turn, those that wait until it is durable. */
  readonly #waiting: PendingAssign[] = []
  /** Result bytes of this turn, for the watchers. */
  readonly #results = new Map<PayloadId, Uint8Array>()

  constructor({ state, links, payloads, drops, logs, failed }: OutboxParts) {
    this.#state = state
    this.#links = links
    this.#payloads = payloads
    this.#drops = drops
    this.#logs = logs
    this.#failed = failed
    this.#ends = new Ends(links, payloads)
  }

  /** Results were reported, and are recorded or refused: blocks of those that were refused are nobody's, and go. */
  reported(holder: string, blocks: readonly TaskBlock[]): void {
    for (const { block } of blocks) if (!this.#state.blockUses.has(blockHolding(block, holder))) this.#drops.add(block, holder)
  }

  payload(payload: PayloadId, bytes: Uint8Array): void {
    this.#results.set(payload, bytes)
  }

  dropped(payload: PayloadId): void {
    this.#payloads.drop(payload)
  }

  record(record: JournalRecord): (() => void) | undefined {
    switch (record.kind) {
      case 'TasksAssigned':
        return this.#assigned(record)
      case 'TasksFinished':
        return this.#finished(record)
      case 'TaskSpread':
        this.#keep(record.payload)
        return this.#acknowledge(record.lane, 1)
      case 'TaskExpanded':
        return this.#acknowledge(record.lane, 1)
      case 'SignalReceived':
      case 'ScheduleSet':
      case 'EventEmitted':
      case 'TasksAdded':
      case 'ProgramAdded':
        return this.#keep(record.payload)
      case 'GrantEnded':
        this.#denied(record)
        return () => this.#granted()
      case 'LockAsked':
        return () => this.#granted()
      case 'EntriesWritten':
        return this.#keep(...record.writes.map(one => one.payload))
      case 'TaskFailed':
        return this.#taskFailed(record)
      case 'TasksSkipped':
        return this.#acknowledge(record.lane, record.count)
      case 'StepTimedOut':
      case 'JobTimedOut':
      case 'JobCancelling':
        return () => this.#stop(lateStops(this.#state, record.job))
      case 'JobCancelled':
        return () => {
          this.#stop(stopsOf(this.#state, record.job, undefined, []))
          this.#jobChanged(record.job)
        }
      case 'TasksCancelled':
        return () => this.#stop(stopsOf(this.#state, record.job, record.stage, record.ranges))
      case 'JobFinished':
        this.#durable.push(() => this.#logs.jobEnded(record.job))
        return () => this.#jobChanged(record.job)
      case 'WorkerLost':
        this.#durable.push(() => this.#dismiss(record.worker, record.incarnation, record.reason))
        return undefined
      case 'WorkerDraining':
        this.#now.push(() => this.#links.workers.get(record.worker)?.sendInOrder({ kind: 'drain', epoch: this.#state.epoch }))
        return undefined
      default:
        return undefined
    }
  }

  /** Bytes that will be wanted soon are kept at hand. */
  #keep(...payloads: (PayloadId | undefined)[]): undefined {
    for (const payload of payloads) if (payload !== undefined) this.#payloads.put(payload, this.#results.get(payload)!)
  }

  #assigned(record: RecordOf<'TasksAssigned'>): (() => void) | undefined {
    const link = this.#links.workers.get(record.worker)
    // Adopted work runs there already; a worker that is away is told by its registration.
    if (record.adopted || !link || link.incarnation !== record.incarnation) return undefined
    const stageOf = (run: Run): Stage => this.#state.jobs.byId.get(run.job)!.stages[run.stage]!
    const plan = this.#state.tasks.lanes.has(record.lane) ? undefined : stageOf(record.runs[0]!).plan
    const inputs = record.runs.map(run => inputsOf(stageOf(run), run.first, run.count))
    const pending: PendingAssign = { link, epoch: this.#state.epoch, record, plan, inputs }
    // What a step gets is durable before it begins: another leader would not give it anything else. What follows in its lane stays behind it.
    if (!inputs.some(one => waitsForOthers(this.#payloads, one)) && !this.#late.has(record.lane))
      this.#now.push(() => this.#sendAssign(pending))
    else {
      this.#late.set(record.lane, (this.#late.get(record.lane) ?? 0) + 1)
      this.#waiting.push(pending)
      this.#durable.push(() => this.#sendLate(pending))
    }
    return undefined
  }

  #sendLate(pending: PendingAssign): void {
    const { lane } = pending.record
    const left = this.#late.get(lane)! - 1
    if (left > 0) this.#late.set(lane, left)
    else this.#late.delete(lane)
    this.#sendAssign(pending)
  }

  #sendAssign(pending: PendingAssign): void {
    const { link, record, inputs } = pending
    const { lane, incarnation } = record
    const frame = pending.frame ?? readyAssignment(this.#payloads, pending)
    if (frame) return link.sendFrameInOrder(frame)
    // Some inputs are no longer in memory: what follows for this worker waits behind reading them.
    link.sendLater(async () => {
      const waitsForIt = (): boolean => this.#state.tasks.lanes.get(lane)?.worker.incarnation === incarnation
      try {
        return assignment(pending, await readInputs(this.#payloads, inputs, waitsForIt))
      } catch (error) {
        // The worker was lost and the tasks ended elsewhere while this was read: nobody waits for it.
        if (error instanceof CoxswainError && error.code === 'RESULT_GONE') return undefined
        throw error
      }
    }, this.#failed)
  }

  /** It was declared lost while it is connected: it must register anew. */
  #dismiss(worker: string, incarnation: number, reason: string): void {
    const link = this.#links.workers.get(worker)
    if (link?.incarnation === incarnation) link.sendInOrder({ kind: 'dismissed', reason })
  }

  /** To all that watch the job since before this record. Who watches since later is sent it with what the job had by then. */
  #tell(job: string, index: number, message: LeaderToClient): void {
    for (const link of this.#links.watchers(job) ?? []) if (link.watched.get(job)! < index) link.send(message)
  }

  #acknowledge(lane: number, count: number): undefined {
    const known = this.#state.tasks.lanes.get(lane)
    if (!known) return undefined
    const lanes = this.#acknowledged.get(known.worker.id) ?? new Map<number, number>()
    this.#acknowledged.set(known.worker.id, lanes)
    lanes.set(lane, known.done + count)
    return undefined
  }

  #finished(record: RecordOf<'TasksFinished'>): undefined {
    const { runs } = this.#state.tasks.lanes.get(record.lane)!
    const { job } = runs[0]!.stage
    this.#acknowledge(record.lane, record.count)
    const items = this.#results.get(record.payload)!
    // Other steps will want it; who waits for the workflow wants its end.
    if (job.flow) {
      this.#payloads.put(record.payload, items)
      return undefined
    }
    const index = this.#state.index + 1
    const { job: id } = job.plan
    if (!this.#links.watchers(id)) return undefined
    const parts = new RunCursor(runs).take(record.count)
    let from = 0
    for (const { stage, first, count } of parts) {
      const own = parts.length === 1 ? items : new Chunk(items).slice(from, count)
      from += count
      this.#durable.push(() => this.#tell(id, index, { kind: 'results', job: id, stage: stage.number, first, items: own }))
    }
    return undefined
  }

  #taskFailed(record: RecordOf<'TaskFailed'>): (() => void) | undefined {
    const head = this.#state.tasks.lanes.get(record.lane)!.runs[0]!
    const { stage, first } = head
    this.#acknowledge(record.lane, 1)
    if (record.retryAtMs !== undefined) return undefined
    const index = this.#state.index + 1
    return () => {
      const failure = failureOfTask(stage, first)!
      const job = stage.job.plan.job
      if (stage.job.flow) return
      this.#durable.push(() => this.#tell(job, index, { kind: 'tasksFailed', job, stage: stage.number, failures: [failure] }))
    }
  }

  /** The job has ended. Who watches it is told when that is durable. */
  #jobChanged(id: string): void {
    if (this.#links.watchers(id)) this.#durable.push(this.#ends.end(this.#state.jobs.byId.get(id)!, this.#state.index))
  }

  /** Told when it is durable, workers too: work that was stopped for a cancel which its leader took with it would have to run again. */
  #stop(stops: readonly Stop[]): void {
    const { epoch } = this.#state
    for (const { worker, ...what } of stops)
      this.#durable.push(() => this.#links.workers.get(worker)?.sendInOrder({ kind: 'cancel', epoch, ...what }))
  }

  /** Who waits for a lock that it will not have is told when that is durable. */
  #denied({ grant: id, reason }: RecordOf<'GrantEnded'>): void {
    const { token, session, lock } = this.#state.grants.byId.get(id)!
    if (token > 0) return
    const message = `The wait for the lock ${lock.name} is over: ${reason === 'expired' ? 'its session fell silent' : 'it was given up'}.`
    this.#durable.push(() => this.#links.denied(session, id, { code: 'LOCK_LOST', message, id: lock.name, retryAfterMs: 0 }))
  }

  /** Who was granted a lock by the last fact is told when it is durable. */
  #granted(): void {
    for (const { session, id, token } of this.#state.grants.fresh) this.#durable.push(() => this.#links.granted(session, id, token))
  }

  turnEnded(): () => void {
    const now = this.#now
    const durable = this.#durable
    const acknowledged = this.#acknowledged
    const blockDrops = this.#state.blockDrops
    this.#now = []
    this.#durable = []
    this.#acknowledged = new Map()
    this.#state.blockDrops = []
    this.#results.clear()
    const payloadsBelow = this.#state.nextPayload
    for (const send of now) send()
    // What must wait is made ready meanwhile.
    for (const pending of this.#waiting.splice(0)) pending.frame = readyAssignment(this.#payloads, pending)
    const acknowledgements = [...acknowledged].map(([worker, lanes]) => ({ worker, frame: acknowledgement(lanes) }))
    return () => {
      this.#payloads.stored(payloadsBelow)
      // Callers wait for these; workers do not wait for theirs.
      for (const send of durable) send()
      this.#ends.flush()
      for (const { worker, frame } of acknowledgements) this.#links.workers.get(worker)?.sendFrameInOrder(frame)
      if (this.#state.schedules.changed.size > 0) this.schedulesChanged()
      for (const { block, holder } of blockDrops) this.#drops.add(block, holder)
    }
  }
}

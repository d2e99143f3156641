// Owns the conversation with one worker: registration, reports, signs of life.
// Must not decide what it runs: that is core's.
import { forgetWorker, observeTasks, observeWorker, type Reply } from '../core/index.ts'
import {
  CoxswainError,
  type NodeUp,
  outcomeBlocks,
  outcomeBytes,
  outcomeMicros,
  outcomeTasks,
  type WorkerToLeader,
} from '../protocol/index.ts'
import { answerLocation, newBlockKey } from './capabilities.ts'
import type { LeaderContext } from './context.ts'
import { SilenceDetector } from './detector.ts'
import type { WorkerLink } from './links.ts'
import type { LogReadings } from './logs.ts'
import { answerSecret } from './secrets.ts'

export class WorkerSession {
  readonly #context: LeaderContext
  readonly #link: WorkerLink
  readonly #logs: LogReadings
  readonly detector: SilenceDetector

  constructor(context: LeaderContext, link: WorkerLink, logs: LogReadings) {
    this.#context = context
    this.#link = link
    this.#logs = logs
    this.detector = new SilenceDetector(context.platform.clock.monotonicMs())
  }

  /** Of certificates it knows nothing: those messages are the office's. */
  receive(message: Exclude<WorkerToLeader, NodeUp>): void {
    switch (message.kind) {
      case 'register':
        return this.#register(message)
      case 'heartbeat':
        return this.#heartbeat(message)
      case 'report':
        return this.#report(message)
      case 'returnTasks':
        return this.#post({
          kind: 'returnTasks',
          worker: this.#link.id,
          incarnation: this.#link.incarnation,
          lane: message.lane,
          from: message.from,
        })
      case 'getProgram':
        void this.#sendProgram(message.request, message.program)
        return
      case 'logLines':
        return this.#logs.lines(this.#link, message)
      case 'progress': {
        const { job } = message
        for (const link of this.#context.links.watchers(job) ?? []) link.send(message)
        return
      }
      case 'getSecret':
        return answerSecret(this.#context, this.#link, message)
      case 'locateBlock':
        return answerLocation(this.#context, this.#link, message)
    }
  }

  #register(message: Extract<WorkerToLeader, { kind: 'register' }>): void {
    const { loop, links, observed } = this.#context
    const { id, boot } = this.#link
    const { capacity, host, pid, blocks, labels, lanes } = message
    // From here on until it is registered it is handed nothing: what is handed out after its lanes were compared would be lost.
    const other = links.workers.get(id)
    links.workers.delete(id)
    forgetWorker(observed, id)
    if (other && other !== this.#link) {
      other.closed = true
      other.connection.close('the worker connected again')
    }
    const token = {}
    links.registering.set(id, token)
    loop.post({
      command: { kind: 'registerWorker', worker: id, boot, capacity, host, pid, blocks, labels, lanes },
      bytes: 0,
      reply: reply => {
        if (links.registering.get(id) !== token) return this.#link.connection.close('the worker registered again')
        links.registering.delete(id)
        if (reply.kind !== 'registered') this.#refused(reply)
        else if (this.#link.closed) this.#lose(reply.incarnation)
        else this.#registered(reply.incarnation, reply.keep)
      },
    })
  }

  #lose(incarnation: number): void {
    const reason = 'its connection closed while it registered'
    this.#context.loop.post({ command: { kind: 'loseWorker', worker: this.#link.id, incarnation, reason }, bytes: 0, reply: () => {} })
  }

  #registered(incarnation: number, keep: { lane: number; tasks: number }[]): void {
    const { loop, links, observed, platform, state, comeback } = this.#context
    const { id } = this.#link
    // It was lost again while its registration became durable.
    if (state.membership.workers.get(id)?.incarnation !== incarnation)
      return this.#link.send({ kind: 'dismissed', reason: 'this incarnation was declared lost' })
    this.#link.incarnation = incarnation
    links.workers.set(id, this.#link)
    const blockKey = (this.#link.blockKey = newBlockKey(platform.random))
    this.#link.send({ kind: 'registered', incarnation, epoch: state.epoch, keep, blockKey, timeMs: Math.floor(this.#context.nowMs()) })
    this.#acknowledgeAll()
    // Work is handed out from here on: behind the registration on the wire.
    comeback.back(id, () => {
      if (links.workers.get(id) !== this.#link) return
      observeWorker(observed, id, platform.clock.monotonicMs())
      loop.schedule()
    })
    this.#resendCancels()
    this.#resendDrain()
    this.#logs.workerCame(this.#link)
    platform.log('info', 'worker-registered', { worker: id, incarnation, kept: keep.length })
  }

  /** It may not have heard that it is to drain. */
  #resendDrain(): void {
    const { state } = this.#context
    if (state.membership.workers.get(this.#link.id)?.draining) this.#link.sendInOrder({ kind: 'drain', epoch: state.epoch })
  }

  /** Reports that reached the journal, but whose acknowledgement did not reach the worker, need not be sent again. */
  #acknowledgeAll(): void {
    const lanes = [...(this.#context.state.membership.workers.get(this.#link.id)?.lanes ?? [])].filter(lane => lane.done > 0)
    if (lanes.length > 0) this.#link.send({ kind: 'acknowledge', lanes: lanes.map(lane => ({ lane: lane.id, count: lane.done })) })
  }

  /** A worker that comes back may not have heard of what was cancelled meanwhile. */
  #resendCancels(): void {
    const { state } = this.#context
    for (const lane of state.membership.workers.get(this.#link.id)?.lanes ?? []) {
      for (const { stage } of lane.runs) {
        const job = stage.job.plan.job
        const cancel = { kind: 'cancel' as const, epoch: state.epoch, lane: lane.id, job }
        if (stage.job.state !== 'running') this.#link.sendInOrder({ ...cancel, stage: undefined, ranges: [] })
        else if (stage.cancelling.ranges.length > 0)
          this.#link.sendInOrder({ ...cancel, stage: stage.number, ranges: [...stage.cancelling.ranges] })
      }
    }
  }

  #heartbeat(message: Extract<WorkerToLeader, { kind: 'heartbeat' }>): void {
    const nowMs = this.#context.platform.clock.monotonicMs()
    this.detector.seen(nowMs)
    const seen = this.#context.observed.workers.get(this.#link.id)
    if (!seen) return
    const { kind: _kind, sequence: _sequence, ...said } = message
    Object.assign(seen, said, { seenMs: nowMs })
  }

  #report(message: Extract<WorkerToLeader, { kind: 'report' }>): void {
    const known = this.#context.state.tasks.lanes.get(message.lane)
    const lane = known?.worker.id === this.#link.id ? known : undefined
    let bytes = 0
    for (const outcome of message.outcomes) {
      bytes += outcomeBytes(outcome)
      const micros = outcomeMicros(outcome)
      const count = outcomeTasks(outcome)
      if (lane && micros !== undefined && count > 0) observeTasks(this.#context.observed, lane, count, micros)
    }
    const { lane: number, from, outcomes } = message
    const jitter = this.#context.platform.random.number()
    this.#context.loop.post({
      command: { kind: 'report', worker: this.#link.id, incarnation: this.#link.incarnation, lane: number, from, outcomes, jitter },
      bytes,
      reply: reply => {
        if (reply.kind !== 'done') return this.#refused(reply)
        for (const outcome of outcomes) this.#context.outbox.reported(this.#link.id, outcomeBlocks(outcome))
        // What it repeats was recorded before: it must hear so again.
        if (!lane)
          this.#link.send({
            kind: 'acknowledge',
            lanes: [{ lane: number, count: from + outcomes.reduce((sum, one) => sum + outcomeTasks(one), 0) }],
          })
      },
    })
  }

  #post(command: Parameters<LeaderContext['loop']['post']>[0]['command']): void {
    this.#context.loop.post({ command, bytes: 0, reply: reply => reply.kind !== 'done' && this.#refused(reply) })
  }

  /** It is dismissed, or it broke the protocol. */
  #refused(reply: Reply): void {
    if (reply.kind === 'dismissed') return this.#link.send({ kind: 'dismissed', reason: reply.reason })
    const error = reply.kind === 'refused' ? reply.error : new CoxswainError('FRAME_MALFORMED', 'An answer of a wrong kind.')
    this.#context.platform.log('warn', 'worker-refused', { worker: this.#link.id, code: error.code, message: error.message })
    this.#link.connection.close(`${error.code}: ${error.message}`)
  }

  async #sendProgram(request: number, program: string): Promise<void> {
    const known = this.#context.state.programs.byId.get(program)
    try {
      const bytes = known && (await this.#context.payloads.read(known.payload, () => this.#context.state.programs.byId.has(program)))
      this.#link.send({ kind: 'program', request, bytes })
    } catch (error) {
      this.#context.platform.log('error', 'program-unreadable', { program, error: String(error) })
      this.#link.send({ kind: 'program', request, bytes: undefined })
    }
  }
}

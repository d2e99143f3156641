// Owns the conversation with one client: requests become letters, queries are answered, jobs are watched.
// Must not decide about jobs: that is core's.
import { createHash } from 'node:crypto'
import type { Command, Reply } from '../core/index.ts'
import { type ClientToLeader, CoxswainError, OverloadedError, type Scope, type WireError, limits as wire } from '../protocol/index.ts'
import { scopeOf } from './access/scoped.ts'
import type { LeaderContext } from './context.ts'
import { readEntries } from './entries.ts'
import { isArchived } from './history.ts'
import type { ClientLink } from './links.ts'
import { askForLock } from './locks.ts'
import type { LogReadings } from './logs.ts'
import type { Letter } from './mailbox.ts'
import { type NodeOrder, nodeOrder } from './node-orders.ts'
import { answerView, readResults } from './queries.ts'
import { wireError } from './refusals.ts'
import { scheduleCommand } from './schedules.ts'
import { sealedSecret } from './secrets.ts'
import { readStep } from './steps.ts'
import { beginWatch } from './watching.ts'

const overloadedRetryMs = 50

function missing(job: string): CoxswainError {
  return new CoxswainError('NOT_FOUND', `There is no job ${job}.`, { id: job })
}

export class ClientSession {
  readonly #context: LeaderContext
  readonly #link: ClientLink
  readonly #logs: LogReadings
  readonly #scope: Scope | undefined

  constructor(context: LeaderContext, link: ClientLink, logs: LogReadings) {
    this.#context = context
    this.#link = link
    this.#logs = logs
    this.#scope = scopeOf(link.principal)
  }

  receive(message: ClientToLeader): void {
    if (this.#context.loop.mailbox.overrun) {
      this.#link.connection.close('OVERLOADED: the leader has more requests waiting than it can take')
      return
    }
    switch (message.kind) {
      case 'submitJobs':
        return this.#submit(message)
      case 'addTasks':
        return this.#command(message.request, message, message.inputs.items.length, true)
      case 'putProgram':
        return this.#putProgram(message)
      case 'lock':
        return this.#lock(message)
      case 'unlock':
        return this.#command(message.request, { kind: 'unlock', grant: message.grant, session: this.#link.session }, 0, false)
      case 'keepGrants':
        return void this.#keepGrants(message)
      case 'setSchedule':
      case 'changeSchedule':
      case 'triggerSchedule':
        return void this.#schedule(message)
      case 'setTrigger':
        return this.#command(message.request, message, message.submission.length, true)
      case 'setSecret':
        return this.#setSecret(message)
      case 'emit':
      case 'signal':
        return this.#command(message.request, message, message.items.length, true)
      case 'transact':
        return this.#transact(message)
      case 'readEntries':
      case 'listEntries':
        return void this.#readEntries(message)
      case 'cancelJob':
      case 'compensateJob':
        return this.#command(message.request, { ...message, kind: 'cancelJob', compensate: message.kind === 'compensateJob' }, 0, false)
      case 'rerunJob':
        return this.#command(message.request, message, 0, true)
      case 'pauseJob':
      case 'cancelTasks':
      case 'changeTrigger':
      case 'deleteSecret':
        return this.#command(message.request, message, 0, false)
      case 'drainWorker':
        return this.#command(message.request, { kind: 'drainWorker', worker: message.worker }, 0, false)
      case 'promote':
        return this.#promote(message)
      case 'releaseResults':
        return this.#post({ command: message, bytes: 0, lazy: true, reply: () => {} })
      case 'watch':
        return this.#watch(message)
      case 'unwatch':
        return this.#context.links.unwatch(this.#link, message.job)
      case 'readLogs':
        return this.#readLogs(message)
      case 'unfollow':
        return this.#logs.stop(this.#link, message.request)
      case 'ask':
      case 'readResults':
      case 'readStep':
      case 'makeJoinToken':
      case 'revokeNode':
      case 'rotateAuthority':
        void this.#answer(message)
    }
  }

  #fail(request: number, error: unknown): void {
    if (!(error instanceof CoxswainError))
      this.#context.platform.log('error', 'request-failed', { error: String(error instanceof Error ? error.stack : error) })
    this.#link.send({ kind: 'failed', request, error: wireError(error) })
  }

  #full(): OverloadedError | undefined {
    return this.#context.loop.mailbox.full
      ? new OverloadedError('The leader has as many requests waiting as it takes.', { retryAfterMs: overloadedRetryMs })
      : undefined
  }

  #post(letter: Letter): void {
    this.#context.loop.post(this.#scope ? { ...letter, scope: this.#scope } : letter)
  }

  #command(request: number, command: Command, bytes: number, refusable: boolean): void {
    const full = refusable ? this.#full() : undefined
    if (full) return this.#fail(request, full)
    this.#post({
      command,
      bytes,
      reply: reply => this.#reply(request, reply),
    })
  }

  /** The answer to what is answered as it was decided. */
  #reply(request: number, reply: Reply): void {
    if (reply.kind === 'refused') this.#fail(request, reply.error)
    else if (reply.kind === 'transacted' || reply.kind === 'emitted') this.#link.send({ ...reply, request })
    else this.#link.send({ kind: 'done', request })
  }

  #promote({ request, candidate }: Extract<ClientToLeader, { kind: 'promote' }>): void {
    const refused = this.#context.promote(candidate, () => this.#link.send({ kind: 'done', request }))
    if (refused) this.#fail(request, refused)
  }

  #putProgram(message: Extract<ClientToLeader, { kind: 'putProgram' }>): void {
    const { request, program, bytes } = message
    if (createHash('sha256').update(bytes).digest('hex') !== program) {
      return this.#fail(
        request,
        new CoxswainError('INVALID_ARGUMENT', `The bytes of program ${program} have another hash.`, { id: program }),
      )
    }
    this.#command(request, { kind: 'putProgram', program, bytes }, bytes.length, true)
  }

  #setSecret({ request, secret, value, jobs }: Extract<ClientToLeader, { kind: 'setSecret' }>): void {
    try {
      const sealed = sealedSecret(this.#context, secret, value)
      this.#command(request, { kind: 'setSecret', secret, sealed, jobs }, sealed.length, true)
    } catch (error) {
      this.#fail(request, error)
    }
  }

  #submit(message: Extract<ClientToLeader, { kind: 'submitJobs' }>): void {
    const { request, jobs } = message
    const outcomes: { job: string; existing: boolean; error: WireError | undefined }[] = jobs.map(({ plan }) => ({
      job: plan.job,
      existing: false,
      error: undefined,
    }))
    let left = jobs.length
    const answered = (): void => {
      if (--left === 0) this.#link.send({ kind: 'submitted', request, outcomes })
    }
    if (jobs.length === 0) return this.#link.send({ kind: 'submitted', request, outcomes })
    const full = this.#full()
    for (const [position, { watch, ...job }] of jobs.entries()) {
      const { plan, inputs } = job
      if (full) {
        outcomes[position]!.error = wireError(full)
        answered()
        continue
      }
      // Watched from now on, so that no result can come between the fact and the watching.
      const before = this.#link.watched.has(plan.job)
      const tellPast = watch ? beginWatch(this.#context, this.#link, plan.job) : undefined
      const bytes = inputs.reduce((sum, one) => sum + one.items.length, 0)
      const reply = (given: Reply): void => {
        if (given.kind === 'refused') {
          outcomes[position]!.error = wireError(given.error)
          // Another job of this id that it watches already goes on as before.
          if (watch && !before) this.#context.links.unwatch(this.#link, plan.job)
        }
        outcomes[position]!.existing = given.kind === 'submitted' && given.existing
        answered()
        tellPast?.()
      }
      this.#post({ command: { kind: 'submitJob', ...job }, bytes, reply })
    }
  }

  #watch(message: Extract<ClientToLeader, { kind: 'watch' }>): void {
    const { request, job } = message
    if (!this.#context.state.jobs.byId.has(job) && !isArchived(this.#context, job)) return this.#fail(request, missing(job))
    const tellPast = beginWatch(this.#context, this.#link, job)
    this.#context.loop.whenDurable(() => {
      this.#link.send({ kind: 'done', request })
      tellPast()
    })
  }

  #lock(message: Extract<ClientToLeader, { kind: 'lock' }>): void {
    const full = this.#full()
    if (full) return this.#fail(message.request, full)
    askForLock(this.#context, this.#link, message, error => this.#fail(message.request, error))
  }

  /** A leader that was deposed keeps nothing: what it says counts only once it is proven that it still led when it heard this. */
  async #keepGrants({ request, grants }: Extract<ClientToLeader, { kind: 'keepGrants' }>): Promise<void> {
    const over = this.#context.grants.keep(this.#link.session, grants)
    try {
      await this.#context.grants.leads()
      this.#link.send({ kind: 'kept', request, over })
    } catch (error) {
      this.#fail(request, error)
    }
  }

  #transact({ request, number, before, exchange, jobs }: Extract<ClientToLeader, { kind: 'transact' }>): void {
    const inputs = jobs.reduce((sum, { inputs }) => inputs.reduce((part, one) => part + one.items.length, sum), 0)
    const bytes = [...exchange.writes, ...exchange.signals].reduce((sum, { item }) => sum + (item?.length ?? 0), inputs)
    this.#command(request, { kind: 'transact', session: this.#link.session, number, before, exchange, jobs }, bytes, true)
  }

  async #schedule(message: Extract<ClientToLeader, { kind: 'setSchedule' | 'changeSchedule' | 'triggerSchedule' }>): Promise<void> {
    const { request } = message
    try {
      const command = await scheduleCommand(this.#context, message)
      const bytes = message.kind === 'setSchedule' ? message.submission.length : 0
      this.#command(request, command, bytes, true)
    } catch (error) {
      this.#fail(request, error)
    }
  }

  async #readEntries(message: Extract<ClientToLeader, { kind: 'readEntries' | 'listEntries' }>): Promise<void> {
    const { request } = message
    try {
      const full = this.#full()
      if (full) throw full
      this.#link.send({ kind: 'entries', request, ...(await readEntries(this.#context, message)) })
    } catch (error) {
      this.#fail(request, error)
    }
  }

  #readLogs(message: Extract<ClientToLeader, { kind: 'readLogs' }>): void {
    const job = this.#context.state.jobs.byId.get(message.job)
    if (!job && !isArchived(this.#context, message.job)) return this.#fail(message.request, missing(message.job))
    // Of a job that is over everything is written: there is nothing to follow.
    if (this.#logs.start(this.#link, { ...message, follow: message.follow && job?.finishedAtMs === 0 })) return
    this.#fail(
      message.request,
      new OverloadedError('The leader has as many readers of logs as it takes.', { retryAfterMs: overloadedRetryMs }),
    )
  }

  /** What is answered is durable: nobody is told of a fact that a successor may not know. */
  async #answer(message: NodeOrder | Extract<ClientToLeader, { kind: 'ask' | 'readResults' | 'readStep' }>): Promise<void> {
    const { request } = message
    try {
      if (message.kind === 'ask') {
        const body = await answerView(this.#context, this.#link, message.view, message.argument)
        if (body.length > wire.frameBytesMax / 4)
          throw new CoxswainError('FRAME_TOO_LARGE', `The answer to ${message.view} is too large: ask for less.`)
        this.#context.loop.whenDurable(() => this.#link.send({ kind: 'view', request, body }))
      } else if (message.kind === 'readStep') this.#link.send({ kind: 'stepRead', request, ...(await readStep(this.#context, message)) })
      else if (message.kind === 'readResults')
        this.#link.send({ kind: 'resultsRead', request, ...(await readResults(this.#context, message)) })
      else this.#link.send(await nodeOrder(this.#context, message))
    } catch (error) {
      this.#fail(request, error)
    }
  }
}

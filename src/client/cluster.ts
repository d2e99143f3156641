// Owns the cluster as its user holds it: run, submit, map, and what is told to it; questions about it are in questions.ts.
// Must not know how the connection was found: connect.ts does.
import { CoxswainError, type StatusView } from '../protocol/index.ts'
import { Access } from './access.ts'
import type { TaskOf } from './define.ts'
import { runFlow } from './flow/run-flow.ts'
import { isWorkflow, type WorkflowOf } from './flow/workflow.ts'
import { JobHandle } from './job-handle.ts'
import { type LockGrant, type LockOptions, Locks, type SemaphoreOptions } from './locks.ts'
import { type MapOptions, MapRun } from './map/map.ts'
import { Nodes } from './nodes.ts'
import { checkJobOptions, checkTask, type JobOptions, type Parts } from './parts.ts'
import { orAborted } from './pause.ts'
import { parseRunLimits, type RunLimits } from './policies.ts'
import { promote } from './promote.ts'
import { Questions } from './questions.ts'
import { Runner } from './run.ts'
import type { RunOptions } from './run-batch.ts'
import type { Schedule } from './schedule.ts'
import { ScheduleHandle, setSchedule } from './schedules.ts'
import { setSecret } from './secrets.ts'
import { Spaces, type StateSpace, type Transaction, type TransactOptions } from './spaces.ts'
import { prepareJob } from './submission.ts'
import { type Submission, Submitter } from './submitter.ts'
import { type EmitOptions, type Emitted, emit, signal } from './telling.ts'
import type { Trigger } from './trigger.ts'
import { setTrigger, TriggerHandle } from './triggers.ts'

/** Options of `submit`. */
export type SubmitOptions = JobOptions & RunLimits

/** Input and options of a call; a task without input is called without one. */
export type CallArguments<Input, Options> = undefined extends Input ? [input?: Input, options?: Options] : [input: Input, options?: Options]

/** What `map` yields with these options. */
export type MapItem<Output, Options> = Options extends { entries: true }
  ? [index: number, result: MapValue<Output, Options>]
  : MapValue<Output, Options>

/** A result, or with `errors: 'yield'` also an error. */
export type MapValue<Output, Options> = Options extends { errors: 'yield' } ? Output | CoxswainError : Output

/** What `map` returns: iterate it with `for await`. Leaving the loop early cancels the rest. */
export type MapResults<Item> = AsyncIterableIterator<Item> & AsyncDisposable

/** A connection to a cluster, made by `connect`. Close it, or hold it with `await using`. */
export class Cluster extends Questions implements AsyncDisposable {
  /** Users, their tokens and the audit log. */
  readonly access: Access
  readonly #parts: Parts
  readonly #submitter: Submitter
  readonly #runner: Runner
  readonly #locks: Locks
  readonly #spaces: Spaces
  readonly #close: () => Promise<void>
  /** The nodes of a cluster of several machines: their certificates, and who may join. */
  readonly nodes: Nodes
  #closing: Promise<void> | undefined

  /** @internal Made by `connect`. */
  constructor(parts: Parts, close: () => Promise<void>) {
    super(parts)
    this.#parts = parts
    this.access = new Access(parts)
    this.#close = close
    this.#submitter = new Submitter(parts)
    this.#runner = new Runner(parts, this.#submitter)
    this.#locks = new Locks(parts)
    this.nodes = new Nodes(parts)
    this.#spaces = new Spaces(parts, this.#submitter)
  }

  /** The cluster's id, made once by its first leader. */
  get id(): string {
    return this.#parts.session.cluster
  }

  /**
   * Calls a task and gives its result. Calls made in one turn travel together. The call is durable: it survives a restart of the leader,
   * and ends with this client. Rejects with TaskFailedError, SCHEMA_VIOLATION, VALUE_CANNOT_TRAVEL, OVERLOADED or the reason of `signal`.
   */
  run<Input, Output>(task: TaskOf<Input, Output> | WorkflowOf<Input, Output>, ...call: CallArguments<Input, RunOptions>): Promise<Output> {
    const [input, options = {}] = call
    if (isWorkflow(task)) return runFlow(this.#parts, task, input, options, one => this.#submit<Output>(one, 'workflow'))
    try {
      checkTask(task)
      checkJobOptions(options)
      // With limits of its own, a call is a job of its own.
      if (parseRunLimits(options)) return this.#runAlone<Output>(task as TaskOf<unknown, unknown>, input, options)
    } catch (error) {
      return Promise.reject(error)
    }
    return this.#runner.run(task, input, options) as Promise<Output>
  }

  /**
   * Submits a task as a job, and gives its handle when it is durable. It goes on without this client unless `detached` is false.
   * With `id`, the same content is the same job, however often it is submitted; other content rejects with JOB_ID_REUSED.
   */
  async submit<Input, Output>(
    task: TaskOf<Input, Output> | WorkflowOf<Input, Output>,
    ...call: CallArguments<Input, SubmitOptions>
  ): Promise<JobHandle<Output>> {
    const [input, options = {}] = call
    const submission = await prepareJob(this.#parts, task as TaskOf<unknown, unknown>, input, options, true)
    return this.#submit<Output>(submission, isWorkflow(task) ? 'workflow' : 'task')
  }

  async #submit<Output>(submission: Submission, kind: 'task' | 'workflow'): Promise<JobHandle<Output>> {
    const { plan, signal } = submission
    const submitted = this.#submitter.submit(submission)
    try {
      await orAborted(submitted, signal)
    } catch (error) {
      // It may be on its way already: then it is taken back, unless somebody else had asked for it before.
      if (signal?.aborted) {
        const takeBack = async ({ existing }: { existing: boolean }): Promise<void> => {
          if (!existing) await new JobHandle(this.#parts, plan.job, kind).cancel()
        }
        submitted.then(takeBack).catch(nothing)
      }
      throw error
    }
    return new JobHandle<Output>(this.#parts, plan.job, kind)
  }

  /**
   * Calls a task for each input, any number of them, and yields the results as they are taken: inputs are pulled only a window ahead.
   * Leaving the loop early, an error or `signal` cancels the rest. See MapOptions for order, errors, indexes and the window.
   */
  map<Input, Output, const Options extends MapOptions = Record<never, never>>(
    task: TaskOf<Input, Output>,
    inputs: Iterable<NoInfer<Input> | Promise<NoInfer<Input>>> | AsyncIterable<NoInfer<Input>>,
    options?: Options,
  ): MapResults<MapItem<Output, Options>> {
    checkTask(task)
    const source = inputs as Partial<Iterable<unknown> & AsyncIterable<unknown>> | null | undefined
    if (typeof source?.[Symbol.asyncIterator] !== 'function' && typeof source?.[Symbol.iterator] !== 'function') {
      throw new CoxswainError('INVALID_ARGUMENT', 'The inputs of map are neither an iterable nor an asynchronous one.', { id: 'inputs' })
    }
    return new MapRun(this.#parts, this.#submitter, task, inputs, options ?? {}) as MapResults<MapItem<Output, Options>>
  }

  /** The handle of a job, which need not have been submitted here. */
  job<Output = unknown>(id: string): JobHandle<Output> {
    return new JobHandle<Output>(this.#parts, id, 'unknown')
  }

  /** A task as a job of its own, which ends with this client, and its result. */
  async #runAlone<Output>(task: TaskOf<unknown, unknown>, input: unknown, options: RunOptions): Promise<Output> {
    const { signal } = options
    const submission = await prepareJob(this.#parts, task, input, options, false)
    const job = await this.#submit<Output>(submission, 'task')
    try {
      return await job.result(signal ? { signal } : {})
    } catch (error) {
      if (signal?.aborted) await job.cancel('its caller gave it up')
      throw error
    }
  }

  /**
   * Tells a workflow something: the step that waits for this name the longest gets the payload, or one that will. Resolves when that is durable. With `id`
   * the same signal counts once, however often it is sent. Rejects with NOT_FOUND, JOB_ENDED, or VALUE_CANNOT_TRAVEL.
   */
  signal(job: string, name: string, payload?: unknown, options: { id?: string } = {}): Promise<void> {
    return signal(this.#parts, job, name, payload, options.id)
  }

  /**
   * Sends an event: it starts a run of each trigger that it is for, and is given to every step that waits for it, all of it or nothing. Resolves when that is
   * durable; nobody need receive it. With `id` the same event counts once, however often it is sent. Rejects with VALUE_CANNOT_TRAVEL, INVALID_ARGUMENT, or
   * OVERLOADED where its runs are more than the cluster takes.
   */
  emit(event: string, payload?: unknown, options: EmitOptions = {}): Promise<Emitted> {
    return emit(this.#parts, this.#submitter, event, payload, options)
  }

  /**
   * Makes a trigger known to the cluster; resolves when that is durable. The same one again changes nothing; another one of its name rejects with
   * TRIGGER_CHANGED, unless `replace` is set. It goes on without this client, and outlives leaders.
   */
  on<Payload>(definition: Trigger<Payload>, options: { replace?: boolean } = {}): Promise<TriggerHandle> {
    return setTrigger(this.#parts, this.#submitter, definition as Trigger<never>, options.replace === true)
  }

  /** The handle of a trigger that is known already. */
  trigger(name: string): TriggerHandle {
    return new TriggerHandle(this.#parts, name)
  }

  /**
   * Asks for a lock, waits in its fair line, and resolves with the grant. It is this client's until it is given back, or nothing was heard of it for `ttl`.
   * Rejects with LOCK_TIMEOUT where `wait` is over, LIMIT_CONFLICT where the name is a semaphore's, OVERLOADED, or the reason of `signal`.
   */
  lock(name: string, options: LockOptions = {}): Promise<LockGrant> {
    const { mode = 'write' } = options
    if (mode !== 'write' && mode !== 'read')
      return Promise.reject(
        new CoxswainError('INVALID_ARGUMENT', `mode is ${JSON.stringify(mode)}: it is "write" or "read".`, { id: 'mode' }),
      )
    return this.#locks.lock(name, mode === 'read' ? 'read' : 'exclusive', 0, options)
  }

  /** Asks for one of the permits of a semaphore; all else as `lock`. Rejects with LIMIT_CONFLICT where others use it with another number of permits. */
  semaphore(name: string, options: SemaphoreOptions): Promise<LockGrant> {
    const { permits } = options
    if (!Number.isInteger(permits) || permits < 1)
      return Promise.reject(
        new CoxswainError('INVALID_ARGUMENT', `permits is ${permits}: it must be a whole number from 1.`, { id: 'permits' }),
      )
    return this.#locks.lock(name, 'permit', permits, options)
  }

  /** A small durable key-value space, of values that fit into a message (64 KiB). */
  state<T = unknown>(name: string): StateSpace<T> {
    return this.#spaces.state<T>(name)
  }

  /**
   * Reads and writes entries, submits jobs and checks locks, all of it at once or not at all. The function is called again where another transaction changed
   * what it read: it must do nothing else that counts. Resolves with its result when that is durable. Rejects with what it throws, TRANSACTION_CONFLICT after
   * `retries`, LOCK_LOST, JOB_ID_REUSED or OVERLOADED.
   */
  transact<Result>(body: (transaction: Transaction) => Result | Promise<Result>, options: TransactOptions = {}): Promise<Result> {
    return this.#spaces.transact(body, options)
  }

  /**
   * Makes a schedule known to the cluster; resolves when that is durable. The same one again changes nothing; another one of its name rejects with
   * SCHEDULE_CHANGED, unless `replace` is set. It goes on without this client, and outlives leaders: each tick runs once.
   */
  schedule<Input>(definition: Schedule<Input>, options: { replace?: boolean } = {}): Promise<ScheduleHandle> {
    return setSchedule(this.#parts, this.#submitter, definition, options.replace === true)
  }

  /** The handle of a schedule that is known already. */
  scheduled(name: string): ScheduleHandle {
    return new ScheduleHandle(this.#parts, name)
  }

  /**
   * Sets a secret, or another value of it; resolves when that is durable. Tasks that name it get it by `ctx.secret(name)`; with `jobs` only jobs
   * whose names begin with one of these. Rejects with SECRETS_UNAVAILABLE, INVALID_ARGUMENT or OVERLOADED.
   */
  async setSecret(name: string, value: string, options: { jobs?: readonly string[] } = {}): Promise<void> {
    await setSecret(this.#parts, name, value, options.jobs ?? [])
  }

  /** Deletes a secret; resolves when that is durable. Rejects with SECRET_UNKNOWN. */
  async deleteSecret(name: string): Promise<void> {
    await this.#parts.session.request({ kind: 'deleteSecret', secret: name })
  }

  /** Lets a worker finish what it runs and take nothing new; resolves when that is durable. */
  async drainWorker(worker: string): Promise<void> {
    await this.#parts.session.request({ kind: 'drainWorker', worker })
  }

  /**
   * Hands the leadership over to this standby; resolves with the new leader when it leads. What runs goes on. Rejects with NOT_FOUND for a
   * candidate that the cluster does not know, and with UNAVAILABLE for one that is away, far behind, or did not take over within 10 s.
   */
  promote(candidate: string): Promise<StatusView['leader']> {
    return promote(this.#parts, () => this.status(), candidate)
  }

  /** Ends the connection. Calls that are not answered reject with CONNECTION_LOST, and jobs that are not detached are cancelled. */
  close(): Promise<void> {
    const closing = this.#closing ?? this.#locks.close().then(this.#close)
    this.#closing = closing
    return closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

function nothing(): void {}

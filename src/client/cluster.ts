// Owns the cluster as its user holds it: run, submit, map, and the questions about it.
// Must not know how the connection was found: connect.ts does.
import {
  ChunkWriter,
  CoxswainError,
  encodeValue,
  type JobsQuery,
  type JobView,
  limits,
  type StatusView,
  type StoryLine,
  type TaskBlock,
  type Views,
  type WhyView,
  type WorkerView,
  writeBlockItem,
} from '../protocol/index.ts'
import { copiedSegments } from './blocks/segments.ts'
import type { TaskOf } from './define.ts'
import { FlowJobs } from './flow/flow-jobs.ts'
import { isWorkflow, type WorkflowOf } from './flow/workflow.ts'
import { addInline } from './items.ts'
import { JobHandle } from './job-handle.ts'
import { type MapOptions, MapRun } from './map/map.ts'
import { ContentHash, checkJobOptions, checkTask, type JobOptions, jobPlan, newJobId, type Parts, type Prepared } from './parts.ts'
import { orAborted, pause } from './pause.ts'
import { Runner } from './run.ts'
import type { RunOptions } from './run-batch.ts'
import { checkInput } from './schema.ts'
import { Submitter } from './submitter.ts'

/** So long a promoted standby may take to lead, and how often that is looked at. */
const promoteMsMax = 10_000
const promoteLookMs = 10

/** Options of `submit`. */
export type SubmitOptions = JobOptions

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

/** So long a full leader is asked again before the caller is told. */
const patienceMs = 60_000

/** A connection to a cluster, made by `connect`. Close it, or hold it with `await using`. */
export class Cluster implements AsyncDisposable {
  readonly #parts: Parts
  readonly #submitter: Submitter
  readonly #runner: Runner
  readonly #flows: FlowJobs
  readonly #close: () => Promise<void>
  #closing: Promise<void> | undefined

  /** @internal Made by `connect`. */
  constructor(parts: Parts, close: () => Promise<void>) {
    this.#parts = parts
    this.#close = close
    this.#submitter = new Submitter(parts)
    this.#runner = new Runner(parts, this.#submitter)
    this.#flows = new FlowJobs(parts, this.#submitter)
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
    if (isWorkflow(task)) return this.#runFlow(task as WorkflowOf<Input, Output>, input, options)
    try {
      checkTask(task)
      checkJobOptions(options)
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
    const { signal } = options
    if (isWorkflow(task)) return this.#flows.submit(task as WorkflowOf<Input, Output>, input, options, true)
    checkTask(task)
    checkJobOptions(options)
    signal?.throwIfAborted()
    const checking = task.input && checkInput(task.name, task.input, input)
    if (checking) await orAborted(checking, signal)
    const chunk = new ChunkWriter()
    const blocks: TaskBlock[] = []
    if (!addInline(chunk, input)) {
      const reference = await this.#parts.blocks.store(copiedSegments(encodeValue(input)), signal)
      blocks.push({ index: 0, ...reference })
      writeBlockItem(chunk.beginItem(), reference)
      chunk.endItem()
    }
    const prepared = this.#parts.plans.find(task) ?? (await this.#parts.plans.get(task))
    const id = options.id ?? newJobId(this.#parts.platform)
    await this.#send(id, prepared, chunk.finish(), blocks, options)
    return new JobHandle<Output>(this.#parts, id, 'task')
  }

  async #send(id: string, prepared: Prepared, items: Uint8Array, blocks: TaskBlock[], options: SubmitOptions): Promise<void> {
    const hash = new ContentHash('task', prepared.stage)
    const contentHash = (blocks[0] ? hash.addBlock(blocks[0]) : hash.add(items)).finish()
    const plan = jobPlan(id, prepared.stage, contentHash, this.#parts.session.id, options, true)
    const inputs = [{ stage: 0, first: 0, items, blocks, seal: true }]
    const { signal } = options
    const submitted = this.#submitter.submit({ plan, inputs, prepared, watch: false, signal, patienceMs })
    try {
      await orAborted(submitted, signal)
    } catch (error) {
      // It may be on its way already: then it is taken back, unless somebody else had asked for it before.
      if (signal?.aborted) {
        const takeBack = async ({ existing }: { existing: boolean }): Promise<void> => {
          if (!existing) await new JobHandle(this.#parts, id, 'task').cancel()
        }
        submitted.then(takeBack).catch(nothing)
      }
      throw error
    }
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

  /** A workflow that ends with this client, and its result. */
  async #runFlow<Input, Output>(workflow: WorkflowOf<Input, Output>, input: unknown, options: RunOptions): Promise<Output> {
    const { signal } = options
    const job = await this.#flows.submit(workflow, input, options, false)
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
  async signal(job: string, name: string, payload?: unknown, options: { id?: string } = {}): Promise<void> {
    const chunk = new ChunkWriter()
    if (!addInline(chunk, payload))
      throw new CoxswainError(
        'VALUE_CANNOT_TRAVEL',
        `The payload of signal ${name} is larger than ${limits.inlineBytesMax} bytes: send where it can be found.`,
        {
          id: name,
        },
      )
    const signal = options.id ?? this.#parts.platform.random.uuid()
    await this.#parts.session.request({ kind: 'signal', job, name, signal, items: chunk.finish() })
  }

  /** Jobs, newest first. */
  jobs(query: JobsQuery = {}): Promise<JobView[]> {
    return this.#ask('jobs', query)
  }

  /** The workers that are there. */
  workers(): Promise<WorkerView[]> {
    return this.#ask('workers', {})
  }

  /** The cluster's state: leader, candidates, workers, load, journal. */
  status(): Promise<StatusView> {
    return this.#ask('status', {})
  }

  /** All that the journal still knows about a job, task or worker, oldest first. */
  story(id: string, limit?: number): Promise<{ lines: StoryLine[]; complete: boolean }> {
    return this.#ask('story', limit === undefined ? { id } : { id, limit })
  }

  /** Why a job or task waits: the rules that hold it, with their numbers. */
  why(id: string): Promise<WhyView[]> {
    return this.#ask('why', { id })
  }

  /** Lets a worker finish what it runs and take nothing new; resolves when that is durable. */
  async drainWorker(worker: string): Promise<void> {
    await this.#parts.session.request({ kind: 'drainWorker', worker })
  }

  /**
   * Hands the leadership over to this standby; resolves with the new leader when it leads. What runs goes on. Rejects with NOT_FOUND for a
   * candidate that the cluster does not know, and with UNAVAILABLE for one that is away, far behind, or did not take over within 10 s.
   */
  async promote(candidate: string): Promise<StatusView['leader']> {
    const { session, clock } = this.#parts
    await session.request({ kind: 'promote', candidate })
    const untilMs = clock.monotonicMs() + promoteMsMax
    for (;;) {
      const { leader } = await this.status()
      if (leader.id === candidate) return leader
      if (clock.monotonicMs() > untilMs)
        throw new CoxswainError('UNAVAILABLE', `Candidate ${candidate} did not take over; ${leader.id} leads.`, { id: candidate })
      await pause(clock, promoteLookMs)
    }
  }

  async #ask<View extends keyof Views>(view: View, argument: Views[View]['argument']): Promise<Views[View]['answer']> {
    const reply = await this.#parts.session.request({ kind: 'ask', view, argument: JSON.stringify(argument) })
    return JSON.parse(reply.kind === 'view' ? reply.body : 'null') as Views[View]['answer']
  }

  /** Ends the connection. Calls that are not answered reject with CONNECTION_LOST, and jobs that are not detached are cancelled. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

function nothing(): void {}

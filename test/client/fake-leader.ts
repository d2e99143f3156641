// Owns a leader for the client's tests: it speaks the protocol over connections in memory and runs tasks by a function.
// Must not be clever: what it does with a message is in one place, and tests can take it over.
import type { Connection, ConnectionHandlers, Platform, Transport } from '../../src/platform/index.ts'
import { nextTick, nodeClock, nodeRandom } from '../../src/platform/node/index.ts'
import {
  type BlockReference,
  Chunk,
  ChunkWriter,
  type ClientToLeader,
  clientToLeader,
  decodeMessage,
  decodeValue,
  encodeMessage,
  hello,
  type JobPlan,
  type LeaderToClient,
  leaderToClient,
  limits,
  protocolVersion,
  readItem,
  type TaskFailure,
  type Welcome,
  welcome,
  writeBlockItem,
  writeValue,
} from '../../src/protocol/index.ts'

export interface FakeJob {
  plan: JobPlan
  inputs: unknown[]
  sealed: boolean
  state: 'running' | 'succeeded' | 'failed' | 'cancelled'
  released: Set<number>
  cancelledTasks: Set<number>
  results: Map<number, { value: unknown } | { block: BlockReference }>
  failures: TaskFailure[]
  reason: string
}

/** What a task comes to: a value, a block, an error to be thrown, or `pending` (never by itself). */
export type Outcome = { value: unknown } | { block: BlockReference } | { failure: Omit<TaskFailure, 'index'> } | 'pending'

const pulseMs = 50

export class FakeLeader {
  readonly token = 'the-token'
  epoch = 1
  cluster = 'cluster-1'
  release = '0.1.0'
  protocol = protocolVersion
  up = true
  pulses = true
  /** False: it takes connections and says nothing, as one that is gone without a word. */
  greets = true
  refusal: Welcome | undefined
  readonly jobs = new Map<string, FakeJob>()
  readonly programs = new Map<string, Uint8Array>()
  readonly received: ClientToLeader[] = []
  readonly connections = new Set<FakeConnection>()
  dials = 0
  /** What each task comes to. */
  run: (task: string, input: unknown, index: number) => Outcome = (_task, input) => ({ value: input })
  /** Takes a message over: true means that it was handled. */
  intercept: (message: ClientToLeader, connection: FakeConnection) => boolean = () => false
  view: (view: string, argument: unknown) => unknown = () => undefined
  #watchers: [string, () => boolean, () => void][] = []

  /** Resolves when the condition holds, looked at after every message. */
  when(what: string, condition: () => boolean): Promise<void> {
    if (condition()) return Promise.resolve()
    return new Promise(resolve => this.#watchers.push([what, condition, resolve]))
  }

  dialled(): void {
    this.dials++
    setImmediate(() => this.#look())
  }

  #look(): void {
    this.#watchers = this.#watchers.filter(([, condition, resolve]) => {
      if (!condition()) return true
      resolve()
      return false
    })
  }

  /** Ends all connections, as a crash does. */
  crash(): void {
    for (const connection of [...this.connections]) connection.end('crashed')
  }

  accept(connection: FakeConnection, frame: Uint8Array): void {
    if (!this.greets) return
    if (!connection.greeted) {
      connection.hello = decodeMessage(hello, frame)
      connection.greeted = true
      const answer: Welcome = this.refusal ?? {
        kind: 'welcome',
        protocol: this.protocol,
        release: this.release,
        cluster: this.cluster,
        epoch: this.epoch,
        leader: 'leader-1',
        pulseMs,
      }
      connection.deliver(encodeMessage(welcome, answer))
      this.#look()
      return
    }
    const message = decodeMessage(clientToLeader, frame)
    this.received.push(message)
    if (!this.intercept(message, connection)) this.handle(message, connection)
    this.#look()
  }

  handle(message: ClientToLeader, connection: FakeConnection): void {
    const done = (request: number): void => connection.send({ kind: 'done', request })
    switch (message.kind) {
      case 'putProgram':
        this.programs.set(message.program, message.bytes)
        return done(message.request)
      case 'submitJobs':
        return this.#submit(message, connection)
      case 'addTasks': {
        const job = this.jobs.get(message.job)
        if (!job) return this.fail(connection, message.request, 'NOT_FOUND')
        if (job.state !== 'running') return this.fail(connection, message.request, 'TASK_CANCELLED')
        if (message.inputs.first > job.inputs.length) return this.fail(connection, message.request, 'INVALID_ARGUMENT')
        done(message.request)
        return this.#add(job, message.inputs, connection)
      }
      case 'cancelJob': {
        const job = this.jobs.get(message.job)
        done(message.request)
        if (job?.state === 'running') this.finish(message.job, 'cancelled', message.reason)
        return
      }
      case 'cancelTasks': {
        const job = this.jobs.get(message.job)!
        for (const { first, count } of message.ranges) for (let i = first; i < first + count; i++) job.cancelledTasks.add(i)
        return done(message.request)
      }
      case 'watch': {
        const job = this.jobs.get(message.job)
        if (!job) return this.fail(connection, message.request, 'NOT_FOUND')
        connection.watched.add(message.job)
        done(message.request)
        return this.#catchUp(job, connection)
      }
      case 'unwatch':
        connection.watched.delete(message.job)
        return
      case 'releaseResults': {
        const job = this.jobs.get(message.job)
        for (const { first, count } of message.ranges) for (let i = first; i < first + count; i++) job?.released.add(i)
        return
      }
      case 'readResults':
        return this.#read(message, connection)
      case 'ask': {
        const argument = JSON.parse(message.argument) as { job?: string }
        const answer = this.view(message.view, argument) ?? (message.view === 'job' ? this.#jobView(argument.job ?? '') : undefined)
        if (answer === undefined) return this.fail(connection, message.request, 'NOT_FOUND')
        return connection.send({ kind: 'view', request: message.request, body: JSON.stringify(answer) })
      }
      default:
    }
  }

  #jobView(id: string): unknown {
    const job = this.jobs.get(id)
    if (!job) return undefined
    return {
      id,
      name: job.plan.name,
      state: job.state,
      reason: job.reason,
      stages: [{ sealed: job.sealed, tasks: { total: job.inputs.length } }],
    }
  }

  fail(connection: FakeConnection, request: number, code: string, retryAfterMs = 0): void {
    connection.send({ kind: 'failed', request, error: { code, message: `it is ${code}`, id: '', retryAfterMs } })
  }

  #submit(message: Extract<ClientToLeader, { kind: 'submitJobs' }>, connection: FakeConnection): void {
    const outcomes: Extract<LeaderToClient, { kind: 'submitted' }>['outcomes'] = []
    const after: (() => void)[] = []
    for (const { plan, inputs, watch } of message.jobs) {
      const known = this.jobs.get(plan.job)
      const refuse = (code: string): void => {
        outcomes.push({ job: plan.job, existing: false, error: { code, message: `it is ${code}`, id: plan.job, retryAfterMs: 0 } })
      }
      if (known && known.plan.contentHash !== plan.contentHash) refuse('JOB_ID_REUSED')
      else if (!known && !this.programs.has(plan.stages[0]!.program)) refuse('PROGRAM_MISSING')
      else {
        outcomes.push({ job: plan.job, existing: known !== undefined, error: undefined })
        if (watch) connection.watched.add(plan.job)
        if (known) {
          if (watch) after.push(() => this.#catchUp(known, connection))
          continue
        }
        const job: FakeJob = {
          plan,
          inputs: [],
          sealed: false,
          state: 'running',
          released: new Set(),
          cancelledTasks: new Set(),
          results: new Map(),
          failures: [],
          reason: '',
        }
        this.jobs.set(plan.job, job)
        for (const one of inputs) after.push(() => this.#add(job, one, connection))
      }
    }
    connection.send({ kind: 'submitted', request: message.request, outcomes })
    for (const one of after) one()
  }

  #add(job: FakeJob, inputs: { first: number; items: Uint8Array; seal: boolean }, _connection: FakeConnection): void {
    const chunk = new Chunk(inputs.items)
    const from = job.inputs.length
    for (let i = from - inputs.first; i < chunk.count; i++) {
      const item = readItem(chunk.item(i))
      job.inputs.push('inline' in item ? decodeValue(item.inline) : item)
    }
    if (inputs.seal) job.sealed = true
    const outcomes: [number, Outcome][] = []
    for (let index = from; index < job.inputs.length; index++)
      outcomes.push([index, this.run(job.plan.stages[0]!.task, job.inputs[index], index)])
    this.settle(job.plan.job, outcomes)
  }

  /** Gives tasks their outcomes and tells who watches. */
  settle(id: string, outcomes: readonly [number, Outcome][]): void {
    const job = this.jobs.get(id)!
    for (const [index, outcome] of outcomes) {
      if (outcome === 'pending') continue
      if ('failure' in outcome) job.failures.push({ index, ...outcome.failure })
      else job.results.set(index, outcome)
    }
    const watchers = [...this.connections].filter(connection => connection.watched.has(id))
    const fresh = outcomes.filter(([, outcome]) => outcome !== 'pending')
    for (const connection of watchers)
      this.#send(
        job,
        fresh.map(([index]) => index),
        connection,
      )
    const settled = job.results.size + job.failures.length + job.cancelledTasks.size
    if (job.sealed && settled >= job.inputs.length && job.state === 'running')
      this.finish(id, job.failures.length > 0 ? 'failed' : 'succeeded', '')
  }

  #send(job: FakeJob, indexes: readonly number[], connection: FakeConnection): void {
    let chunk = new ChunkWriter()
    let first = 0
    const flush = (): void => {
      if (chunk.count > 0) connection.send({ kind: 'results', job: job.plan.job, stage: 0, first, items: chunk.finish() })
      chunk = new ChunkWriter()
    }
    for (const index of indexes) {
      const result = job.results.get(index)
      if (!result) continue
      if (chunk.count > 0 && (index !== first + chunk.count || chunk.bytes >= limits.chunkBytesMax)) flush()
      if (chunk.count === 0) first = index
      addResult(chunk, result)
    }
    flush()
    const failures = job.failures.filter(failure => indexes.includes(failure.index))
    if (failures.length > 0) connection.send({ kind: 'tasksFailed', job: job.plan.job, stage: 0, failures })
  }

  #catchUp(job: FakeJob, connection: FakeConnection): void {
    const kept = job.inputs.map((_, index) => index).filter(index => !job.released.has(index))
    this.#send(job, kept, connection)
    if (job.state !== 'running') connection.send({ kind: 'jobChanged', job: job.plan.job, state: job.state, reason: job.reason })
  }

  #read(message: Extract<ClientToLeader, { kind: 'readResults' }>, connection: FakeConnection): void {
    const job = this.jobs.get(message.job)
    if (!job) return this.fail(connection, message.request, 'NOT_FOUND')
    const parts: { first: number; items: Uint8Array }[] = []
    const end = Math.min(message.first + message.count, job.inputs.length, message.first + 100)
    for (let index = message.first; index < end; index++) {
      const result = job.results.get(index)
      if (!result || job.released.has(index)) continue
      const chunk = new ChunkWriter()
      addResult(chunk, result)
      parts.push({ first: index, items: chunk.finish() })
    }
    const failures = job.failures.filter(({ index }) => index >= message.first && index < end)
    connection.send({
      kind: 'resultsRead',
      request: message.request,
      parts,
      failures,
      next: end < message.first + message.count && end < job.inputs.length ? end : undefined,
    })
  }

  finish(id: string, state: FakeJob['state'], reason: string): void {
    const job = this.jobs.get(id)!
    job.state = state
    job.reason = reason
    for (const connection of this.connections) {
      if (connection.watched.has(id)) connection.send({ kind: 'jobChanged', job: id, state, reason })
    }
  }
}

function addResult(chunk: ChunkWriter, result: { value: unknown } | { block: BlockReference }): void {
  const writer = chunk.beginItem()
  if ('block' in result) writeBlockItem(writer, result.block)
  else {
    writer.byte(0)
    writeValue(writer, result.value)
  }
  chunk.endItem()
}

/** The leader's end of a connection in memory. */
export class FakeConnection {
  readonly #leader: FakeLeader
  readonly #handlers: ConnectionHandlers
  readonly watched = new Set<string>()
  greeted = false
  hello: { epochSeen: number; session: string; cluster: string; name: string } | undefined
  #open = true
  readonly #pulse: NodeJS.Timeout

  constructor(leader: FakeLeader, handlers: ConnectionHandlers) {
    this.#leader = leader
    this.#handlers = handlers
    this.#pulse = setInterval(() => {
      if (this.greeted && leader.pulses) this.send({ kind: 'pulse', epoch: leader.epoch })
    }, pulseMs)
  }

  send(message: LeaderToClient): void {
    this.deliver(encodeMessage(leaderToClient, message))
  }

  deliver(frame: Uint8Array): void {
    setImmediate(() => {
      if (this.#open) this.#handlers.frame(frame)
    })
  }

  receive(frame: Uint8Array): void {
    setImmediate(() => {
      if (this.#open) this.#leader.accept(this, frame)
    })
  }

  end(reason: string, refused?: number): void {
    if (!this.#open) return
    this.#open = false
    clearInterval(this.#pulse)
    this.#leader.connections.delete(this)
    setImmediate(() => this.#handlers.closed(reason, refused))
  }
}

/** A platform whose only peer is this leader. */
export function platformOf(leader: FakeLeader): Platform {
  const transport: Transport = {
    connect(address, token, _frameBytesMax, handlers): Connection {
      leader.dialled()
      const connection = new FakeConnection(leader, handlers)
      if (!leader.up) connection.end('ECONNREFUSED')
      else if (token !== leader.token) connection.end('refused', 401)
      else {
        leader.connections.add(connection)
        setImmediate(() => handlers.opened())
      }
      return {
        send: frame => connection.receive(Buffer.from(frame)),
        bufferedBytes: 0,
        remote: address,
        pause: () => undefined,
        resume: () => undefined,
        close: reason => connection.end(reason),
      }
    },
    listen: () => Promise.reject(new Error('nobody listens here')),
  }
  const files = {} as Platform['files']
  return { clock: nodeClock, random: nodeRandom, transport, files, nextTick, log: () => undefined }
}

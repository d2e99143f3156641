// Owns a client's session over all its connections: requests until they are answered, and the jobs that are watched.
// Must not know what requests mean. Every request is idempotent, so it is sent again after a reconnect until it is answered.
import type { Cancel, Platform } from '../platform/index.ts'
import {
  type ClientToLeader,
  CoxswainError,
  clientToLeader,
  encodeMessage,
  errorFromWire,
  type LeaderToClient,
  type TaskFailure,
  Writer,
} from '../protocol/index.ts'
import { Link } from './link.ts'
import type { LinkOptions } from './link-options.ts'

/** Who wants to know what becomes of a job. */
export interface JobListener {
  results(stage: number, first: number, items: Uint8Array): void
  failures(stage: number, failures: readonly TaskFailure[]): void
  /** `result` comes with the end of a workflow that succeeded, where it is small. */
  changed(state: JobChange['state'], reason: string, result?: FlowResult): void
  progress(stage: number, index: number, fraction: number, note: string): void
  /** Nothing more will come: the session ended, or the job is not known any more. */
  lost(error: CoxswainError): void
}

/** A change of a job's state, as the leader tells it. */
export type JobChange = Extract<LeaderToClient, { kind: 'jobChanged' }>

/** The result of a workflow, as it is told with its end. */
export type FlowResult = Omit<Extract<LeaderToClient, { kind: 'workflowsEnded' }>['ends'][number], 'job'>

type WithoutRequest<T> = T extends { request: number } ? Omit<T, 'request'> : never
/** A message that is answered. */
export type Request = WithoutRequest<ClientToLeader>
/** A message that is not answered. */
export type Notice = Exclude<ClientToLeader, { request: number }> | Extract<ClientToLeader, { kind: 'unfollow' }>
/** The answer to a request. */
export type Reply = Extract<LeaderToClient, { request: number }>
/** The answer of one kind. */
export type ReplyOf<K extends Reply['kind']> = Extract<Reply, { kind: K }>

/** Who reads lines of logs. */
export interface LogReader {
  more(reply: ReplyOf<'logLines'>): void
  /** The connection was made again: all lines come once more. */
  restarted(): void
  fail(error: CoxswainError): void
}

interface Pending {
  frame: Uint8Array
  /** True: this answer was the last one. */
  answer(reply: Reply): boolean
  fail(error: CoxswainError): void
  /** It was sent again after a reconnect: an answer in several parts begins anew. */
  restarted?(): void
}

interface Watched {
  listeners: Set<JobListener>
  /** The leader has acknowledged the job, so that it can be watched again after a reconnect. */
  established: boolean
}

/** What a message has besides its payload, most of the time. */
const headBytes = 512
/** More requests than this at a time are refused: their frames are kept for sending again. */
const requestsMax = 100_000

/** A client's session: one name for the leader, over all its connections. */
export class Session {
  readonly id: string
  readonly #link: Link
  #nextRequest = 1
  readonly #pending = new Map<number, Pending>()
  readonly #watched = new Map<string, Watched>()
  #ended: CoxswainError | undefined
  #neverOpened = true
  readonly #first = Promise.withResolvers<void>()

  constructor(options: LinkOptions, platform: Platform) {
    this.id = platform.random.uuid()
    this.#first.promise.catch(nothing)
    this.#link = new Link(this.id, options, platform, {
      opened: () => this.#opened(),
      message: message => this.#receive(message),
      ended: error => this.#end(error),
    })
  }

  /** The cluster's id, empty before the first connection. */
  get cluster(): string {
    return this.#link.cluster
  }

  /** Resolves with the first welcome. */
  open(): Promise<void> {
    this.#link.start()
    return this.#first.promise
  }

  /** Ends the connection; what waits for an answer is rejected with CONNECTION_LOST. */
  close(): void {
    this.#link.end(new CoxswainError('CONNECTION_LOST', 'The connection to the cluster was closed by its user.'))
  }

  /** Sends a request until it is answered; rejects with the leader's error, or CONNECTION_LOST. */
  request(message: Request): Promise<Reply> {
    const { promise, resolve, reject } = Promise.withResolvers<Reply>()
    this.#send(message, {
      answer(reply) {
        if (reply.kind === 'failed') reject(wireError(reply.error))
        else resolve(reply)
        return true
      },
      fail: reject,
    })
    return promise
  }

  /** Asks for lines of logs, until an answer says that it was the last or the returned function is called. */
  stream(message: Request, reader: LogReader): Cancel {
    const request = this.#send(message, {
      answer(reply) {
        if (reply.kind === 'failed') reader.fail(wireError(reply.error))
        else if (reply.kind === 'logLines') {
          reader.more(reply)
          return reply.ended
        }
        return true
      },
      fail: error => reader.fail(error),
      restarted: () => reader.restarted(),
    })
    return () => {
      if (this.#pending.delete(request)) this.post({ kind: 'unfollow', request })
    }
  }

  #send(message: Request, owner: Omit<Pending, 'frame'>): number {
    const request = this.#nextRequest++
    if (this.#ended) owner.fail(this.#ended)
    else if (this.#pending.size >= requestsMax)
      owner.fail(errorFromWire('OVERLOADED', `${requestsMax} requests of this client wait for the leader.`))
    else {
      const writer = new Writer(headBytes + payloadBytes(message))
      clientToLeader.write(writer, { ...message, request } as ClientToLeader)
      const frame = writer.view()
      this.#pending.set(request, { frame, ...owner })
      this.#link.send(frame)
    }
    return request
  }

  /** Sends a message that needs no answer; without a connection it is dropped. */
  post(message: Notice): void {
    this.#link.send(encodeMessage(clientToLeader, message))
  }

  /** Tells `listener` what comes for a job from now on. The returned function ends that. */
  listen(job: string, listener: JobListener): Cancel {
    let watched = this.#watched.get(job)
    if (!watched) {
      watched = { listeners: new Set(), established: false }
      this.#watched.set(job, watched)
    }
    watched.listeners.add(listener)
    return () => {
      if (!watched.listeners.delete(listener) || watched.listeners.size > 0 || this.#watched.get(job) !== watched) return
      this.#watched.delete(job)
      if (watched.established) this.post({ kind: 'unwatch', job })
    }
  }

  /** The leader knows this job: after a reconnect it is watched again. */
  establish(job: string): void {
    const watched = this.#watched.get(job)
    if (watched) watched.established = true
  }

  #opened(): void {
    const again = [...this.#watched].filter(([, watched]) => watched.established)
    const first = this.#neverOpened
    this.#neverOpened = false
    for (const one of this.#pending.values()) {
      if (!first) one.restarted?.()
      this.#link.send(one.frame)
    }
    for (const [job, watched] of again) this.#watchAgain(job, watched)
    this.#first.resolve()
  }

  #watchAgain(job: string, watched: Watched): void {
    this.request({ kind: 'watch', job }).catch((error: CoxswainError) => {
      // An ended session tells the listeners by itself.
      if (this.#ended || this.#watched.get(job) !== watched) return
      this.#watched.delete(job)
      for (const listener of [...watched.listeners]) listener.lost(error)
    })
  }

  #receive(message: LeaderToClient): void {
    switch (message.kind) {
      case 'results':
        this.#tell(message.job, listener => listener.results(message.stage, message.first, message.items))
        break
      case 'tasksFailed':
        this.#tell(message.job, listener => listener.failures(message.stage, message.failures))
        break
      case 'jobChanged':
        this.#tell(message.job, listener => listener.changed(message.state, message.reason))
        break
      case 'workflowsEnded':
        for (const end of message.ends) this.#flowEnded(end)
        break
      case 'progress':
        this.#tell(message.job, listener => listener.progress(message.stage, message.index, message.fraction, message.note))
        break
      case 'pulse':
        break
      default: {
        const pending = this.#pending.get(message.request)
        if (pending?.answer(message)) this.#pending.delete(message.request)
      }
    }
  }

  /** The leader sends no more of this job, and forgets that it was watched. */
  #flowEnded({ job, ...result }: FlowResult & { job: string }): void {
    const watched = this.#watched.get(job)
    if (watched) watched.established = false
    this.#tell(job, listener => listener.changed('succeeded', '', result))
  }

  #tell(job: string, say: (listener: JobListener) => void): void {
    const watched = this.#watched.get(job)
    if (watched) for (const listener of [...watched.listeners]) say(listener)
  }

  #end(error: CoxswainError): void {
    this.#ended = error
    this.#first.reject(error)
    const pending = [...this.#pending.values()]
    const watched = [...this.#watched.values()]
    this.#pending.clear()
    this.#watched.clear()
    for (const one of pending) one.fail(error)
    for (const one of watched) for (const listener of [...one.listeners]) listener.lost(error)
  }
}

/** The bytes of inputs or a program in a message, so that its buffer need not grow. */
function payloadBytes(message: Request): number {
  if (message.kind === 'addTasks') return message.inputs.items.length
  if (message.kind === 'putProgram') return message.bytes.length
  if (message.kind !== 'submitJobs') return 0
  return message.jobs.reduce((sum, job) => job.inputs.reduce((bytes, inputs) => bytes + inputs.items.length, sum), 0)
}

function nothing(): void {}

function wireError(error: { code: string; message: string; id: string; retryAfterMs: number }): CoxswainError {
  const details = error.code === 'OVERLOADED' ? { retryAfterMs: error.retryAfterMs } : {}
  return errorFromWire(error.code, error.message, error.id === '' ? details : { ...details, id: error.id })
}

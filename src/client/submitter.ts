// Owns the sending of jobs: those of one turn in one message, programs that are missing, and patience with a leader that is full.
// Must not know who waits for which result.
import {
  type CoxswainError,
  errorFromWire,
  type FlowPlan,
  type Infer,
  type Inputs,
  type JobPlan,
  limits,
  OverloadedError,
  type RunPolicy,
  type StagePolicy,
  type submission,
} from '../protocol/index.ts'
import type { Parts, Prepared } from './parts.ts'
import { pause } from './pause.ts'
import type { Reply } from './session.ts'

/** A job to be sent. */
export interface Submission {
  plan: JobPlan
  inputs: Inputs[]
  /** The steps, if it is a workflow. */
  flow?: FlowPlan | undefined
  /** Limits of its stages, and of it as a whole. */
  policies?: StagePolicy[]
  run?: RunPolicy | undefined
  prepared: Prepared
  /** This client wants its results. */
  watch: boolean
  signal: AbortSignal | undefined
  /** How long OVERLOADED is answered by trying again. */
  patienceMs: number
}

/** A job as it travels. */
export function messageOf({ plan, inputs, flow, policies = [], run, watch }: Submission): Infer<typeof submission> {
  return { plan, inputs, flow, policies, run, watch }
}

/** True: the job was there already. */
export type Submitted = { existing: boolean }

interface Queued {
  submission: Submission
  bytes: number
  resolve(outcome: Submitted): void
  reject(error: unknown): void
}

/** Jobs of one message together, besides a single large one. */
const messageBytesMax = 4 << 20
const retryAfterMsDefault = 100
const programAttemptsMax = 3
/** So long a full leader is asked again for what has no job. */
const patienceMsDefault = 60_000

/** Sends jobs. */
export class Submitter {
  readonly #parts: Parts
  #queue: Queued[] = []
  #scheduled = false
  /** Programs under way to the leader. */
  readonly #sending = new Map<string, Promise<void>>()

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** Resolves when the job is durable. */
  submit(submission: Submission): Promise<Submitted> {
    return this.withPrograms([submission], () => this.#send(submission))
  }

  /** Sends what needs the programs of these jobs, with patience where the leader is full, and the programs where they are missing. */
  async withPrograms<T>(submissions: readonly Submission[], send: () => Promise<T>): Promise<T> {
    const { clock } = this.#parts
    const [first] = submissions
    const giveUpAtMs = clock.monotonicMs() + (first?.patienceMs ?? patienceMsDefault)
    let programs = 0
    for (;;) {
      first?.signal?.throwIfAborted()
      try {
        return await send()
      } catch (error) {
        const { code, retryAfterMs } = error as CoxswainError
        if (code === 'PROGRAM_MISSING' && programs++ < programAttemptsMax)
          await Promise.all(submissions.map(one => this.#sendProgram(one.prepared)))
        else if (code === 'OVERLOADED' && clock.monotonicMs() < giveUpAtMs) {
          await pause(clock, spread(this.#parts, retryAfterMs ?? retryAfterMsDefault), first?.signal)
        } else throw error
      }
    }
  }

  #send(submission: Submission): Promise<Submitted> {
    return new Promise((resolve, reject) => {
      const bytes = submission.inputs.reduce((sum, inputs) => sum + inputs.items.length, 0)
      this.#queue.push({ submission, bytes, resolve, reject })
      if (this.#scheduled) return
      this.#scheduled = true
      this.#parts.clock.soon(() => this.flush())
    })
  }

  /** Sends at once what was submitted in this turn. */
  flush(): void {
    this.#scheduled = false
    const queue = this.#queue
    this.#queue = []
    let from = 0
    while (from < queue.length) {
      let end = from
      let bytes = 0
      while (end < queue.length && end - from < limits.submitJobsMax && (end === from || bytes + queue[end]!.bytes <= messageBytesMax)) {
        bytes += queue[end++]!.bytes
      }
      this.#sendMessage(queue.slice(from, end))
      from = end
    }
  }

  #sendMessage(queued: Queued[]): void {
    const jobs = queued.map(one => messageOf(one.submission))
    this.#parts.session.request({ kind: 'submitJobs', jobs }).then(
      reply => settle(queued, reply),
      error => {
        for (const one of queued) one.reject(error)
      },
    )
  }

  /** Sends a program that the leader does not know; who needs it meanwhile waits for the same sending. */
  #sendProgram({ program }: Prepared): Promise<void> {
    let sending = this.#sending.get(program.id)
    if (!sending) {
      sending = this.#putProgram(program.id, program.bytes).finally(() => this.#sending.delete(program.id))
      this.#sending.set(program.id, sending)
    }
    return sending
  }

  async #putProgram(program: string, bytes: Uint8Array): Promise<void> {
    await this.#parts.session.request({ kind: 'putProgram', program, bytes })
  }
}

function settle(queued: readonly Queued[], reply: Reply): void {
  const outcomes = reply.kind === 'submitted' ? reply.outcomes : []
  for (const [position, one] of queued.entries()) {
    const outcome = outcomes[position]
    if (!outcome)
      one.reject(errorFromWire('FRAME_MALFORMED', 'The leader did not say what became of a job.', { id: one.submission.plan.job }))
    else if (!outcome.error) one.resolve({ existing: outcome.existing })
    else if (outcome.error.code === 'OVERLOADED')
      one.reject(new OverloadedError(outcome.error.message, { retryAfterMs: outcome.error.retryAfterMs }))
    else one.reject(errorFromWire(outcome.error.code, outcome.error.message, { id: outcome.error.id }))
  }
}

/** A pause around `delayMs`, so that many clients do not come back together. */
export function spread(parts: Parts, delayMs: number): number {
  return delayMs * (0.75 + parts.platform.random.number() / 2)
}

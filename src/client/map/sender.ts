// Owns the way of a map's inputs to the leader: chunks in order, several under way, sent again where the leader was full.
// Must not look into inputs, and must not send a chunk before the one in front of it was sent.
import { CoxswainError, type Inputs, type StagePolicy } from '../../protocol/index.ts'
import { ContentHash, type JobOptions, jobPlan, type Parts, type Prepared } from '../parts.ts'
import { pause } from '../pause.ts'
import { type Submitter, spread } from '../submitter.ts'

/** Inputs in a row on their way. */
interface Outgoing {
  /** Undefined while a block among them is being stored. */
  inputs: Inputs | undefined
}

/** What the sender is made with. */
export interface SenderOptions {
  parts: Parts
  submitter: Submitter
  prepared: Prepared
  job: string
  options: JobOptions
  /** Limits of its tasks. */
  policies: StagePolicy[]
  /** The map cannot go on. */
  failed(error: unknown): void
  /** The leader acknowledged inputs. */
  acknowledged(): void
}

const underWayMax = 8
const retryAfterMsDefault = 100

/** Chunks of one map's inputs. */
export class Sender {
  readonly #options: SenderOptions
  /** Not yet acknowledged, in order. */
  readonly #outgoing: Outgoing[] = []
  /** How many of these were sent. */
  #sent = 0
  #underWay = 0
  #acknowledged = new Set<Outgoing>()
  #state: 'new' | 'submitting' | 'open' | 'full' | 'closed' = 'new'
  #retryAfterMs = 0
  /** The leader knows the job. */
  submitted = false

  constructor(options: SenderOptions) {
    this.#options = options
  }

  /** Chunks that the leader has not acknowledged. */
  get waiting(): number {
    return this.#outgoing.length
  }

  /** Sends inputs behind those added before; a promise keeps their place. */
  add(inputs: Inputs | Promise<Inputs>): void {
    if (!(inputs instanceof Promise)) {
      this.#outgoing.push({ inputs })
      this.#send()
      return
    }
    const outgoing: Outgoing = { inputs: undefined }
    this.#outgoing.push(outgoing)
    inputs.then(
      made => {
        outgoing.inputs = made
        this.#send()
      },
      error => this.#fail(error),
    )
  }

  close(): void {
    this.#state = 'closed'
    this.#outgoing.length = 0
  }

  #fail(error: unknown): void {
    if (this.#state === 'closed') return
    this.close()
    this.#options.failed(error)
  }

  #send(): void {
    if (this.#state === 'new') {
      const first = this.#outgoing[0]?.inputs
      if (first) this.#submit(first)
      return
    }
    if (this.#state !== 'open') return
    while (this.#underWay < underWayMax) {
      const outgoing = this.#outgoing[this.#sent]
      if (!outgoing?.inputs) return
      this.#sent++
      this.#sendOne(outgoing, outgoing.inputs)
    }
  }

  #submit(inputs: Inputs): void {
    const { parts, submitter, prepared, job, options, policies } = this.#options
    this.#state = 'submitting'
    // What the inputs will be is not known: the same id with the same task and policy is the same job.
    const contentHash = new ContentHash('map', prepared.stage, policies[0]).finish()
    const plan = jobPlan(job, prepared.stage, contentHash, parts.session.id, options, false)
    const patienceMs = Number.POSITIVE_INFINITY
    submitter.submit({ plan, inputs: [inputs], policies, prepared, watch: true, signal: options.signal, patienceMs }).then(
      ({ existing }) => {
        if (this.#state === 'closed') return
        parts.session.establish(job)
        this.submitted = true
        this.#state = 'open'
        // A job that was there already may lack these inputs: they are added, which changes nothing where it has them.
        if (!existing) this.#outgoing.shift()
        this.#options.acknowledged()
        this.#send()
      },
      error => this.#fail(error),
    )
    submitter.flush()
  }

  #sendOne(outgoing: Outgoing, inputs: Inputs): void {
    this.#underWay++
    this.#options.parts.session.request({ kind: 'addTasks', job: this.#options.job, inputs }).then(
      () => {
        this.#underWay--
        this.#acknowledged.add(outgoing)
        this.#forget()
        if (this.#state === 'full') this.#afterFull()
        else if (this.#state === 'open') this.#send()
        this.#options.acknowledged()
      },
      error => {
        this.#underWay--
        this.#refused(error)
      },
    )
  }

  /** Acknowledgements come in order, besides those behind a refused chunk. */
  #forget(): void {
    while (this.#outgoing.length > 0 && this.#acknowledged.delete(this.#outgoing[0]!)) {
      this.#outgoing.shift()
      this.#sent--
    }
  }

  #refused(error: unknown): void {
    if (this.#state === 'closed') return
    // The job has ended, and how is told to those who watch it: nothing more needs to be sent.
    if (error instanceof CoxswainError && error.code === 'TASK_CANCELLED') {
      this.close()
      return
    }
    const overloaded = error instanceof CoxswainError && error.code === 'OVERLOADED'
    // Behind a chunk that was not taken, the next ones do not fit: that is no failure of theirs.
    if (!overloaded && this.#state !== 'full') {
      this.#fail(error)
      return
    }
    if (overloaded) this.#retryAfterMs = Math.max(this.#retryAfterMs, error.retryAfterMs ?? retryAfterMsDefault)
    this.#state = 'full'
    this.#afterFull()
  }

  /** When everything under way was answered, the first chunk not taken and all behind it are sent again. */
  #afterFull(): void {
    if (this.#underWay > 0) return
    const { parts, options } = this.#options
    const delayMs = spread(parts, this.#retryAfterMs)
    this.#retryAfterMs = 0
    pause(parts.clock, delayMs, options.signal).then(
      () => {
        if (this.#state !== 'full') return
        this.#state = 'open'
        this.#sent = 0
        this.#acknowledged.clear()
        this.#send()
      },
      error => this.#fail(error),
    )
  }
}

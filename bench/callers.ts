// Owns a load of short calls, and of submits one after the other, while something is done to the leader.
// Must not let a failed call, a wrong result or a lost job pass: it throws the first one.
import type { Cluster, JobHandle } from '../src/index.ts'
import { pause } from './pause.ts'
import { noop } from './tasks.ts'

const callers = 4
/** Between two calls of one caller, and between two submits while nothing is measured. */
const pauseMs = 10

/** A load that begins when it is made. */
export class Callers {
  readonly #client: Cluster
  readonly #prober: Cluster
  readonly #parts: Promise<unknown>
  #stopped = false
  #measured = false
  #lastMs = performance.now()
  #longestMs = 0
  #heard = Promise.withResolvers<void>()
  #unchecked: { job: JobHandle<number>; input: number }[] = []
  /** Calls that were answered, and jobs that were acknowledged and have given their result. */
  calls = 0
  jobs = 0

  /** `prober` submits, `client` calls: two connections to one cluster. */
  constructor(client: Cluster, prober: Cluster) {
    this.#client = client
    this.#prober = prober
    this.#parts = Promise.all([this.#submit(), ...Array.from({ length: callers }, () => this.#call())])
    // Whoever waits for them is told later.
    this.#parts.catch(() => undefined)
  }

  async #call(): Promise<void> {
    for (let input = 0; !this.#stopped; input++) {
      const result = await this.#client.run(noop, input)
      if (result !== input) throw new Error(`call ${input} gave ${result}`)
      this.calls++
      await pause(pauseMs)
    }
  }

  async #submit(): Promise<void> {
    for (let input = 0; !this.#stopped; input++) {
      const job = await this.#prober.submit(noop, input)
      const nowMs = performance.now()
      this.#longestMs = Math.max(this.#longestMs, nowMs - this.#lastMs)
      this.#lastMs = nowMs
      this.#unchecked.push({ job, input })
      this.#heard.resolve()
      this.#heard = Promise.withResolvers<void>()
      if (!this.#measured) await pause(pauseMs)
      this.#lastMs = this.#measured ? nowMs : performance.now()
    }
  }

  /** Resolves at the next acknowledgement; throws what went wrong with the load before that. */
  async #acknowledged(): Promise<void> {
    await Promise.race([this.#heard.promise, this.#parts])
  }

  /** The longest pause between two acknowledgements while this is done, up to the first one behind it. Then all jobs so far are checked. */
  async longestPauseMs(act: () => Promise<void>): Promise<number> {
    this.#measured = true
    await this.#acknowledged()
    this.#longestMs = 0
    await act()
    await this.#acknowledged()
    this.#measured = false
    const longestMs = this.#longestMs
    await this.#check()
    return longestMs
  }

  async #check(): Promise<void> {
    const jobs = this.#unchecked.splice(0)
    await Promise.all(
      jobs.map(async ({ job, input }) => {
        const result = await job.result()
        if (result !== input) throw new Error(`job ${job.id} gave ${result} instead of ${input}`)
      }),
    )
    this.jobs += jobs.length
  }

  /** No more calls; resolves when all were answered and all jobs were checked. */
  async stop(): Promise<void> {
    this.#stopped = true
    await this.#parts
    await this.#check()
    await this.#prober.close()
  }
}

// Owns the load of a drill: a probe that submits one job after the other, callers, one map, and a witness that runs across all faults.
// Must not do harm: it only calls and checks what comes back.
import type { Cluster, JobHandle } from '../../client/index.ts'
import { CoxswainError } from '../../protocol/index.ts'
import { limited } from './limited.ts'
import { drillCall, drillWitness, type Effect } from './tasks.ts'

const callers = 4
/** Between two calls of one caller, and between two submits while nothing is broken: few jobs are made, since they push out the user's finished ones. */
const callPauseMs = 25
const submitPauseMs = 50
/** Inputs of a map are all one job. */
const mapPauseMs = 10
/** So long the probe may be without an answer, and an acknowledged job or the end of all calls may take. */
const hearMsMax = 60_000
const resultMsMax = 30_000
/** So long it is waited for calls that were given up. */
const abandonMsMax = 5_000
/** What is told of failures; all are counted. */
const troublesMax = 10

/** What came of the load. */
export interface LoadCounts {
  calls: number
  failed: number
  wrong: number
  acknowledged: number
  lost: number
}

/** The load of one drill. */
export class Load {
  readonly counts: LoadCounts = { calls: 0, failed: 0, wrong: 0, acknowledged: 0, lost: 0 }
  /** The first failures, in words. */
  readonly troubles: string[] = []
  readonly #cluster: Cluster
  readonly #probe: Cluster
  readonly #trace: string
  readonly #gate: string
  readonly #id: string
  readonly #signal: AbortSignal
  /** Ends what is under way. */
  readonly #abandoned = new AbortController()
  readonly #parts: Promise<unknown>[] = []
  /** Moments at which submits were acknowledged, with the moments at which they began. */
  readonly acknowledgements: { beganMs: number; atMs: number }[] = []
  #unchecked: { job: JobHandle<number>; value: number }[] = []
  #stopped = false
  #urgent = false
  #next = 0
  #awake: () => void = () => {}

  constructor(cluster: Cluster, probe: Cluster, files: { trace: string; gate: string; id: string }, signal: AbortSignal) {
    this.#cluster = cluster
    this.#probe = probe
    this.#trace = files.trace
    this.#gate = files.gate
    this.#id = files.id
    this.#signal = signal
  }

  #effect(kind: string): Effect {
    const value = this.#next++
    return { trace: this.#trace, key: `${kind}-${value}`, value }
  }

  /** Begins; `witness`: there is room for a call that runs across everything. */
  start(witness: boolean): void {
    if (witness) {
      const effect = this.#effect('witness')
      const ran = this.#cluster.run(drillWitness, { ...effect, gate: this.#gate }, { signal: this.#abandoned.signal })
      this.#parts.push(this.#checked(effect.value * 2, ran, 'the witness'))
    }
    for (let at = 0; at < callers; at++) this.#parts.push(this.#call())
    this.#parts.push(this.#map(), this.#submit())
  }

  async #checked(expected: number, outcome: Promise<number>, what: string): Promise<void> {
    this.counts.calls++
    try {
      const value = await outcome
      if (value === expected) return
      this.counts.wrong++
      this.#trouble(`${what} gave ${value} instead of ${expected}`)
    } catch (error) {
      this.counts.failed++
      this.#trouble(`${what}: ${(error as Error).message}`)
    }
  }

  #trouble(text: string): void {
    if (this.troubles.length < troublesMax) this.troubles.push(text)
  }

  async #call(): Promise<void> {
    while (!this.#stopped) {
      const effect = this.#effect('call')
      await this.#checked(effect.value * 2, this.#cluster.run(drillCall, effect, { signal: this.#abandoned.signal }), effect.key)
      await pause(callPauseMs)
    }
  }

  async #map(): Promise<void> {
    const expected: number[] = []
    const effects = async function* (this: Load): AsyncGenerator<Effect> {
      while (!this.#stopped) {
        const effect = this.#effect('map')
        expected.push(effect.value * 2)
        yield effect
        await pause(mapPauseMs)
      }
    }
    this.counts.calls++
    try {
      let at = 0
      for await (const value of this.#cluster.map(drillCall, effects.call(this), { signal: this.#abandoned.signal })) {
        if (value !== expected[at++]) {
          this.counts.wrong++
          this.#trouble(`result ${at - 1} of the map is ${value} instead of ${expected[at - 1]}`)
        }
      }
      if (at !== expected.length) throw new Error(`${at} results for ${expected.length} inputs`)
    } catch (error) {
      this.counts.failed++
      this.#trouble(`the map: ${(error as Error).message}`)
    }
  }

  async #submit(): Promise<void> {
    while (!this.#stopped) {
      const effect = this.#effect('submit')
      const beganMs = performance.now()
      this.counts.calls++
      try {
        const id = `${this.#id}-${effect.value}`
        const job = await this.#probe.submit(drillCall, effect, { id, signal: this.#abandoned.signal })
        this.acknowledgements.push({ beganMs, atMs: performance.now() })
        this.counts.acknowledged++
        this.#unchecked.push({ job, value: effect.value * 2 })
      } catch (error) {
        this.counts.failed++
        this.#trouble(`${effect.key}: ${(error as Error).message}`)
      }
      this.#awake()
      // A lone pause is cut short by nobody: while a fault is measured there is none.
      if (!this.#urgent) await pause(submitPauseMs)
    }
  }

  /** From now on the probe makes no pauses, or makes them again. */
  set urgent(urgent: boolean) {
    this.#urgent = urgent
  }

  /** Resolves at the next acknowledgement, or failure, of the probe; rejects with UNAVAILABLE where there is neither for long. */
  heard(): Promise<void> {
    const next = new Promise<void>(resolve => {
      this.#awake = resolve
    })
    return limited(next, hearMsMax, this.#signal, 'no write was acknowledged and none failed')
  }

  /** Checks every job that was acknowledged and was not checked yet: it is known, and has its result. */
  async check(): Promise<void> {
    const jobs = this.#unchecked
    this.#unchecked = []
    await Promise.all(
      jobs.map(async ({ job, value }) => {
        try {
          if ((await this.#resultOf(job)) === value) return
          this.counts.wrong++
          this.#trouble(`job ${job.id} has a wrong result`)
        } catch (error) {
          if (this.#signal.aborted || error instanceof Unfinished) throw error
          this.counts.lost++
          this.#trouble(`job ${job.id}, which was acknowledged: ${(error as Error).message}`)
        }
      }),
    )
  }

  /** A job's result; a job that is known and has none for long is not lost, and nothing can be said about it. */
  async #resultOf(job: JobHandle<number>): Promise<number> {
    try {
      return await limited(job.result(), resultMsMax, this.#signal, 'it had no result')
    } catch (error) {
      if (this.#signal.aborted || !(error instanceof CoxswainError) || error.code !== 'UNAVAILABLE') throw error
      const { state } = await limited(job.status(), resultMsMax, this.#signal, 'nobody said what became of it')
      if (state !== 'running') throw error
      throw new Unfinished(job.id)
    }
  }

  /** No more calls; resolves when all are answered. The witness ends when the gate is open. */
  async stop(): Promise<void> {
    this.#stopped = true
    await limited(Promise.all(this.#parts), hearMsMax, this.#signal, 'not all calls of the drill came to an end')
    await this.check()
  }

  /** Gives up what is under way, also in the cluster; nothing after a `stop` that went well. */
  async abandon(): Promise<void> {
    this.#stopped = true
    this.#abandoned.abort(new CoxswainError('INTERRUPTED', 'The drill has ended.'))
    await Promise.race([Promise.all(this.#parts), pause(abandonMsMax)])
  }
}

/** The cluster is too busy to be drilled. */
class Unfinished extends CoxswainError {
  constructor(job: string) {
    super('UNAVAILABLE', `Job ${job} of the drill is known, but had no result for ${resultMsMax / 1000} s: the cluster is too busy.`, {
      id: job,
    })
  }
}

function pause(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms))
}

// Owns the load of a chaos run: submits, submits again, cancels and questions, calls, a map, and a witness that runs across all faults; all traced.
// Must not judge what comes back: it writes it down.
import { join } from 'node:path'
import type { Call } from '../../simulator/history.ts'
import { resultOf } from '../../simulator/world/fates.ts'
import { type Cluster, CoxswainError } from '../../src/index.ts'
import { monotonicMs, type Trace } from '../trace/events.ts'
import type { Watcher } from '../trace/watcher.ts'
import { type ChaosFate, chaosTask } from './tasks.ts'

const callers = 3
/** Between two calls of one caller: a takeover has something to do, and two small cores can follow. */
const pauseMs = 15
/** However slow the machine is: what was not acknowledged by then will not be. */
const moreMsMax = 60_000
/** One in so many submits is asked for twice, is cancelled, fails, or is asked about. */
const again = 7
const cancelled = 11
const failing = 13
const asked = 5

interface Submitted {
  id: string
  key: string
  fails: boolean
}

/** Where a load leaves its files. */
export interface LoadFiles {
  /** Executors' lines of the trace. */
  tasks: string
  /** The file that ends the witnesses. */
  gate: string
}

/** The load of one run. */
export class Load {
  readonly #client: Cluster
  readonly #trace: Trace
  readonly #watcher: Watcher
  readonly #files: LoadFiles
  readonly #name: string
  readonly #parts: Promise<void>[] = []
  readonly #submitted: Submitted[] = []
  #calls = 0
  #writes = 0
  #stopped = false
  /** Submits that were acknowledged. */
  acknowledged = 0

  /** `name`: jobs of loads with other names are others. */
  constructor(name: string, client: Cluster, trace: Trace, watcher: Watcher, folder: string) {
    this.#name = name
    this.#client = client
    this.#trace = trace
    this.#watcher = watcher
    this.#files = { tasks: join(folder, 'tasks.jsonl'), gate: join(folder, `${name}-gate`) }
  }

  get files(): LoadFiles {
    return this.#files
  }

  start(options: { witnesses?: number; map?: boolean } = {}): void {
    for (let i = 0; i < (options.witnesses ?? 1); i++) {
      const key = `${this.#name}-witness-${i}`
      this.#parts.push(this.#run(key, { ...this.#fate(key), gate: this.#files.gate }))
    }
    for (let i = 0; i < callers; i++) this.#parts.push(this.#call(i))
    this.#parts.push(this.#submit())
    if (options.map !== false) this.#parts.push(this.#map())
  }

  #fate(key: string): ChaosFate {
    return { key, ms: 1, trace: this.#files.tasks }
  }

  /** Makes one call and writes down how it began and ended. */
  async #traced<T>(
    op: Call['operation'],
    job: string,
    key: string,
    work: () => Promise<T>,
    value?: (answer: T) => unknown,
  ): Promise<T | undefined> {
    const call = ++this.#calls * 1000 + callNumberOf(this.#name)
    this.#trace.write({ ev: 'cl.inv', call, op, job, key })
    try {
      const answer = await work()
      const t = monotonicMs()
      const seqSeen = await this.#watcher.lastIndex()
      this.#trace.write({ ev: 'cl.ok', call, ...(value && { value: value(answer) }), ...(seqSeen !== undefined && { seqSeen }) }, t)
      return answer
    } catch (error) {
      const code = error instanceof CoxswainError ? error.code : String(error)
      this.#trace.write({ ev: 'cl.fail', call, code })
      return undefined
    }
  }

  async #run(key: string, fate: ChaosFate): Promise<void> {
    await this.#traced(
      'run',
      '',
      key,
      () => this.#client.run(chaosTask, fate),
      answer => answer,
    )
  }

  async #call(caller: number): Promise<void> {
    for (let i = 0; !this.#stopped; i++) {
      const key = `${this.#name}-call-${caller}-${i}`
      await this.#run(key, this.#fate(key))
      await pause()
    }
  }

  async #submit(): Promise<void> {
    for (let i = 0; !this.#stopped; i++) {
      const id = `${this.#name}-submit-${i}`
      const key = `${id}-task`
      const fails = i % failing === failing - 1
      const cancels = i % cancelled === cancelled - 1
      const fate = { ...this.#fate(key), ...(fails && { fails: Number.MAX_SAFE_INTEGER }), ...(cancels && { ms: 50 }) }
      this.#trace.write({ ev: 'expect', job: id, keys: [key], ends: fails ? 'failed' : 'succeeded', mayBeCancelled: cancels })
      const submit = (): Promise<unknown> => this.#traced('submit', id, key, () => this.#client.submit(chaosTask, fate, { id }))
      // A submit that is not answered is asked for again under its id, as any client may.
      if ((await submit()) === undefined && (await submit()) === undefined) {
        await pause()
        continue
      }
      this.acknowledged++
      if (i % again === 0) await submit()
      if (cancels) await this.#traced('cancel', id, key, () => this.#client.job(id).cancel())
      else this.#submitted.push({ id, key, fails })
      if (i % asked === 0)
        await this.#traced(
          'status',
          id,
          key,
          () => this.#client.job(id).status(),
          answer => answer.state,
        )
      await pause()
    }
  }

  async #map(): Promise<void> {
    const keys: string[] = []
    const fates = async function* (this: Load): AsyncGenerator<ChaosFate> {
      while (!this.#stopped) {
        const key = `${this.#name}-map-${keys.length}`
        keys.push(key)
        yield this.#fate(key)
        await pause()
      }
    }
    await this.#traced('map', '', '', async () => {
      let at = 0
      for await (const value of this.#client.map(chaosTask, fates.call(this)))
        if (value !== resultOf(keys[at++]!)) throw new Error('WRONG_VALUE')
      if (at !== keys.length) throw new Error('WRONG_VALUE')
    })
  }

  /** One submit more, asked for again until it is acknowledged: how long that took. */
  async writeMs(): Promise<number> {
    const id = `${this.#name}-write-${++this.#writes}`
    const key = `${id}-task`
    const startedMs = monotonicMs()
    let tookMs = 0
    this.#trace.write({ ev: 'expect', job: id, keys: [key], ends: 'succeeded', mayBeCancelled: false })
    const submit = (): Promise<unknown> =>
      this.#traced('submit', id, key, async () => {
        const job = await this.#client.submit(chaosTask, this.#fate(key), { id })
        tookMs = monotonicMs() - startedMs
        return job
      })
    while ((await submit()) === undefined) await pause()
    this.#submitted.push({ id, key, fails: false })
    return tookMs
  }

  /** One call more: how long its task took to be done, queue and all. */
  async taskMs(): Promise<number> {
    const key = `${this.#name}-task-${++this.#writes}`
    const startedMs = monotonicMs()
    await this.#run(key, this.#fate(key))
    return monotonicMs() - startedMs
  }

  /** Resolves when so many submits more are acknowledged; throws if that takes too long. */
  async more(count: number): Promise<void> {
    const due = this.acknowledged + count
    const untilMs = monotonicMs() + moreMsMax
    while (this.acknowledged < due && !this.#stopped) {
      if (monotonicMs() > untilMs) throw new Error(`waited in vain for ${count} submits more to be acknowledged`)
      await pause()
    }
  }

  /** No more calls. Opens the gate, and resolves when all calls are answered and each acknowledged job gave its result. */
  async stop(openGate: (path: string) => void): Promise<void> {
    this.#stopped = true
    openGate(this.#files.gate)
    await Promise.all(this.#parts)
    for (const { id, key, fails } of this.#submitted) {
      if (fails) continue
      await this.#traced(
        'run',
        id,
        key,
        () => this.#client.job<string>(id).result(),
        answer => answer,
      )
    }
  }
}

/** So that the calls of two loads have other numbers. */
function callNumberOf(name: string): number {
  let number = 0
  for (const character of name) number = (number * 31 + character.charCodeAt(0)) % 1000
  return number
}

function pause(): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, pauseMs))
}

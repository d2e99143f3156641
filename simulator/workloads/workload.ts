// Owns what a workload is: what one client does over all its lives, and what it writes down of it.
// Must not know how clusters work: it is a user's program.
import type { Cluster } from '../../src/client/index.ts'
import type { Call, Expected, GrantSeen, History, SharedCall, SharedInput } from '../history.ts'
import type { Boot, Kernel } from '../kernel/kernel.ts'
import { RandomStream } from '../kernel/random.ts'
import type { FaultKind } from '../scenario.ts'
import { type Fate, resultOf } from '../world/fates.ts'
import type { ClientNode } from '../world/nodes.ts'

/** A user's program in one client. `live` is called in each life of it, until `done`. */
export interface Workload {
  readonly done: boolean
  live(tools: Tools): Promise<void>
}

/** Makes a workload for a client; `name` is its own, `random` its own chance. */
export type WorkloadMaker = (name: string, random: RandomStream) => Workload

/** Codes with which a call may be answered that does not go on because its client is gone, or the cluster is full for long. */
const excused = new Set(['OVERLOADED', 'CONNECTION_LOST'])

/** Faults that keep a client from being heard, and how long one of them has to last to make it ten seconds. */
const silencing: ReadonlySet<FaultKind> = new Set(['pause', 'cut-in', 'cut-out', 'clog'])
const awayMs = 3000

/** A call was refused, with a code that its caller expects. */
export class Gone {
  readonly code: string

  constructor(code: string) {
    this.code = code
  }
}

export class Tools {
  readonly client: ClientNode
  readonly random: RandomStream
  readonly history: History
  readonly #kernel: Kernel
  readonly #boot: Boot
  #marks = 0

  constructor(client: ClientNode, history: History, label: string) {
    this.client = client
    this.history = history
    this.#kernel = client.world.kernel
    this.#boot = client.sim.boot!
    this.random = new RandomStream(this.#kernel.seed, `${label} ${this.#boot.number}`)
  }

  get cluster(): Cluster {
    return this.client.cluster!
  }

  get nowMs(): number {
    return this.#kernel.nowMs
  }

  /** A name that is given once in this life. */
  mark(): string {
    return `${this.#boot.number}.${++this.#marks}`
  }

  pause(ms: number): Promise<void> {
    return new Promise(resolve => {
      this.#kernel.at(this.#boot, ms, 'timer', resolve)
    })
  }

  /** A task of this fate is asked for. */
  fate(fate: Fate): Fate {
    this.history.fates.set(fate.key, fate)
    return fate
  }

  /** A job is about to be asked for. */
  expect(expected: Expected): void {
    if (!this.history.expected.has(expected.job)) this.history.expected.set(expected.job, expected)
    for (const fate of expected.fates) this.fate(fate)
  }

  /** The end of a job will not be as expected. */
  mayBeCancelled(job: string): void {
    const expected = this.history.expected.get(job)
    if (expected) expected.mayBeCancelled = true
  }

  /** Writes down a call and its answer. Gives the value, or undefined where it was refused. */
  async call<T>(operation: Call['operation'], job: string, key: string, ask: () => Promise<T>): Promise<T | undefined> {
    const call: Call = { node: this.client.name, operation, job, key, startedMs: this.nowMs }
    this.history.calls.push(call)
    try {
      const value = await ask()
      call.endedMs = this.nowMs
      call.value = value
      this.history.probe('answered')
      return value
    } catch (error) {
      const code = (error as { code?: string }).code
      if (code === undefined) throw error
      call.code = code
      if (code === 'CONNECTION_LOST') return undefined
      call.endedMs = this.nowMs
      this.history.probe(`refused ${code}`)
      return undefined
    }
  }

  /** A call about shared entries: without an answer it may have taken effect; one that was refused did not. */
  async share<I extends SharedInput>(input: I, ask: (input: I) => Promise<unknown>): Promise<void> {
    const call: SharedCall = { input, startedMs: this.nowMs }
    const effects = input.kind !== 'read'
    if (effects) this.history.shared.push(call)
    const answer = await this.excused(() => ask(input), ['TRANSACTION_CONFLICT'])
    if (answer instanceof Gone) {
      // What was surely not done is no call at all; nobody knows that of one whose connection is lost.
      if (effects && answer.code !== 'CONNECTION_LOST') this.history.shared.splice(this.history.shared.indexOf(call), 1)
      return
    }
    call.endedMs = this.nowMs
    if (!effects) this.history.shared.push(call)
    this.history.probe('entries shared')
  }

  /** The answer of a call that may be refused because of what happens to the cluster, or with one of these codes. */
  async excused<T>(ask: () => Promise<T>, codes: readonly string[] = []): Promise<T | Gone> {
    try {
      return await ask()
    } catch (error) {
      const { code } = error as { code?: string }
      if (code === undefined) throw error
      if (!excused.has(code) && !codes.includes(code)) this.history.violate('L3', `a call was answered with ${String(error)}`, this.nowMs)
      return new Gone(code)
    }
  }

  /** The client believes now that it holds what it was granted. */
  believe(grant: GrantSeen): void {
    this.history.beliefs.push({ grant, atMs: this.nowMs })
  }

  /** Runs one call of a task, and holds its answer to the task's fate. */
  async judge(job: string, fate: Fate, retries: number, ask: () => Promise<unknown>): Promise<void> {
    const call: Call = { node: this.client.name, operation: 'run', job, key: fate.key, startedMs: this.nowMs }
    this.history.calls.push(call)
    const bad = fate.poison || fate.exits || fate.hangs
    // A lost attempt counts as one that failed, so it may end well all the same.
    const mayFail = bad || (fate.fails ?? 0) > retries
    try {
      const value = await ask()
      call.endedMs = this.nowMs
      call.value = value
      this.history.probe('answered')
      if (bad) this.history.violate('S9', `${fate.key} cannot end well, and gave ${JSON.stringify(value)}`, this.nowMs)
      else if (value !== resultOf(fate.key)) this.history.violate('S9', `${fate.key} gave ${JSON.stringify(value)}`, this.nowMs)
    } catch (error) {
      const code = (error as { code?: string }).code
      if (code === undefined) throw error
      call.code = code
      call.endedMs = this.nowMs
      this.history.probe(`refused ${code}`)
      if (!mayFail && !excused.has(code) && !this.#dies(code) && !this.#wasAway(code))
        this.history.violate('S9', `${fate.key} was answered with ${code}`, this.nowMs)
    }
  }

  /** Calls of a client that nobody hears for ten seconds end. A dial that began while it was cut off ends only some seconds after that. */
  #wasAway(code: string): boolean {
    return code === 'TASK_CANCELLED' && this.client.world.scenario.faults.some(one => silencing.has(one.kind) && one.forMs > awayMs)
  }

  /** Innocent tasks may be quarantined where workers or executors die under them again and again. */
  #dies(code: string): boolean {
    return code === 'TASK_POISONED' || code === 'TASK_CRASHED'
  }
}

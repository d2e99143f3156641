// Owns the kill in the middle of the demo: it waits for some results and for a standby, kills the leader, and sees who leads then.
// Must not kill at the edge: the last input is held back until the leader is dead, so that there is always something left to do.
import type { Cluster } from '../../client/index.ts'
import { CoxswainError, type StatusView } from '../../protocol/index.ts'
import { countText, durationText, harmless } from '../output/text.ts'
import type { Home } from '../state/home.ts'
import { leaderProcess } from '../state/leader-process.ts'
import { lives, signalProcess } from '../state/processes.ts'

/** So long a standby that still starts is waited for, and so long the next leader. */
const waitMsMax = 30_000
const lookEveryMs = 10
/** A standby that is so many records behind is there. */
const lagMax = 1000
/** Of a folder that is still being walked nobody knows the middle: after so many results it is not the beginning any more. */
const resultsMax = 200

/** What the death of the leader cost, as --json prints it. */
export interface Takeover {
  /** Who was killed, with which pid, when so many results were there. */
  killed: string
  pid: number
  afterResults: number
  /** Who leads now. */
  leader: string
  epoch: number
  /** From the SIGKILL to the first result of a task that ended after it: only the next leader can have delivered that one. */
  nextResultMs: number
}

/** One kill in the middle of a map over inputs. */
export class LeaderKill<Input> {
  readonly #cluster: Cluster
  readonly #home: Home
  readonly #signal: AbortSignal
  readonly #strikes: (leader: string, pid: number) => void
  readonly #free = Promise.withResolvers<void>()
  readonly #nextResult = Promise.withResolvers<number>()
  #handedOut = 0
  #allFound = false
  #results = 0
  #over = false
  #killing: Promise<Takeover> | undefined
  #killedAt: { wallMs: number; monotonicMs: number } | undefined

  /** `strikes` is called right before the kill. */
  constructor(cluster: Cluster, home: Home, signal: AbortSignal, strikes: (leader: string, pid: number) => void) {
    this.#cluster = cluster
    this.#home = home
    this.#signal = signal
    this.#strikes = strikes
    signal.addEventListener('abort', () => this.#free.resolve(), { once: true })
  }

  /** The inputs, the last of which waits for the kill; a single one has no middle and does not wait. */
  inputs(inputs: AsyncIterator<Input>): AsyncIterableIterator<Input> {
    const held = this.#held(inputs)
    const given: AsyncIterableIterator<Input> = {
      [Symbol.asyncIterator]: () => given,
      next: () => held.next(),
      return: () => {
        // Whoever stops taking inputs does not wait for a kill that is not to come.
        this.#free.resolve()
        return held.return(undefined)
      },
    }
    return given
  }

  async *#held(inputs: AsyncIterator<Input>): AsyncGenerator<Input> {
    let step = await inputs.next()
    while (!step.done) {
      const next = await inputs.next()
      if (next.done && this.#handedOut > 0) {
        this.#allFound = true
        this.#look()
        await this.#free.promise
      }
      this.#handedOut++
      yield step.value
      step = next
    }
  }

  /** A result came, of a task that ended at this time of the machine's clock. */
  result(endedAtMs: number): void {
    this.#results++
    if (this.#killedAt && endedAtMs > this.#killedAt.wallMs) this.#nextResult.resolve(performance.now() - this.#killedAt.monotonicMs)
    this.#look()
  }

  #look(): void {
    const middle = this.#allFound ? this.#results * 2 >= this.#handedOut : this.#results >= resultsMax
    if (this.#killing || this.#results === 0 || !middle) return
    this.#killing = this.#kill()
    // Told by `ended`, at the latest when the map is through.
    this.#killing.catch(() => undefined)
  }

  async #kill(): Promise<Takeover> {
    try {
      const before = await this.#until('a standby that has caught up', one => one.candidates.some(isReady))
      const { leader } = before
      const victim = leaderProcess(this.#home, before)
      this.#strikes(leader.id, leader.pid)
      const afterResults = this.#results
      const monotonicMs = performance.now()
      if (!signalProcess(victim, 'SIGKILL')) throw new CoxswainError('UNAVAILABLE', `${leader.id} ended by itself.`, { id: leader.id })
      this.#killedAt = { wallMs: Date.now(), monotonicMs }
      this.#end()
      while (lives(victim)) await pause()
      this.#free.resolve()
      const { leader: next } = await this.#until('a next leader', one => one.leader.epoch > leader.epoch)
      return {
        killed: leader.id,
        pid: leader.pid,
        afterResults,
        leader: next.id,
        epoch: next.epoch,
        nextResultMs: await this.#nextResult.promise,
      }
    } finally {
      this.#free.resolve()
    }
  }

  async #until(what: string, wanted: (status: StatusView) => boolean): Promise<StatusView> {
    const untilMs = performance.now() + waitMsMax
    for (;;) {
      this.#signal.throwIfAborted()
      const status = await this.#cluster.status()
      if (wanted(status)) return status
      if (performance.now() > untilMs) throw new CoxswainError('UNAVAILABLE', `In ${waitMsMax / 1000} s there was not ${what}.`)
      await pause()
    }
  }

  /** When all results are there: what came of it, or undefined where there were too few inputs for a middle. */
  async ended(): Promise<Takeover | undefined> {
    // Were the machine's clock set back meanwhile, no result would look late enough: the end is the most that it can have been.
    this.#over = true
    this.#end()
    return this.#killing
  }

  #end(): void {
    if (this.#over && this.#killedAt) this.#nextResult.resolve(performance.now() - this.#killedAt.monotonicMs)
  }
}

function isReady({ state, lagRecords }: StatusView['candidates'][number]): boolean {
  return state === 'standby' && lagRecords !== undefined && lagRecords <= lagMax
}

function pause(): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, lookEveryMs))
}

/** It in words: `results` came in all. */
export function takeoverText({ killed, pid, afterResults, leader, epoch, nextResultMs }: Takeover, results: number): string {
  return (
    `${harmless(killed)} (pid ${pid}) led until it was killed with SIGKILL, after ${countText(afterResults)} of ${countText(results)} results; ` +
    `${harmless(leader)} leads, epoch ${epoch}; next result after ${durationText(nextResultMs)}`
  )
}

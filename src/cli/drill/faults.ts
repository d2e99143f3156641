// Owns what a drill does to the leader: kill, freeze, promote, and how long the next acknowledged write takes.
// Must not signal anything but a candidate that status names and that the supervisor of our own state folder started.
import type { Cluster, StatusView } from '../../client/index.ts'
import { CoxswainError } from '../../protocol/index.ts'
import { readEndpoint } from '../state/endpoint.ts'
import type { Home } from '../state/home.ts'
import { leaderProcess } from '../state/leader-process.ts'
import { lives, signalProcess } from '../state/processes.ts'
import type { Load } from './load.ts'

/** What can be done to a leader. */
export type FaultKind = 'kill' | 'freeze' | 'promote'

/** One fault and what came of it. */
export interface Fault {
  kind: FaultKind
  /** Who led, with which pid, and who leads now. */
  leader: string
  pid: number
  next: string
  epoch: number
  /** From the fault to the next acknowledged write; of a promotion the longest pause between two of them. */
  gapMs: number
  /** Wall clock, milliseconds since 1970. */
  atMs: number
  /** Of a frozen leader: it had been killed before the next one claimed, or it was resumed and had no effect. */
  frozen?: 'fenced by a kill' | 'resumed without effect'
}

const lookEveryMs = 20
const waitMsMax = 60_000
/** A standby that is so many records behind has come back. */
const lagMax = 1000

/** Does one fault after the other to one cluster. */
export class Faults {
  readonly #cluster: Cluster
  readonly #home: Home
  readonly #load: Load
  readonly #signal: AbortSignal

  constructor(cluster: Cluster, home: Home, load: Load, signal: AbortSignal) {
    this.#cluster = cluster
    this.#home = home
    this.#load = load
    this.#signal = signal
  }

  /** Waits for a status that is as wanted. */
  async #until(what: string, wanted: (status: StatusView) => boolean): Promise<StatusView> {
    const untilMs = performance.now() + waitMsMax
    for (;;) {
      this.#signal.throwIfAborted()
      const status = await this.#cluster.status()
      if (wanted(status)) return status
      if (performance.now() > untilMs) throw new CoxswainError('UNAVAILABLE', `In ${waitMsMax / 1000} s it did not come to this: ${what}.`)
      await new Promise<void>(resolve => setTimeout(resolve, lookEveryMs))
    }
  }

  /** Waits until so many standbys are there and have caught up. */
  standbys(count: number): Promise<StatusView> {
    return this.#until(`${count} standbys`, status => caughtUp(status) >= count)
  }

  /** Waits for the first acknowledgement of a write that began at or after this moment; how long that took from there. */
  async #nextWrite(fromMs: number): Promise<number> {
    const untilMs = performance.now() + waitMsMax
    for (;;) {
      this.#signal.throwIfAborted()
      const next = this.#load.acknowledgements.find(one => one.beganMs >= fromMs)
      if (next) return next.atMs - fromMs
      if (performance.now() > untilMs) throw new CoxswainError('UNAVAILABLE', `In ${waitMsMax / 1000} s no write was acknowledged.`)
      await this.#load.heard()
    }
  }

  /** Does it, and resolves when the next leader leads. */
  async inflict(kind: FaultKind): Promise<Fault> {
    const before = await this.#cluster.status()
    this.#load.urgent = true
    await this.#load.heard()
    try {
      return await (kind === 'promote' ? this.#promote(before) : this.#signalled(kind, before))
    } finally {
      this.#load.urgent = false
      this.#load.acknowledgements.splice(0, this.#load.acknowledgements.length - 1)
    }
  }

  async #promote(before: StatusView): Promise<Fault> {
    const { leader } = before
    const standby = before.candidates.filter(one => one.state === 'standby').sort((a, b) => b.priority - a.priority)[0]
    if (!standby) throw new CoxswainError('UNAVAILABLE', 'Nobody stands by who could be promoted.')
    const atMs = Date.now()
    const fromMs = performance.now()
    const next = await this.#cluster.promote(standby.id)
    await this.#nextWrite(performance.now())
    const moments = this.#load.acknowledgements.map(one => one.atMs)
    const pauses = moments.map((at, i) => (at >= fromMs ? at - (moments[i - 1] ?? fromMs) : 0))
    return { kind: 'promote', leader: leader.id, pid: leader.pid, next: next.id, epoch: next.epoch, gapMs: Math.max(...pauses), atMs }
  }

  async #signalled(kind: 'kill' | 'freeze', before: StatusView): Promise<Fault> {
    const { leader } = before
    const victim = leaderProcess(this.#home, before)
    const atMs = Date.now()
    const fromMs = performance.now()
    try {
      if (!signalProcess(victim, kind === 'kill' ? 'SIGKILL' : 'SIGSTOP'))
        throw new CoxswainError('UNAVAILABLE', `${leader.id} with pid ${leader.pid} ended by itself before it could be hit.`, {
          id: leader.id,
        })
      const gapMs = await this.#nextWrite(fromMs)
      const { leader: next } = await this.#until('a new leader', status => status.leader.epoch > leader.epoch)
      const fault = { kind, leader: leader.id, pid: leader.pid, next: next.id, epoch: next.epoch, gapMs, atMs }
      if (kind === 'kill') return fault
      if (!signalProcess(victim, 'SIGCONT')) return { ...fault, frozen: 'fenced by a kill' }
      await this.#until('the one that was frozen leads no more', () => !lives(victim) || readEndpoint(this.#home)?.pid !== victim.pid)
      return { ...fault, frozen: 'resumed without effect' }
    } finally {
      // However this ends, nobody stays frozen.
      if (kind === 'freeze') signalProcess(victim, 'SIGCONT')
    }
  }
}

/** Standbys that are there and have caught up. */
export function caughtUp(status: StatusView): number {
  return status.candidates.filter(one => one.state === 'standby' && (one.lagRecords ?? 0) <= lagMax).length
}

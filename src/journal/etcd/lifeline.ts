// Owns how a leader knows that it still leads: it keeps its lease, watches the leader's key, and gives itself up when it has not heard of the store for too long.
// Must not decide who leads: transactions do.
import { CoxswainError } from '../../protocol/errors.ts'
import type { Log } from '../sqlite/ledger.ts'
import { EtcdError } from './api.ts'
import type { Caller } from './caller.ts'
import { aliveKey, leaderKey } from './keys.ts'
import type { Term } from './term.ts'

/** The value of `alive`: whose it is. */
export function aliveValue(epoch: number): Buffer {
  return Buffer.from(String(epoch))
}

/** What a lifeline works with. */
export interface LifelineOptions {
  caller: Caller
  log: Log
  term: Term
  lease: string
  /** The store's revision after the claim. */
  revision: number
  ttlMs: number
  /** Run at every tick, in between. */
  tick(): void
}

/** The lifeline of one leadership. */
export class Lifeline {
  readonly #options: LifelineOptions
  #lease: string
  #heardMs: number
  #renewing = false
  #ended = false
  #cancelTick: () => void = () => undefined
  #endWatch: () => void = () => undefined
  /** The watch has ended, and nobody has looked since. */
  #blind = false

  constructor(options: LifelineOptions) {
    this.#options = options
    this.#lease = options.lease
    const { caller } = options
    this.#heardMs = caller.clock.monotonicMs()
    caller.heard = sentMs => {
      this.#heardMs = Math.max(this.#heardMs, sentMs)
    }
    this.#watch(options.revision + 1)
    this.#tick()
  }

  /** No more calls; its lease is left to end by itself. */
  end(): void {
    this.#ended = true
    this.#cancelTick()
    this.#endWatch()
  }

  /** Lets go of the lease too, so that nobody waits for its end. */
  async release(): Promise<void> {
    this.end()
    await this.#options.caller.etcd.revokeLease(this.#lease).catch(() => undefined)
  }

  #tick(): void {
    const { caller, ttlMs, term, tick } = this.#options
    this.#cancelTick = caller.clock.timer(ttlMs / 3, () => {
      if (this.#ended) return
      // A process that was stopped runs this before it reads anything: then it has not heard for as long as it stood.
      const silentMs = caller.clock.monotonicMs() - this.#heardMs
      if (silentMs >= ttlMs)
        return term.lose(
          new CoxswainError('JOURNAL_WRITE_FAILED', `etcd was not heard for ${Math.round(silentMs)} ms: another candidate may lead.`, {
            id: 'etcd',
          }),
        )
      if (!this.#renewing) void this.#renew()
      if (this.#blind) void this.#look()
      tick()
      this.#tick()
    })
  }

  async #renew(): Promise<void> {
    const { caller, log } = this.#options
    const sentMs = caller.clock.monotonicMs()
    this.#renewing = true
    try {
      await caller.etcd.keepLease(this.#lease)
      this.#heardMs = Math.max(this.#heardMs, sentMs)
    } catch (error) {
      // Nobody may have claimed yet: the lease only says who tries.
      if (error instanceof EtcdError && error.kind === 'leaseGone') await this.#revive()
      else log('warn', 'lease-not-renewed', { message: String(error) })
    } finally {
      this.#renewing = false
    }
  }

  async #revive(): Promise<void> {
    const { caller, log, term, ttlMs } = this.#options
    try {
      const lease = await caller.etcd.grantLease(Math.ceil(ttlMs / 1000))
      if (this.#ended) return
      const kept = await term.fenced([{ put: { key: aliveKey, value: aliveValue(term.epoch), lease } }])
      if (!kept) return
      this.#lease = lease
      log('warn', 'lease-granted-again', { epoch: term.epoch })
    } catch (error) {
      log('warn', 'lease-not-granted', { message: String(error) })
    }
  }

  #watch(from: number): void {
    this.#blind = false
    let over = false
    const end = (): void => {
      over = true
      this.#blind = true
    }
    const endWatch = this.#options.caller.etcd.watch(
      { key: leaderKey, from },
      {
        events: events => {
          if (over || this.#ended) return
          if (events.some(({ key, modRevision }) => key === leaderKey && modRevision !== this.#options.term.fence))
            this.#options.term.lose()
        },
        compacted: () => {
          end()
          if (!this.#ended) void this.#look()
        },
        ended: error => {
          end()
          if (!this.#ended) this.#options.log('warn', 'watch-ended', { message: error.message })
        },
      },
    )
    this.#endWatch = () => {
      over = true
      endWatch()
    }
  }

  /** Reads who leads, and watches from there. */
  async #look(): Promise<void> {
    const { caller, term } = this.#options
    try {
      const { rows, revision } = await caller.range({ key: leaderKey })
      if (this.#ended || !this.#blind) return
      if (rows[0]?.modRevision !== term.fence) return term.lose()
      this.#watch(revision + 1)
    } catch {
      // The next tick looks again, unless the store is not heard for too long.
    }
  }
}

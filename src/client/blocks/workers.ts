// Owns what a client knows of workers: where they are, and what gives it the right to read and write there.
// Must not keep what has expired, nor send anything to them.
import type { Platform } from '../../platform/index.ts'
import { type BlockReference, capabilityLifeMs, type WorkerAddress } from '../../protocol/index.ts'
import type { Session } from '../session.ts'

/** Workers that are not known to hold a block and are asked all the same: where there is a durable tier, each of them can read it there. */
const othersMax = 2

export class Workers {
  readonly #session: Session
  readonly #platform: Platform
  #known = new Map<string, WorkerAddress>()
  #askedAtMs = Number.NEGATIVE_INFINITY
  readonly #asking = new Map<string, Promise<void>>()

  constructor(session: Session, platform: Platform) {
    this.#session = session
    this.#platform = platform
  }

  /** Where to fetch the block: its holder, and when that did not help (`anew`), asked again, also others that have it or can get at it. */
  async sources({ holder, block }: BlockReference, anew: boolean): Promise<WorkerAddress[]> {
    if (anew || this.#old || !this.#known.has(holder)) await this.#ask(anew ? block : '')
    const named = this.#known.get(holder)
    if (!anew) return named ? [named] : []
    const others = [...this.#known.values()].filter(one => one !== named)
    const start = Math.floor(this.#platform.random.number() * others.length)
    const free = [...others.slice(start), ...others.slice(0, start)].filter(one => !one.holds)
    return [...(named ? [named] : []), ...others.filter(one => one.holds), ...free.slice(0, othersMax)]
  }

  /** A worker to store on, each in its turn as chance will have it. */
  async any(anew: boolean): Promise<WorkerAddress | undefined> {
    if (anew || this.#old || this.#known.size === 0) await this.#ask('')
    return [...this.#known.values()][Math.floor(this.#platform.random.number() * this.#known.size)]
  }

  /** It did not answer: until asked again, it is as good as gone. */
  forget(worker: string): void {
    this.#known.delete(worker)
  }

  /** What it has is about to expire. */
  get #old(): boolean {
    return this.#platform.clock.monotonicMs() - this.#askedAtMs > capabilityLifeMs / 2
  }

  /** Asks the leader; who asks the same meanwhile gets the same answer. */
  #ask(block: string): Promise<void> {
    const underway = this.#asking.get(block)
    if (underway) return underway
    const asking = this.#locate(block).finally(() => this.#asking.delete(block))
    this.#asking.set(block, asking)
    return asking
  }

  async #locate(block: string): Promise<void> {
    const askedAtMs = this.#platform.clock.monotonicMs()
    const reply = await this.#session.request({ kind: 'ask', view: 'locate', argument: JSON.stringify(block === '' ? {} : { block }) })
    if (reply.kind !== 'view') return
    const workers = JSON.parse(reply.body) as WorkerAddress[]
    this.#askedAtMs = askedAtMs
    this.#known = new Map(
      workers.filter(one => one.blocks !== '').map(one => [one.worker, { ...one, blocks: one.blocks.replace(/\/$/, '') }]),
    )
  }
}

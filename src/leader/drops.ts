// Owns which blocks are to be deleted on which worker, and when it is safe to say so.
// Must not name a block that any fact names now.
//
// A block's name is its hash: whoever stores the same bytes again finds the file there, and the fact that names it again may still be
// under way when the last fact that named it before goes. So deleting waits, and is then judged once more.
import type { State } from '../core/index.ts'
import type { Clock } from '../platform/index.ts'
import { type BlockId, blockHolding } from '../protocol/index.ts'
import type { Links, WorkerLink } from './links.ts'

/** From the moment nothing names a block until it may be deleted. Workers keep files that were stored or confirmed later than that. */
export const blockGraceMs = 15_000
/** Blocks that wait for their deletion, over all workers. What is above it stays on their disks. */
const pendingDropsMax = 100_000

export class BlockDrops {
  readonly #state: State
  readonly #links: Links
  readonly #clock: Clock
  /** By worker: blocks and when they may go, in that order. */
  readonly #pending = new Map<string, Map<BlockId, number>>()
  /** By workers that are gone: blocks that another worker has removed from the durable tier, if there is one. Their own copies go when they are back. */
  readonly #left = new Map<string, Set<BlockId>>()
  #count = 0

  constructor(state: State, links: Links, clock: Clock) {
    this.#state = state
    this.#links = links
    this.#clock = clock
  }

  /** Nothing names this block on its holder any more; the fact that says so is durable. */
  add(block: BlockId, holder: string): void {
    const blocks = this.#pending.get(holder) ?? new Map<BlockId, number>()
    // Named and let go again: it waits anew, at the end.
    if (blocks.delete(block)) this.#count--
    if (this.#left.get(holder)?.delete(block)) this.#count--
    if (this.#count >= pendingDropsMax) return
    this.#count++
    this.#pending.set(holder, blocks.set(block, this.#clock.monotonicMs() + blockGraceMs))
  }

  /** Tells the workers that are here what is due. */
  flush(): void {
    for (const [holder, left] of this.#left) {
      const link = this.#links.workers.get(holder)
      if (!link) continue
      this.#left.delete(holder)
      this.#count -= left.size
      this.#send(link, holder, [...left])
    }
    for (const [holder, blocks] of this.#pending) {
      const link = this.#links.workers.get(holder)
      // While it may come back it is waited for.
      const other = link || this.#state.membership.workers.has(holder) ? undefined : this.#anyone()
      if (!link && !other) continue
      const due = this.#due(blocks)
      if (blocks.size === 0) this.#pending.delete(holder)
      if (link) this.#count -= due.length
      else if (due.length > 0) this.#left.set(holder, new Set([...(this.#left.get(holder) ?? []), ...due]))
      this.#send((link ?? other)!, holder, due)
    }
  }

  /** Takes out what has waited long enough. */
  #due(blocks: Map<BlockId, number>): BlockId[] {
    const nowMs = this.#clock.monotonicMs()
    const due: BlockId[] = []
    for (const [block, dueMs] of blocks) {
      if (dueMs > nowMs) break
      blocks.delete(block)
      due.push(block)
    }
    return due
  }

  #anyone(): WorkerLink | undefined {
    return this.#links.workers.values().next().value
  }

  #send(link: WorkerLink, holder: string, due: readonly BlockId[]): void {
    const blocks = due.filter(block => !this.#state.blockUses.has(blockHolding(block, holder)))
    if (blocks.length > 0) link.sendInOrder({ kind: 'dropBlocks', epoch: this.#state.epoch, blocks, holder })
  }
}

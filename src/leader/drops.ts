// Owns which blocks are to be deleted on which worker, and when it is safe to say so.
// Must not name a block that any fact names now.
//
// A block's name is its hash: whoever stores the same bytes again finds the file there, and the fact that names it again may still be
// under way when the last fact that named it before goes. So deleting waits, and is then judged once more.
import type { State } from '../core/index.ts'
import type { Clock } from '../platform/index.ts'
import { type BlockId, blockHolding } from '../protocol/index.ts'
import type { Links } from './links.ts'

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
    if (this.#count >= pendingDropsMax) return
    this.#count++
    this.#pending.set(holder, blocks.set(block, this.#clock.monotonicMs() + blockGraceMs))
  }

  /** Tells the workers that are here what is due. */
  flush(): void {
    const nowMs = this.#clock.monotonicMs()
    for (const [holder, blocks] of this.#pending) {
      const link = this.#links.workers.get(holder)
      if (!link || link.incarnation === 0) continue
      const due: BlockId[] = []
      for (const [block, dueMs] of blocks) {
        if (dueMs > nowMs) break
        blocks.delete(block)
        this.#count--
        if (!this.#state.blockUses.has(blockHolding(block, holder))) due.push(block)
      }
      if (blocks.size === 0) this.#pending.delete(holder)
      if (due.length > 0) link.sendInOrder({ kind: 'dropBlocks', epoch: this.#state.epoch, blocks: due })
    }
  }
}

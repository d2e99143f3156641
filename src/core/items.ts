// Owns the check of chunks that peers send: what is in the journal must be readable for ever.
// Must not look into an item.
import { Chunk, CoxswainError, type Range, type TaskBlock } from '../protocol/index.ts'

/** How many items a chunk holds, every length in it checked. Throws FRAME_MALFORMED. */
export function checkedCount(items: Uint8Array): number {
  return new Chunk(items).count
}

/** Throws FRAME_MALFORMED unless every block belongs to a task of the range of its own. */
export function checkBlocks(blocks: readonly TaskBlock[], range: Range): void {
  const seen = new Set<number>()
  for (const { index } of blocks) {
    if (index < range.first || index >= range.first + range.count || seen.has(index))
      throw new CoxswainError('FRAME_MALFORMED', `A block is said to be of task ${index}, which it cannot be.`)
    seen.add(index)
  }
}

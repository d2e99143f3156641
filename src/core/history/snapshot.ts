// Owns the bytes of the history's register in a snapshot: about 20 for each job there. Must not hold derived things.
import { bytes, type Infer, list, struct, taskBlock, varint } from '../../protocol/index.ts'
import { needBlock } from '../jobs/accounts.ts'
import type { State } from '../state.ts'

const countMax = 2 ** 31

/** The history in a snapshot. */
export const historyState = struct({
  first: varint,
  emptiedTo: varint,
  entries: bytes(countMax),
  blocks: list(struct({ place: varint, blocks: list(taskBlock, countMax) }), countMax),
  /** Of the jobs in the snapshot, in their order: when each was submitted among all. */
  numbers: list(varint, countMax),
})

export function historyValue({ history, jobs }: State): Infer<typeof historyState> {
  return {
    first: history.first,
    emptiedTo: history.emptiedTo,
    entries: history.words(),
    blocks: [...history.blocks].map(([place, blocks]) => ({ place, blocks: [...blocks] })),
    numbers: [...jobs.byId.values()].map(job => job.number),
  }
}

export function restoreHistory(state: State, value: Infer<typeof historyState>): void {
  const { history } = state
  history.restore(value.first, value.emptiedTo, value.entries)
  state.jobs.resultBytes += history.bytes
  for (const { place, blocks } of value.blocks) {
    history.blocks.set(place, blocks)
    for (const { block, holder } of blocks) needBlock(state, block, holder)
  }
  for (const [position, job] of [...state.jobs.byId.values()].entries()) job.number = value.numbers[position]!
}

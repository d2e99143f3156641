// Owns the invariants of the history's register. Must not repair anything.
import type { HistoryRegister } from './state.ts'

/** Throws if the register contradicts itself. */
export function checkHistory(history: HistoryRegister): void {
  const { first, emptiedTo, end } = history
  const holds = (what: boolean, text: string): void => {
    if (!what) throw new Error(`invariant broken: the history ${text}`)
  }
  holds(first <= emptiedTo && emptiedTo <= end, `goes from ${first} to ${end} and is emptied to ${emptiedTo}`)
  let bytes = 0
  for (let place = first; place < end; place++) {
    bytes += history.bytesAt(place)
    holds(place >= emptiedTo || history.bytesAt(place) === 0, `counts results at ${place}, which are gone`)
  }
  holds(bytes === history.bytes, `counts ${history.bytes} bytes of results where ${bytes} are kept`)
  for (const place of history.blocks.keys()) holds(place >= emptiedTo && place < end, `has blocks at ${place}, which is gone`)
}

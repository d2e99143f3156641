// Owns S7 for entries of spaces: what clients did with them happened as if one by one.
// Must not use the journal's order.
import type { History, SharedInput } from '../history.ts'
import { linearizable, type Model } from './linearizable.ts'

/** All entries at once, as JSON: a swap is one step of two of them. */
const entriesModel: Model<SharedInput> = (state, input) => {
  const entries = JSON.parse(state) as Record<string, string | undefined>
  switch (input.kind) {
    case 'read':
      return entries[input.key] === input.value ? state : undefined
    case 'write':
      return stateOf({ ...entries, [input.key]: input.value })
    case 'exchange':
      return entries[input.key] === input.from ? stateOf({ ...entries, [input.key]: input.value }) : undefined
    case 'swap':
      if (entries[input.key] !== input.first || entries[input.other] !== input.second) return undefined
      return stateOf({ ...entries, [input.key]: input.second, [input.other]: input.first })
  }
}

function stateOf(entries: Record<string, string | undefined>): string {
  return JSON.stringify(Object.fromEntries(Object.entries(entries).sort(([a], [b]) => (a < b ? -1 : 1))))
}

export function checkShared(history: History): void {
  const operations = history.shared.map(({ input, startedMs, endedMs }) => ({
    input,
    startedMs,
    endedMs: endedMs ?? Number.POSITIVE_INFINITY,
    unsure: endedMs === undefined,
  }))
  const found = linearizable(operations, '{}', entriesModel)
  if (found !== true) {
    const calls = operations.map(
      ({ input, startedMs, endedMs }) => `${JSON.stringify(input)} ${startedMs.toFixed(1)}–${endedMs.toFixed(1)}`,
    )
    history.violate(found === undefined ? 'M5' : 'S7', `no order explains the entries: ${calls.join('; ')}`, operations[0]?.startedMs ?? 0)
  }
}

// Owns the order of events: by time, then by a toss between nodes, then by when they were asked for.
// Must not run anything.
import type { Boot } from './kernel.ts'

/** Something that will happen. */
export interface KernelEvent {
  atMs: number
  toss: number
  sequence: number
  /** What it happens to, and dies with; nothing for the world's own. */
  boot: Boot | undefined
  kind: 'timer' | 'io'
  run: (() => void) | undefined
}

function before(one: KernelEvent, other: KernelEvent): boolean {
  if (one.atMs !== other.atMs) return one.atMs < other.atMs
  if (one.toss !== other.toss) return one.toss < other.toss
  return one.sequence < other.sequence
}

/** A binary heap of events. */
export class EventQueue {
  readonly #items: KernelEvent[] = []

  get size(): number {
    return this.#items.length
  }

  get first(): KernelEvent | undefined {
    return this.#items[0]
  }

  push(event: KernelEvent): void {
    const items = this.#items
    let at = items.length
    items.push(event)
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!before(event, items[parent]!)) break
      items[at] = items[parent]!
      at = parent
    }
    items[at] = event
  }

  pop(): KernelEvent | undefined {
    const items = this.#items
    const top = items[0]
    const last = items.pop()
    if (!top || !last || items.length === 0) return top
    let at = 0
    for (;;) {
      let child = at * 2 + 1
      if (child >= items.length) break
      if (child + 1 < items.length && before(items[child + 1]!, items[child]!)) child++
      if (!before(items[child]!, last)) break
      items[at] = items[child]!
      at = child
    }
    items[at] = last
    return top
  }
}

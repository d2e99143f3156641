// Owns a binary heap. Must not know what is in it.

interface Entry<T> {
  key: number
  order: number
  item: T
}

/** Items by a key, smallest first; among equal keys the order is that of insertion. */
export class Heap<T> {
  #items: Entry<T>[] = []
  #order = 0

  get size(): number {
    return this.#items.length
  }

  /** The smallest key, or undefined if the heap is empty. */
  get nextKey(): number | undefined {
    return this.#items[0]?.key
  }

  /** All items with their keys, in no useful order. */
  *[Symbol.iterator](): Generator<{ key: number; item: T }> {
    yield* this.#items
  }

  /** All items with their keys, in the order in which `pop` would give them. */
  sorted(): { key: number; item: T }[] {
    return [...this.#items].sort((a, b) => a.key - b.key || a.order - b.order)
  }

  push(key: number, item: T): void {
    const items = this.#items
    items.push({ key, order: this.#order++, item })
    let at = items.length - 1
    while (at > 0) {
      const parent = (at - 1) >>> 1
      if (!this.#before(at, parent)) break
      this.#swap(at, parent)
      at = parent
    }
  }

  /** Takes the item with the smallest key. */
  pop(): T | undefined {
    const items = this.#items
    const top = items[0]
    const last = items.pop()
    if (top === undefined || last === undefined) return undefined
    if (items.length > 0) {
      items[0] = last
      this.#sink(0)
    }
    return top.item
  }

  /** Takes out all items of which `matches` is true, in the order in which `pop` would give them. Looks at every item. */
  remove(matches: (item: T) => boolean): T[] {
    const removed: Entry<T>[] = []
    const kept: Entry<T>[] = []
    for (const entry of this.#items) (matches(entry.item) ? removed : kept).push(entry)
    if (removed.length === 0) return []
    this.#items = kept
    for (let at = (kept.length >>> 1) - 1; at >= 0; at--) this.#sink(at)
    return removed.sort((a, b) => a.key - b.key || a.order - b.order).map(entry => entry.item)
  }

  #sink(from: number): void {
    let at = from
    for (;;) {
      let least = at
      for (const child of [2 * at + 1, 2 * at + 2]) {
        if (child < this.#items.length && this.#before(child, least)) least = child
      }
      if (least === at) return
      this.#swap(at, least)
      at = least
    }
  }

  #before(a: number, b: number): boolean {
    const left = this.#items[a]!
    const right = this.#items[b]!
    return left.key < right.key || (left.key === right.key && left.order < right.order)
  }

  #swap(a: number, b: number): void {
    const left = this.#items[a]!
    this.#items[a] = this.#items[b]!
    this.#items[b] = left
  }
}

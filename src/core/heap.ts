// Owns a binary heap. Must not know what is in it.

/** An item in a heap, by which it can be taken out. */
export interface HeapEntry<T> {
  readonly key: number
  readonly order: number
  readonly item: T
  /** Where it is; -1 once it is out. */
  at: number
}

/** Items by a key, smallest first; among equal keys the order is that of insertion. */
export class Heap<T> {
  #items: HeapEntry<T>[] = []
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

  push(key: number, item: T): HeapEntry<T> {
    const entry = { key, order: this.#order++, item, at: this.#items.length }
    this.#items.push(entry)
    this.#rise(entry.at)
    return entry
  }

  /** Takes the item with the smallest key. */
  pop(): T | undefined {
    const top = this.#items[0]
    if (top) this.delete(top)
    return top?.item
  }

  /** Takes out one item, which costs as little as taking the first. */
  delete(entry: HeapEntry<T>): void {
    const { at } = entry
    if (this.#items[at] !== entry) throw new Error('the item is not in the heap')
    const last = this.#items.pop()!
    entry.at = -1
    if (last === entry) return
    this.#put(at, last)
    this.#sink(at)
    this.#rise(at)
  }

  /** Takes out all items of which `matches` is true, in the order in which `pop` would give them. Looks at every item. */
  remove(matches: (item: T) => boolean): T[] {
    const removed: HeapEntry<T>[] = []
    const kept: HeapEntry<T>[] = []
    for (const entry of this.#items) (matches(entry.item) ? removed : kept).push(entry)
    if (removed.length === 0) return []
    this.#items = kept
    for (const entry of removed) entry.at = -1
    for (const [at, entry] of kept.entries()) entry.at = at
    for (let at = (kept.length >>> 1) - 1; at >= 0; at--) this.#sink(at)
    return removed.sort((a, b) => a.key - b.key || a.order - b.order).map(entry => entry.item)
  }

  #rise(from: number): void {
    let at = from
    while (at > 0) {
      const parent = (at - 1) >>> 1
      if (!this.#before(at, parent)) return
      this.#swap(at, parent)
      at = parent
    }
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
    this.#put(a, this.#items[b]!)
    this.#put(b, left)
  }

  #put(at: number, entry: HeapEntry<T>): void {
    this.#items[at] = entry
    entry.at = at
  }
}

// Owns a binary heap. Must not know what is in it.

/** Items by a key, smallest first; among equal keys the order is that of insertion. */
export class Heap<T> {
  readonly #items: { key: number; order: number; item: T }[] = []
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
      this.#sink()
    }
    return top.item
  }

  #sink(): void {
    let at = 0
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

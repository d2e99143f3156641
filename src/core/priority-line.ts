// Owns lines in which owners take turns, whatever each of them has in it, and in which higher priorities go first. Must not know what stands in them.

/** Items in the order in which they are served: owners in turn, and those of one owner in turn. */
export class Turns<T extends object> {
  /** Most owners have one item: that stands for itself. */
  readonly #byOwner = new Map<unknown, T | Set<T>>()

  /** True if there are none. */
  get empty(): boolean {
    return this.#byOwner.size === 0
  }

  add(item: T, owner: unknown): void {
    const own = this.#byOwner.get(owner)
    if (own === undefined) this.#byOwner.set(owner, item)
    else if (own instanceof Set) own.add(item)
    else if (own !== item) this.#byOwner.set(owner, new Set([own, item]))
  }

  delete(item: T, owner: unknown): void {
    const own = this.#byOwner.get(owner)
    if (own === item || (own instanceof Set && own.delete(item) && own.size === 0)) this.#byOwner.delete(owner)
  }

  /** What was served goes to the end of its owner's items, and the owner behind all others. */
  rotate(item: T, owner: unknown): void {
    const own = this.#byOwner.get(owner)
    if (own === undefined) return
    if (own instanceof Set && own.delete(item)) own.add(item)
    if (this.#byOwner.size === 1) return
    this.#byOwner.delete(owner)
    this.#byOwner.set(owner, own)
  }

  /** What each owner has, those that go first at the front. */
  get owned(): Iterable<T | Set<T>> {
    return this.#byOwner.values()
  }

  *[Symbol.iterator](): Generator<T> {
    for (const own of this.owned) {
      if (own instanceof Set) yield* own
      else yield own
    }
  }
}

/** Items by priority, within one in turn. What has no owner has its turn by itself. */
export class PriorityLine<T extends object> {
  readonly #byPriority = new Map<number, Turns<T>>()
  /** Highest first. */
  #priorities: number[] = []

  /** The highest priority of all; below every one if the line is empty. */
  get priority(): number {
    return this.#priorities[0] ?? Number.NEGATIVE_INFINITY
  }

  add(item: T, priority: number, owner: unknown = item): void {
    let level = this.#byPriority.get(priority)
    if (!level) {
      level = new Turns()
      this.#byPriority.set(priority, level)
      this.#priorities = [...this.#byPriority.keys()].sort((a, b) => b - a)
    }
    level.add(item, owner)
  }

  delete(item: T, priority: number, owner: unknown = item): void {
    const level = this.#byPriority.get(priority)
    if (!level) return
    level.delete(item, owner)
    if (!level.empty) return
    this.#byPriority.delete(priority)
    this.#priorities = this.#priorities.filter(one => one !== priority)
  }

  /** The item was served. */
  rotate(item: T, priority: number, owner: unknown = item): void {
    this.#byPriority.get(priority)?.rotate(item, owner)
  }

  /** All items, those that go first at the front. */
  *items(): Generator<T> {
    for (const priority of this.#priorities) {
      // Not by its own iterator: one within another costs each hand-out.
      for (const own of this.#byPriority.get(priority)!.owned) {
        if (own instanceof Set) yield* own
        else yield own
      }
    }
  }
}

// Owns a line in which higher priorities go first, and within one who came first. Must not know what stands in it.

/** Items by priority, within one in the order in which they came. */
export class PriorityLine<T> {
  readonly #byPriority = new Map<number, Set<T>>()
  /** Highest first. */
  #priorities: number[] = []

  /** The highest priority of all; below every one if the line is empty. */
  get priority(): number {
    return this.#priorities[0] ?? Number.NEGATIVE_INFINITY
  }

  add(item: T, priority: number): void {
    let level = this.#byPriority.get(priority)
    if (!level) {
      level = new Set()
      this.#byPriority.set(priority, level)
      this.#priorities = [...this.#byPriority.keys()].sort((a, b) => b - a)
    }
    level.add(item)
  }

  delete(item: T, priority: number): void {
    const level = this.#byPriority.get(priority)
    if (!level?.delete(item) || level.size > 0) return
    this.#byPriority.delete(priority)
    this.#priorities = this.#priorities.filter(one => one !== priority)
  }

  /** What was served goes to the end of its priority's line, so that all take turns. */
  rotate(item: T, priority: number): void {
    const level = this.#byPriority.get(priority)
    if (level && level.size > 1 && level.delete(item)) level.add(item)
  }

  /** All items, those that go first at the front. */
  *items(): Generator<T> {
    for (const priority of this.#priorities) yield* this.#byPriority.get(priority)!
  }
}

// Owns the numbers of the objects of one value, by which an object that comes again is referred to.
// Must stay cheap for the common case: a few objects, none of them twice.

/** So many objects are looked up one by one; with more, a Map is made. */
const scanMax = 12
/** The objects of one value, numbered in the order in which they begin. */
export class Seen {
  readonly #objects: (object | undefined)[] = []
  #count = 0
  #map: Map<object, number> | undefined

  /** The number of an object that was there before, or -1: then it has one from now on. */
  number(value: object): number {
    const count = this.#count++
    const map = this.#map
    if (map === undefined) {
      const seen = this.#objects
      for (let i = 0; i < count; i++) {
        if (seen[i] === value) return this.#again(i)
      }
      if (count < scanMax) {
        seen[count] = value
        return -1
      }
      this.#map = new Map(seen.map((object, position) => [object as object, position]))
      this.#map.set(value, count)
      return -1
    }
    const position = map.get(value)
    if (position !== undefined) return this.#again(position)
    map.set(value, count)
    return -1
  }

  #again(position: number): number {
    this.#count--
    return position
  }

  /** Forgets them all, and keeps none of them alive. */
  clear(): void {
    for (let i = Math.min(this.#count, scanMax) - 1; i >= 0; i--) this.#objects[i] = undefined
    this.#count = 0
    this.#map = undefined
  }
}

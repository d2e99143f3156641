// Owns keys in their order, in pages, so that one more or one less costs the same among ten and among a million.
// Must not know what they are keys of.

/** Keys in a page: above it it is cut in two. */
const pageKeysMax = 512

/** Different texts in the order of their code units. */
export class SortedKeys {
  /** None of them is empty. */
  readonly #pages: string[][] = []
  #size = 0

  get size(): number {
    return this.#size
  }

  /** Adds a key that is not there. */
  add(key: string): void {
    this.#size++
    const number = Math.max(0, this.#pageOf(key))
    const page = this.#pages[number]
    if (!page) return void this.#pages.push([key])
    page.splice(place(page, key), 0, key)
    if (page.length > pageKeysMax) this.#pages.splice(number + 1, 0, page.splice(page.length >> 1))
  }

  /** Takes out a key that is there. */
  delete(key: string): void {
    this.#size--
    const number = this.#pageOf(key)
    const page = this.#pages[number]!
    page.splice(place(page, key), 1)
    if (page.length === 0) this.#pages.splice(number, 1)
  }

  /** The keys from this one on, in order. */
  *from(key: string): Generator<string> {
    const first = Math.max(0, this.#pageOf(key))
    for (let number = first; number < this.#pages.length; number++) {
      const page = this.#pages[number]!
      for (let at = number === first ? place(page, key) : 0; at < page.length; at++) yield page[at]!
    }
  }

  /** The last page that begins with this key or one before it; -1 if all are behind it. */
  #pageOf(key: string): number {
    let low = 0
    let high = this.#pages.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#pages[middle]![0]! <= key) low = middle + 1
      else high = middle
    }
    return low - 1
  }
}

/** Where the key stands, or would stand. */
function place(page: readonly string[], key: string): number {
  let low = 0
  let high = page.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (page[middle]! < key) low = middle + 1
    else high = middle
  }
  return low
}

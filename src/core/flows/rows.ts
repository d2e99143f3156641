// Owns rows of whole numbers, all of one length, that grow: four bytes for each number, and the numbers of a row stand together.
// Must not know what they count.

const nothing = new Int32Array(0)

/** Rows of whole numbers. What is done with a step touches most of its numbers: together they cost one look into memory, not a dozen. */
export class Rows {
  readonly #width: number
  #data = nothing
  #used = 0

  /** `width`: numbers in a row. */
  constructor(width: number) {
    this.#width = width
  }

  /** How many rows there are. */
  get length(): number {
    return this.#used / this.#width
  }

  /** Makes room for so many more rows. */
  reserve(more: number): void {
    const needed = this.#used + more * this.#width
    if (needed > this.#data.length) this.#grow(Math.max(needed, this.#used + (this.#used >> 1)))
  }

  #grow(capacity: number): void {
    const larger = new Int32Array(capacity)
    larger.set(this.#data)
    this.#data = larger
  }

  /** Appends a row of zeros and says which it is. */
  push(): number {
    if (this.#used + this.#width > this.#data.length) this.#grow(Math.max(this.#width * 2, this.#used * 2))
    this.#used += this.#width
    return this.length - 1
  }

  at(row: number, field: number): number {
    return this.#data[row * this.#width + field]!
  }

  set(row: number, field: number, value: number): void {
    this.#data[row * this.#width + field] = value
  }

  add(row: number, field: number, change: number): number {
    return (this.#data[row * this.#width + field]! += change)
  }
}

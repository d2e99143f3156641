// Owns whole numbers in a row that grows: four bytes each.
// Must not know what they count.

const nothing = new Int32Array(0)

/** Whole numbers in a row that grows. */
export class Column {
  #data = nothing
  length = 0

  /** Makes room for so many more. */
  reserve(more: number): void {
    const needed = this.length + more
    if (needed > this.#data.length) this.#grow(Math.max(needed, this.length * 2))
  }

  #grow(capacity: number): void {
    const larger = new Int32Array(capacity)
    larger.set(this.#data)
    this.#data = larger
  }

  push(value: number): void {
    if (this.length === this.#data.length) this.#grow(Math.max(4, this.length * 2))
    this.#data[this.length++] = value
  }

  at(position: number): number {
    return this.#data[position]!
  }

  set(position: number, value: number): void {
    this.#data[position] = value
  }

  add(position: number, change: number): number {
    return (this.#data[position]! += change)
  }
}

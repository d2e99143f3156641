// Owns whole numbers in a row that grows: four bytes each.
// Must not know what they count.

/** Whole numbers in a row that grows. */
export class Column {
  #data = new Int32Array(4)
  length = 0

  push(value: number): void {
    if (this.length === this.#data.length) {
      const larger = new Int32Array(this.length * 2)
      larger.set(this.#data)
      this.#data = larger
    }
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

// Owns a bounded queue between what comes and who iterates. Must not grow without bound: what finds no room is counted and dropped.

/** An asynchronous iterator over what is pushed. */
export class BoundedQueue<T> implements AsyncIterableIterator<T> {
  readonly #max: number
  readonly #close: () => void
  #items: T[] = []
  #waiting: PromiseWithResolvers<IteratorResult<T>>[] = []
  #ended = false
  #error: { error: unknown } | undefined
  /** How many items found no room. */
  dropped = 0

  /** `close` is called once, when the iteration ends for whatever reason. */
  constructor(max: number, close: () => void) {
    this.#max = max
    this.#close = close
  }

  /** False where there was no room. `always`: for the few items that must not be dropped. */
  push(item: T, always = false): boolean {
    if (this.#ended) return false
    const waiting = this.#waiting.shift()
    if (waiting) waiting.resolve({ value: item, done: false })
    else if (this.#items.length >= this.#max && !always) {
      this.dropped++
      return false
    } else this.#items.push(item)
    return true
  }

  /** No more items; those that wait are still given. */
  end(error?: unknown): void {
    if (this.#ended) return
    this.#ended = true
    if (error !== undefined) this.#error = { error }
    this.#close()
    const waiting = this.#waiting
    this.#waiting = []
    for (const [position, one] of waiting.entries()) {
      if (position === 0 && this.#error) one.reject(this.#takeError())
      else one.resolve({ value: undefined, done: true })
    }
  }

  #takeError(): unknown {
    const error = this.#error?.error
    this.#error = undefined
    return error
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<IteratorResult<T>> {
    const item = this.#items.shift()
    if (item !== undefined) return Promise.resolve({ value: item, done: false })
    if (this.#error) return Promise.reject(this.#takeError())
    if (this.#ended) return Promise.resolve({ value: undefined, done: true })
    const waiting = Promise.withResolvers<IteratorResult<T>>()
    this.#waiting.push(waiting)
    return waiting.promise
  }

  async return(): Promise<IteratorResult<T>> {
    this.#items = []
    this.end()
    return { value: undefined, done: true }
  }
}

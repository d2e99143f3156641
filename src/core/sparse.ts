// Owns maps and sets that are empty most of the time: they take no memory until something is put in.
// Must not know what is in them.

const nothing = new Map<never, never>()

/** A map that is mostly empty. An empty one in V8 takes two hundred bytes; workflows and their stages have a dozen each, and ten thousand jobs are kept. */
export class SparseMap<K, V> implements Map<K, V> {
  #map: Map<K, V> | undefined

  get size(): number {
    return this.#map === undefined ? 0 : this.#map.size
  }

  get [Symbol.toStringTag](): string {
    return 'SparseMap'
  }

  get #read(): Map<K, V> {
    return this.#map ?? nothing
  }

  get(key: K): V | undefined {
    return this.#map?.get(key)
  }

  has(key: K): boolean {
    return this.#map?.has(key) ?? false
  }

  set(key: K, value: V): this {
    this.#map ??= new Map()
    this.#map.set(key, value)
    return this
  }

  delete(key: K): boolean {
    if (!this.#map?.delete(key)) return false
    if (this.#map.size === 0) this.#map = undefined
    return true
  }

  clear(): void {
    this.#map = undefined
  }

  forEach(act: (value: V, key: K, map: Map<K, V>) => void): void {
    for (const [key, value] of this.#read) act(value, key, this)
  }

  entries(): MapIterator<[K, V]> {
    return this.#read.entries()
  }

  keys(): MapIterator<K> {
    return this.#read.keys()
  }

  values(): MapIterator<V> {
    return this.#read.values()
  }

  [Symbol.iterator](): MapIterator<[K, V]> {
    return this.#read[Symbol.iterator]()
  }
}

/** A set that is mostly empty. */
export class SparseSet<T> {
  #set: Set<T> | undefined

  get size(): number {
    return this.#set === undefined ? 0 : this.#set.size
  }

  has(value: T): boolean {
    return this.#set?.has(value) ?? false
  }

  add(value: T): this {
    this.#set ??= new Set()
    this.#set.add(value)
    return this
  }

  delete(value: T): boolean {
    if (!this.#set?.delete(value)) return false
    if (this.#set.size === 0) this.#set = undefined
    return true
  }

  *[Symbol.iterator](): Generator<T> {
    if (this.#set) yield* this.#set
  }
}

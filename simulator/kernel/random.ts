// Owns chance: streams of numbers that follow from a seed and a label, so that one purpose's draws do not shift another's.
// Must not be asked for numbers that the run's seed does not determine.

/** One stream of numbers (sfc32). */
export class RandomStream {
  #a: number
  #b: number
  #c: number
  #counter = 1

  constructor(seed: number, label: string) {
    this.#a = seed | 0
    this.#b = hashText(label)
    this.#c = hashText(`${label}/${seed}`)
    for (let i = 0; i < 12; i++) this.bits()
  }

  /** 32 bits. */
  bits(): number {
    const sum = (((this.#a + this.#b) | 0) + this.#counter) | 0
    this.#counter = (this.#counter + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0
    return sum >>> 0
  }

  /** From 0 up to, not including, 1. */
  number(): number {
    return this.bits() / 2 ** 32
  }

  /** A whole number from `low` to `high`, both included. */
  whole(low: number, high: number): number {
    return low + Math.floor(this.number() * (high - low + 1))
  }

  chance(probability: number): boolean {
    return this.number() < probability
  }

  /** Around `mean`, most of it below, with a long tail. */
  exponential(mean: number): number {
    return -Math.log(1 - this.number()) * mean
  }

  pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.number() * items.length)]!
  }

  uuid(): string {
    const hex = Array.from({ length: 4 }, () => this.bits().toString(16).padStart(8, '0')).join('')
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20)}`
  }
}

/** FNV-1a over a text, as 32 bits. */
export function hashText(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return hash | 0
}

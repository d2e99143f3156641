// Owns the order in which the candidates of a cluster are dialled by somebody who looks for the leader.
// Must not dial.

/** Addresses of candidates, of which any may lead, or know who does. */
export class Roster {
  readonly #addresses: readonly string[]
  #next = 0
  /** Where the leader is said to be, or was last. */
  #hint: string | undefined

  constructor(addresses: readonly string[]) {
    this.#addresses = addresses
  }

  /** The address to dial now: where the leader is said to be, once; else each in its turn. */
  dial(): string {
    const hint = this.#hint
    this.#hint = undefined
    return hint ?? this.#addresses[this.#next++ % this.#addresses.length]!
  }

  /** The leader is there, or somebody who should know says so. */
  leader(address: string): void {
    this.#hint = address
  }
}

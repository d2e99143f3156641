// Owns the order in which the candidates of a cluster are dialled by somebody who looks for the leader.
// Must not dial.

/** For so many dials one that gave no answer is passed over, whoever says that it leads: that may be an old story, and each try at it may cost seconds. */
const passedOverDials = 6

/** Addresses of candidates, of which any may lead, or know who does. */
export class Roster {
  readonly #addresses: readonly string[]
  #next = 0
  /** Where the leader is said to be, or was last. */
  #hint: string | undefined
  #dialled: string | undefined
  /** Whoever was dialled last said something of use. */
  #answered = true
  #silent: string | undefined
  #passesLeft = 0

  constructor(addresses: readonly string[]) {
    this.#addresses = addresses
  }

  /** The address to dial now: where the leader is said to be, once; else each in its turn. */
  dial(): string {
    if (!this.#answered) {
      this.#silent = this.#dialled
      this.#passesLeft = passedOverDials
    } else if (this.#passesLeft > 0) this.#passesLeft--
    const hint = this.#hint
    this.#hint = undefined
    this.#dialled = hint !== undefined && !this.#passesOver(hint) ? hint : this.#inTurn()
    this.#answered = false
    return this.#dialled
  }

  #passesOver(address: string): boolean {
    return this.#passesLeft > 0 && address === this.#silent && this.#addresses.some(one => one !== address)
  }

  #inTurn(): string {
    const address = this.#addresses[this.#next++ % this.#addresses.length]!
    return this.#passesOver(address) ? this.#addresses[this.#next++ % this.#addresses.length]! : address
  }

  /** The leader is there, or somebody who should know says so. */
  leader(address: string): void {
    this.#hint = address
    this.#answered = true
    if (address === this.#dialled) this.#passesLeft = 0
  }
}

// Owns what waits for the loop: commands in order, bounded in number and bytes. Heartbeats never enter it: they have their own way.
// Must not decide anything.
import type { Command, Reply } from '../core/index.ts'
import type { Scope } from '../protocol/index.ts'

/** A command and whom to tell, once what follows from it is durable. */
export interface Letter {
  command: Command
  /** Bytes of the command, counted against the mailbox's limit. */
  bytes: number
  /** Nobody waits for the answer. */
  lazy?: boolean
  /** Who asks may do no more than this. */
  scope?: Scope | undefined
  reply(reply: Reply): void
}

/** Commands waiting, and their bytes. Above it what may be refused is refused. */
export const mailboxLettersMax = 20_000
export const mailboxBytesMax = 256 << 20
/** Clients may ask for this many things more that cannot be refused; who asks for more then is disconnected. */
export const mailboxOverrunLettersMax = 4 * mailboxLettersMax

export class Mailbox {
  #letters: Letter[] = []
  #start = 0
  #bytes = 0

  get size(): number {
    return this.#letters.length - this.#start
  }

  /** True when clients' new work must be refused; what workers report is always taken, since lanes bound it. */
  get full(): boolean {
    return this.size >= mailboxLettersMax || this.#bytes >= mailboxBytesMax
  }

  /** True when even what cannot be refused is too much. */
  get overrun(): boolean {
    return this.size >= mailboxOverrunLettersMax
  }

  put(letter: Letter): void {
    this.#letters.push(letter)
    this.#bytes += letter.bytes
  }

  /** The next letters, at most `lettersMax` and about `bytesMax`. */
  take(lettersMax: number, bytesMax: number): Letter[] {
    const taken: Letter[] = []
    let bytes = 0
    while (this.#start < this.#letters.length && taken.length < lettersMax && bytes < bytesMax) {
      const letter = this.#letters[this.#start++]!
      taken.push(letter)
      bytes += letter.bytes
    }
    this.#bytes -= bytes
    if (this.#start * 2 > this.#letters.length) {
      this.#letters = this.#letters.slice(this.#start)
      this.#start = 0
    }
    return taken
  }
}

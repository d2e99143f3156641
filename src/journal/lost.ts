// Owns who is to be told, once, that this process leads no more.
// Must not decide it.
import type { CoxswainError } from '../protocol/errors.ts'

/** Who is to be told, once, that this process leads no more. */
export class Lost {
  #callbacks: ((failure?: CoxswainError) => void)[] = []
  #failure: CoxswainError | undefined
  #state: 'not leading' | 'leading' | 'lost' = 'not leading'

  get leads(): boolean {
    return this.#state === 'leading'
  }

  listen(callback: (failure?: CoxswainError) => void): void {
    if (this.#state === 'lost') queueMicrotask(() => callback(this.#failure))
    else this.#callbacks.push(callback)
  }

  leading(): void {
    this.#state = 'leading'
  }

  /** Given up on purpose: nobody is told. */
  resigned(): void {
    if (this.#state === 'leading') this.#state = 'not leading'
  }

  happened(failure?: CoxswainError): void {
    if (this.#state !== 'leading') return
    this.#state = 'lost'
    this.#failure = failure
    for (const callback of this.#callbacks.splice(0)) callback(failure)
  }

  forget(): void {
    this.#callbacks = []
  }
}

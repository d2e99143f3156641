// Owns what it means for this handle to lead: its epoch, where it ends, and who is told, once, when that is over.
// Must not talk to the database.
import type { CoxswainError } from '../../protocol/errors.ts'
import type { JournalEnd, Writing } from './batch.ts'

/** One leadership of this handle, from its claim on. */
export interface Tenure extends Writing {
  /** Of what is acknowledged. */
  end: JournalEnd
  /** Nothing more is written: deposed, resigned, or the store failed. */
  over: boolean
  /** Why, where the store failed or could not be reached for too long. */
  failure: CoxswainError | undefined
}

/** Who is to be told, once, that this handle leads no more. */
export class Leading {
  #tenure: Tenure | undefined
  #callbacks: ((failure?: CoxswainError) => void)[] = []
  #lost: { failure: CoxswainError | undefined } | undefined

  /** The present one, undefined while this handle does not lead. */
  get tenure(): Tenure | undefined {
    return this.#tenure
  }

  /** True while this handle leads in this epoch, as far as it knows. */
  leads(epoch: number): boolean {
    return this.#tenure?.epoch === epoch
  }

  listen(callback: (failure?: CoxswainError) => void): void {
    if (this.#lost === undefined) this.#callbacks.push(callback)
    else queueMicrotask(() => callback(this.#lost?.failure))
  }

  begin(tenure: Tenure): void {
    this.#tenure = tenure
    this.#lost = undefined
  }

  /** Given up on purpose: nobody is told. What was asked before is still written. */
  resign(): Tenure | undefined {
    const tenure = this.#tenure
    this.#tenure = undefined
    return tenure
  }

  /** It is over. Who listens is told, unless it was given up. */
  end(tenure: Tenure, failure?: CoxswainError): void {
    if (tenure.over) return
    tenure.over = true
    tenure.failure = failure
    if (this.#tenure !== tenure) return
    this.#tenure = undefined
    this.#lost = { failure }
    for (const callback of this.#callbacks.splice(0)) callback(failure)
  }

  /** Nobody is told any more. */
  forget(): void {
    this.#callbacks = []
  }
}

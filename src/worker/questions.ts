// Owns questions to the leader that wait for an answer, over reconnects: what was not answered is asked again.
// Must not know what is asked.

interface Question {
  send(request: number): void
  resolve(answer: never): void
}

export class Questions {
  readonly #open = new Map<number, Question>()
  #serial = 0

  /** Asks by calling `send` with a number of its own, now and after each reconnect, until `answer` is called with it. */
  ask<T>(send: (request: number) => void): Promise<T> {
    return new Promise(resolve => {
      const request = ++this.#serial
      this.#open.set(request, { send, resolve: resolve as (answer: never) => void })
      send(request)
    })
  }

  /** An answer came; one nobody waits for is dropped. */
  answer(request: number, answer: unknown): void {
    const question = this.#open.get(request)
    this.#open.delete(request)
    question?.resolve(answer as never)
  }

  /** There is a new connection. */
  repeat(): void {
    for (const [request, question] of this.#open) question.send(request)
  }
}

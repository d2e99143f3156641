// Owns a connection that is made when it is needed and made again when it broke.
// Must not send anything a second time but what only reads.
import { setTimeout as pause } from 'node:timers/promises'
import { CoxswainError } from '../../protocol/errors.ts'
import { fault, isConnectionFault } from './faults.ts'
import { openSession, type Session, type SessionOptions, type Statement } from './session.ts'

/** A read is tried for so long while no server answers: as long as a primary takes to come back. */
const patienceMs = 5000
const retryMs = 50

/** A session that is there whenever it is asked for. */
export class Line {
  readonly #options: SessionOptions
  #opening: Promise<Session> | undefined
  #session: Session | undefined
  #closed = false

  constructor(options: SessionOptions) {
    this.#options = options
  }

  /** The session, open as far as is known. Rejects as `openSession` does. */
  async session(): Promise<Session> {
    if (this.#closed) throw new CoxswainError('JOURNAL_UNAVAILABLE', 'The store is closed.')
    if (this.#session?.open) return this.#session
    this.#opening ??= openSession(this.#options).finally(() => {
      this.#opening = undefined
    })
    const session = await this.#opening
    if (this.#closed) {
      session.destroy()
      throw new CoxswainError('JOURNAL_UNAVAILABLE', 'The store is closed.')
    }
    this.#session = session
    return session
  }

  /** Runs what only reads; on another connection if this one breaks. */
  async read<T>(statement: Statement, values: readonly unknown[] = []): Promise<T[]> {
    const endMs = performance.now() + patienceMs
    for (;;) {
      try {
        return await (await this.session()).query<T>(statement, values)
      } catch (error) {
        const again = !this.#closed && isConnectionFault(error) && performance.now() < endMs
        if (!again) throw fault(error, 'JOURNAL_UNAVAILABLE', 'The journal on PostgreSQL was not read')
        await pause(retryMs)
      }
    }
  }

  /** Cuts what is open: the next one to ask gets a new session. */
  cut(): void {
    this.#session?.destroy()
    this.#session = undefined
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#session?.close()
  }
}

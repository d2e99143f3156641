// Owns how calls to etcd are made: how long an outcome is asked for again, and what its refusals are in our words.
// Must not know what the journal keeps.
import { CoxswainError } from '../../protocol/errors.ts'
import { type Etcd, EtcdError, type RangeAnswer, type RangeRequest, type TransactionAnswer, type TransactionRequest } from './api.ts'

/** Time, as the store needs it. */
export interface StoreClock {
  /** Milliseconds since some start, never backwards. */
  monotonicMs(): number
  /** Calls back once after `delayMs`; the function returned cancels it. */
  timer(delayMs: number, callback: () => void): () => void
}

/** Between two tries of one call: the first pause, and the longest. */
const [pauseMinMs, pauseMaxMs] = [20, 250]

/** Puts what etcd refused, or did not answer, into our words. */
function writeFailure(error: unknown): CoxswainError {
  if (error instanceof CoxswainError) return error
  // Anything but a refusal of etcd's is a bug of this process.
  if (!(error instanceof EtcdError)) throw error
  const { kind, message } = error
  const details = { id: 'etcd', cause: error }
  switch (kind) {
    case 'noSpace':
      return new CoxswainError(
        'JOURNAL_WRITE_FAILED',
        'etcd has raised NOSPACE and writes nothing: compact and defragment its members or raise --quota-backend-bytes, then run `etcdctl alarm disarm`.',
        details,
      )
    case 'tooLarge':
      return new CoxswainError(
        'JOURNAL_WRITE_FAILED',
        `etcd refused a write as too large; start it with its default limits: ${message}`,
        details,
      )
    case 'closed':
      return new CoxswainError('JOURNAL_WRITE_FAILED', 'The store is closed.', details)
    default:
      return new CoxswainError('JOURNAL_WRITE_FAILED', `etcd did not write (${kind}): ${message}`, details)
  }
}

/** The error of a read that got no answer. */
function readFailure(error: unknown): CoxswainError {
  if (error instanceof CoxswainError) return error
  if (!(error instanceof EtcdError)) throw error
  return new CoxswainError('JOURNAL_UNAVAILABLE', `etcd did not answer (${error.kind}): ${error.message}`, { id: 'etcd', cause: error })
}

/** The calls of one handle. */
export class Caller {
  readonly etcd: Etcd
  readonly clock: StoreClock
  readonly #settleMs: number
  readonly #pauses = new Set<() => void>()
  #closed = false
  /** The newest revision of the store that an answer named. */
  revision = 0
  /** Bytes that were put, over all tries. */
  bytesPut = 0
  /** Told when the store has answered what was sent at this time. */
  heard: ((sentMs: number) => void) | undefined

  constructor(etcd: Etcd, clock: StoreClock, settleMs: number) {
    this.etcd = etcd
    this.clock = clock
    this.#settleMs = settleMs
  }

  /** Calls under way make no further try. */
  close(): void {
    this.#closed = true
    for (const end of [...this.#pauses]) end()
    this.etcd.close()
  }

  /** Reads several ranges at one revision. */
  async read(requests: readonly RangeRequest[]): Promise<RangeAnswer[]> {
    try {
      const { answers } = await this.#again(() => this.etcd.transact({ compare: [], success: requests.map(range => ({ range })) }))
      // Each operation was a range, and so is each answer.
      return answers as RangeAnswer[]
    } catch (error) {
      throw readFailure(error)
    }
  }

  /** Reads one range. */
  async range(request: RangeRequest): Promise<RangeAnswer> {
    return (await this.read([request]))[0]!
  }

  /** Sends a transaction until its outcome is known: the same one again and again, for a bounded time. Throws JOURNAL_WRITE_FAILED. */
  async settle(request: TransactionRequest): Promise<TransactionAnswer> {
    for (const operation of request.success) if ('put' in operation) this.bytesPut += operation.put.value.length
    try {
      return await this.#again(() => this.etcd.transact(request))
    } catch (error) {
      throw writeFailure(error)
    }
  }

  /** Grants a lease and gives its id. Throws JOURNAL_WRITE_FAILED. */
  async lease(ttlSeconds: number): Promise<string> {
    try {
      const { lease } = await this.#again(async () => ({ lease: await this.etcd.grantLease(ttlSeconds), revision: 0 }))
      return lease
    } catch (error) {
      throw writeFailure(error)
    }
  }

  /** Calls until there is an answer. */
  async #again<T extends { revision: number }>(call: () => Promise<T>): Promise<T> {
    const { clock } = this
    const begunMs = clock.monotonicMs()
    for (let pauseMs = pauseMinMs; ; pauseMs = Math.min(pauseMaxMs, pauseMs * 2)) {
      const sentMs = clock.monotonicMs()
      try {
        if (this.#closed) throw new EtcdError('closed', 'The store is closed.')
        const answer = await call()
        this.revision = Math.max(this.revision, answer.revision)
        this.heard?.(sentMs)
        return answer
      } catch (error) {
        const maybe = error instanceof EtcdError && (error.kind === 'unknown' || error.kind === 'unavailable')
        if (!maybe || clock.monotonicMs() - begunMs + pauseMs > this.#settleMs) throw error
      }
      await this.pause(pauseMs)
    }
  }

  /** Waits; `close` ends it. */
  pause(delayMs: number): Promise<void> {
    return new Promise(resolve => {
      const end = (): void => {
        cancel()
        this.#pauses.delete(end)
        resolve()
      }
      const cancel = this.clock.timer(delayMs, end)
      this.#pauses.add(end)
    })
  }
}

// Owns the sign of life of whoever leads, by the database's clock, and hearing that another one claimed.
// Must not be what fences: every append compares for itself.
import { CoxswainError } from '../../protocol/errors.ts'
import { checkIdentity, type WritingTenure } from './commits.ts'
import { fault } from './faults.ts'
import { Line } from './line.ts'
import { channelOf } from './schema.ts'
import type { Session, SessionOptions, Statement } from './session.ts'
import type { Leading } from './tenure.ts'

/** A lease that was not renewed for so long is gone, and who holds it counts itself as deposed. */
export const leaseMs = 3000
const renewMs = 1000
const retryMs = 100
/** A timer that is late by more than this shows that this process stood still; then it has so long to find out whether it still leads. */
const stallMs = 500
const afterStallMs = 1000

/** What a lease is made of. */
export interface LeaseNeeds {
  leading: Leading
  /** It was not renewed in time: whatever is under way ends. */
  expired(): void
}

/** The lease of one handle. */
export class Lease {
  readonly #needs: LeaseNeeds
  readonly #line: Line
  readonly #channel: string
  readonly #renewStatement: Statement
  readonly #releaseStatement: Statement
  #listening: Session | undefined
  #tenure: WritingTenure | undefined
  #renewal: NodeJS.Timeout | undefined
  #deadline: NodeJS.Timeout | undefined

  constructor(options: SessionOptions, needs: LeaseNeeds) {
    const { schema } = options.address
    this.#needs = needs
    this.#line = new Line(options)
    this.#channel = channelOf(schema)
    const ofHolder = `WHERE id = 1 AND epoch = $1 AND EXISTS (SELECT 1 FROM ${schema}.leader WHERE epoch = $1 AND holder = $2)`
    this.#renewStatement = { name: 'renew', text: `UPDATE ${schema}.lease SET renewed_at = clock_timestamp() ${ofHolder} RETURNING epoch` }
    this.#releaseStatement = { name: 'release', text: `UPDATE ${schema}.lease SET renewed_at = '-infinity' ${ofHolder}` }
  }

  /** Listens for claims, from before this handle claims on: so it misses none. */
  async listen(): Promise<Session> {
    const session = await this.#line.session()
    if (session === this.#listening) return session
    // A sign of life need not survive anything, and must not wait for standbys.
    await session.run(`SET synchronous_commit = off; LISTEN ${this.#channel}`)
    session.listen(
      epoch => this.#heard(Number(epoch)),
      () => this.#soon(0),
    )
    this.#listening = session
    return session
  }

  /** Holds it from now on. */
  hold(tenure: WritingTenure): void {
    this.#tenure = tenure
    this.#expireAfter(leaseMs)
    this.#soon(renewMs)
  }

  /** Lets it go, so that others need not wait for its end. */
  async release(tenure: Pick<WritingTenure, 'epoch' | 'holder'>): Promise<void> {
    this.#stop()
    const session = await this.listen()
    await session.query(this.#releaseStatement, [tenure.epoch, tenure.holder])
  }

  async close(): Promise<void> {
    this.#stop()
    await this.#line.close()
  }

  #stop(): void {
    this.#tenure = undefined
    clearTimeout(this.#renewal)
    clearTimeout(this.#deadline)
  }

  #heard(epoch: number): void {
    const tenure = this.#tenure
    if (tenure === undefined || epoch <= tenure.epoch) return
    this.#stop()
    this.#needs.leading.end(tenure)
  }

  #soon(ms: number): void {
    clearTimeout(this.#renewal)
    const tenure = this.#tenure
    if (tenure) this.#renewal = setTimeout(() => void this.#renew(tenure), ms)
  }

  async #renew(tenure: WritingTenure): Promise<void> {
    const startedMs = performance.now()
    try {
      const session = await this.listen()
      checkIdentity(session.identity, tenure.identity)
      const renewed = await session.query(this.#renewStatement, [tenure.epoch, tenure.holder])
      if (this.#tenure !== tenure) return
      if (renewed.length === 0) {
        this.#stop()
        return this.#needs.leading.end(tenure)
      }
      this.#expireAfter(leaseMs - (performance.now() - startedMs))
      this.#soon(renewMs)
    } catch (error) {
      if (this.#tenure !== tenure) return
      const ours = fault(error, 'JOURNAL_UNAVAILABLE', 'The lease was not renewed')
      if (ours.code === 'JOURNAL_WRITE_FAILED') return this.#expire(tenure, ours)
      this.#line.cut()
      this.#soon(retryMs)
    }
  }

  #expireAfter(ms: number): void {
    clearTimeout(this.#deadline)
    const tenure = this.#tenure
    if (tenure === undefined) return
    const dueMs = performance.now() + ms
    this.#deadline = setTimeout(() => {
      // A process that stood still has not tried: it does so first.
      if (performance.now() - dueMs > stallMs) this.#expireAfter(afterStallMs)
      else this.#expire(tenure, new CoxswainError('JOURNAL_UNAVAILABLE', `The lease could not be renewed for ${leaseMs} ms.`))
    }, ms)
  }

  #expire(tenure: WritingTenure, failure: CoxswainError): void {
    this.#stop()
    this.#line.cut()
    this.#needs.leading.end(tenure, failure)
    this.#needs.expired()
  }
}

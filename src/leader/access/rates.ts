// Owns how much each user may ask for in a time, over all its connections.
// Must not slow down the user of a cluster of one machine: nobody else is there to be kept from anything.
import type { Clock } from '../../platform/index.ts'
import type { ClientToLeader } from '../../protocol/index.ts'

/** What a user may ask for, in calls: so many a second, and so many at once after a pause. */
export interface RateLimits {
  callsPerSecond: number
  callsBurst: number
  /** What a question counts that reads much of the journal, or of the audit log. */
  longReadCalls: number
  /** Users that are remembered; those who have all their calls left are forgotten first. */
  usersMax: number
}

const defaultRates: RateLimits = { callsPerSecond: 20_000, callsBurst: 60_000, longReadCalls: 2_000, usersMax: 20_000 }

const longReads = new Set(['story', 'audit', 'auditCheck'])

/** One user's calls. */
export interface Bucket {
  left: number
  atMs: number
}

/** The calls of all users. */
export class Rates {
  readonly #limits: RateLimits
  readonly #clock: Clock
  readonly #buckets = new Map<string, Bucket>()

  constructor(limits: Partial<RateLimits>, clock: Clock) {
    this.#limits = { ...defaultRates, ...limits }
    this.#clock = clock
  }

  /** The bucket of a user, the same for all its connections. */
  of(user: string): Bucket {
    const known = this.#buckets.get(user)
    if (known) return known
    if (this.#buckets.size >= this.#limits.usersMax) this.#forget()
    const bucket = { left: this.#limits.callsBurst, atMs: this.#clock.monotonicMs() }
    this.#buckets.set(user, bucket)
    return bucket
  }

  /** Those that are full again, and where there are none the oldest: a connection that has its bucket goes on with it. */
  #forget(): void {
    const nowMs = this.#clock.monotonicMs()
    for (const [user, bucket] of this.#buckets) {
      this.#fill(bucket, nowMs)
      if (bucket.left >= this.#limits.callsBurst) this.#buckets.delete(user)
    }
    const [oldest] = this.#buckets.keys()
    if (this.#buckets.size >= this.#limits.usersMax && oldest !== undefined) this.#buckets.delete(oldest)
  }

  #fill(bucket: Bucket, nowMs: number): void {
    const { callsPerSecond, callsBurst } = this.#limits
    bucket.left = Math.min(callsBurst, bucket.left + ((nowMs - bucket.atMs) * callsPerSecond) / 1000)
    bucket.atMs = nowMs
  }

  /** Takes what the message counts: 0, or how many milliseconds it is too early. */
  take(bucket: Bucket, message: ClientToLeader): number {
    const { callsPerSecond, callsBurst, longReadCalls } = this.#limits
    this.#fill(bucket, this.#clock.monotonicMs())
    const calls = Math.min(callsBurst, callsOf(message, longReadCalls))
    if (bucket.left < calls) return Math.ceil(((calls - bucket.left) * 1000) / callsPerSecond)
    bucket.left -= calls
    return 0
  }
}

function callsOf(message: ClientToLeader, longReadCalls: number): number {
  if (message.kind === 'submitJobs') return Math.max(1, message.jobs.length)
  return message.kind === 'ask' && longReads.has(message.view) ? longReadCalls : 1
}

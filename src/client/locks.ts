// Owns locks as a client holds them: asking, keeping them by signs of life, knowing when one is lost, giving back.
// Must not believe in a grant longer than the leader does.
import type { Cancel, Clock } from '../platform/index.ts'
import { CoxswainError, type LockMode, limits } from '../protocol/index.ts'
import { type Duration, durationMs } from './amounts.ts'
import type { Parts } from './parts.ts'
import { abortReason } from './pause.ts'

/** How a lock is asked for. */
export interface LockOptions {
  /** Where nothing is heard of this client for so long, its grant ends and others may have the lock; from 1 s to 24 h. Default 10 s. */
  ttl?: Duration
  /** Give up with LOCK_TIMEOUT when it is not granted within this. Default: wait for as long as it takes. */
  wait?: Duration
  /** `write` (default) holds it alone, `read` together with other readers. */
  mode?: 'write' | 'read'
  /** Gives up waiting, with its reason. */
  signal?: AbortSignal
}

/** How a permit of a semaphore is asked for. */
export interface SemaphoreOptions extends Omit<LockOptions, 'mode'> {
  /** How many may hold it at a time: the same number wherever it is used. */
  permits: number
}

const ttlMsDefault = 10_000
/** Signs of life in the shortest time that any grant has. */
const signsPerTtl = 3

/** A lock that this client holds. Give it back with `release`, or hold it with `await using`. */
export class LockGrant implements AsyncDisposable {
  /** The lock's name. */
  readonly name: string
  /** The fencing token: larger than that of every grant before it. Give it to what the lock guards, so that it can refuse an older one. */
  readonly token: number
  /** @internal */
  readonly id: string
  readonly ttlMs: number
  readonly #locks: Locks
  readonly #controller = new AbortController()
  #releasing: Promise<void> | undefined

  /** @internal Made by `cluster.lock`. */
  constructor(locks: Locks, name: string, id: string, token: number, ttlMs: number) {
    this.#locks = locks
    this.name = name
    this.id = id
    this.token = token
    this.ttlMs = ttlMs
  }

  /** Aborts when the grant may be over without having been given back: the reason is a CoxswainError with LOCK_LOST. */
  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** True once the grant may be over without having been given back. */
  get lost(): boolean {
    this.#locks.look()
    return this.#controller.signal.aborted
  }

  /** Gives the lock back; resolves when that is durable. Rejects with LOCK_LOST if it was lost before. */
  release(): Promise<void> {
    this.#releasing ??= this.#release()
    return this.#releasing
  }

  async #release(): Promise<void> {
    if (this.lost) throw lostError(this.name)
    this.#locks.forget(this)
    await this.#locks.unlock(this.id)
  }

  /** @internal Throws LOCK_LOST where it was given back, or may be over. */
  checkHeld(): void {
    if (this.#releasing) throw new CoxswainError('LOCK_LOST', `The lock ${this.name} was given back.`, { id: this.name })
    if (this.lost) throw lostError(this.name)
  }

  /** @internal Nothing was heard of the leader for its time. */
  lose(): void {
    this.#controller.abort(lostError(this.name))
  }

  /** As `release`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.release()
  }
}

function lostError(name: string): CoxswainError {
  return new CoxswainError('LOCK_LOST', `The lock ${name} may be another's by now: the cluster did not answer for its ttl.`, { id: name })
}

/** The locks of one client. */
export class Locks {
  readonly #parts: Parts
  readonly #clock: Clock
  readonly #grants = new Set<LockGrant>()
  /** Of each grant that is held or waited for: when a sign of life was sent with which a leader, as it turned out, kept it. */
  readonly #keptAtMs = new Map<string, number>()
  #asking = false
  #stopTimer: Cancel | undefined

  constructor(parts: Parts) {
    this.#parts = parts
    this.#clock = parts.clock
  }

  /** Resolves when the lock is granted. */
  async lock(name: string, mode: LockMode, permits: number, options: LockOptions): Promise<LockGrant> {
    if (typeof name !== 'string' || name === '' || Buffer.byteLength(name) > limits.nameBytesMax)
      throw new CoxswainError('INVALID_ARGUMENT', `A lock's name is a text of 1 to ${limits.nameBytesMax} bytes.`, { id: 'name' })
    const { ttl, wait, signal } = options
    signal?.throwIfAborted()
    const ttlMs = ttl === undefined ? ttlMsDefault : durationMs(ttl, `ttl of the lock ${name}`, 'INVALID_ARGUMENT')
    const waitMs = wait === undefined ? undefined : durationMs(wait, `wait for the lock ${name}`, 'INVALID_ARGUMENT')
    const startedMs = this.#clock.monotonicMs()
    for (;;) {
      const grant = this.#parts.platform.random.uuid()
      const askedMs = this.#clock.monotonicMs()
      this.#keptAtMs.set(grant, askedMs)
      const asked = this.#parts.session.request({ kind: 'lock', grant, lock: name, mode, permits, ttlMs })
      try {
        const leftMs = waitMs === undefined ? undefined : Math.max(0, startedMs + waitMs - askedMs)
        const reply = await this.#orGivenUp(asked, grant, name, leftMs, signal)
        const made = new LockGrant(this, name, grant, reply.kind === 'granted' ? reply.token : 0, ttlMs)
        this.#grants.add(made)
        this.#keep()
        // It may be over by the time at which it is told: then there is another one to ask for.
        if (!made.lost) return made
      } catch (error) {
        // Its place in the line was lost while the cluster did not hear of this client: it asks for another one.
        if ((error as CoxswainError).code !== 'LOCK_LOST') throw error
      }
    }
  }

  /** While it waits it is kept alive as if it were held; who gives up takes it back. */
  async #orGivenUp<T>(
    asked: Promise<T>,
    grant: string,
    name: string,
    waitMs: number | undefined,
    signal: AbortSignal | undefined,
  ): Promise<T> {
    const gaveUp = Promise.withResolvers<never>()
    gaveUp.promise.catch(nothing)
    const stopWaiting =
      waitMs === undefined
        ? nothing
        : this.#clock.timer(waitMs, () =>
            gaveUp.reject(
              new CoxswainError('LOCK_TIMEOUT', `The lock ${name} was not granted within ${Math.round(waitMs)} ms.`, { id: name }),
            ),
          )
    const aborted = (): void => gaveUp.reject(abortReason(signal!))
    signal?.addEventListener('abort', aborted, { once: true })
    this.#keep()
    try {
      return await Promise.race([asked, gaveUp.promise])
    } catch (error) {
      asked.catch(nothing)
      this.#keptAtMs.delete(grant)
      this.unlock(grant).catch(nothing)
      throw error
    } finally {
      stopWaiting()
      signal?.removeEventListener('abort', aborted)
    }
  }
  /** @internal */
  async unlock(grant: string): Promise<void> {
    await this.#parts.session.request({ kind: 'unlock', grant })
  }

  /** @internal */
  forget(grant: LockGrant): void {
    this.#grants.delete(grant)
    this.#keptAtMs.delete(grant.id)
  }

  /** Tells grants whose time is over that they are lost. */
  look(): void {
    const nowMs = this.#clock.monotonicMs()
    for (const grant of this.#grants) {
      if (nowMs - this.#keptAtMs.get(grant.id)! < grant.ttlMs) continue
      this.forget(grant)
      grant.lose()
      // The leader may have heard of this client all the same, and would keep it for ever.
      this.unlock(grant.id).catch(nothing)
    }
  }

  /** Signs of life for all that is held or waited for. The answer proves that a leader heard them when they were sent or later, and what it kept then. */
  async #confirm(): Promise<void> {
    if (this.#asking) return
    this.#asking = true
    const ids = [...this.#keptAtMs.keys()]
    try {
      for (let from = 0; from < ids.length; from += limits.keptGrantsMax)
        await this.#confirmSome(ids.slice(from, from + limits.keptGrantsMax))
    } catch {
      // The session has ended: its grants are lost in their time.
    } finally {
      this.#asking = false
    }
  }

  async #confirmSome(grants: string[]): Promise<void> {
    const sentMs = this.#clock.monotonicMs()
    const reply = await this.#parts.session.request({ kind: 'keepGrants', grants })
    const over = new Set(reply.kind === 'kept' ? reply.over : grants)
    // One that is over is lost at once; one that is waited for may not have been asked for yet when this was heard, and is told its end itself.
    for (const grant of this.#grants) if (over.has(grant.id)) this.#keptAtMs.set(grant.id, Number.NEGATIVE_INFINITY)
    for (const id of grants) if (!over.has(id) && this.#keptAtMs.has(id)) this.#keptAtMs.set(id, Math.max(this.#keptAtMs.get(id)!, sentMs))
    this.look()
  }

  /** As long as anything is held or waited for. */
  #keep(): void {
    if (this.#stopTimer) return
    const ttlsMs = [...this.#grants].map(grant => grant.ttlMs)
    const pauseMs = Math.min(ttlMsDefault, limits.lockTtlMsMin, ...ttlsMs) / signsPerTtl
    this.#stopTimer = this.#clock.timer(pauseMs, () => {
      this.#stopTimer = undefined
      this.look()
      if (this.#keptAtMs.size === 0) return
      void this.#confirm()
      this.#keep()
    })
  }

  /** Gives back all that is held. */
  async close(): Promise<void> {
    await Promise.allSettled([...this.#grants].map(grant => grant.release()))
    this.#stopTimer?.()
  }
}

function nothing(): void {}

// Owns when each session was last heard, as far as its grants of locks are concerned, and saying whose time is over.
// Must not end a grant by itself: that is a fact, which the loop records.
import type { State } from '../core/index.ts'
import type { Clock } from '../platform/index.ts'
import type { Loop } from './loop.ts'

export class GrantWatch {
  readonly #state: State
  readonly #loop: Loop
  readonly #clock: Clock
  readonly #heardAtMs = new Map<string, number>()
  /** Who was not heard since is counted from here: when this leadership began, or from when this process stood still. */
  #sinceMs: number

  constructor(state: State, loop: Loop, clock: Clock) {
    this.#state = state
    this.#loop = loop
    this.#clock = clock
    this.#sinceMs = clock.monotonicMs()
  }

  /** A sign of life of this session. */
  heard(session: string): void {
    this.#heardAtMs.set(session, this.#clock.monotonicMs())
  }

  /** Ends the grants of sessions that were silent for their time. `stalled`: this process itself was asleep, so nobody is judged. */
  judge(stalled: boolean): void {
    const nowMs = this.#clock.monotonicMs()
    if (stalled) this.#sinceMs = nowMs
    const { bySession } = this.#state.grants
    for (const session of this.#heardAtMs.keys()) if (!bySession.has(session)) this.#heardAtMs.delete(session)
    for (const [session, grants] of bySession) {
      const silentMs = Math.floor(nowMs - Math.max(this.#sinceMs, this.#heardAtMs.get(session) ?? 0))
      let shortestMs = Number.POSITIVE_INFINITY
      for (const { ttlMs } of grants) shortestMs = Math.min(shortestMs, ttlMs)
      if (silentMs >= shortestMs) this.#loop.post({ command: { kind: 'expireGrants', session, silentMs }, bytes: 0, reply: () => {} })
    }
  }
}

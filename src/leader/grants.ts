// Owns when each session was last heard, as far as its grants of locks are concerned, and saying whose time is over.
// Must not end a grant by itself: that is a fact, which the loop records.
import type { State } from '../core/index.ts'
import type { Leadership } from '../journal/index.ts'
import type { Clock } from '../platform/index.ts'
import { CoxswainError } from '../protocol/index.ts'
import type { Loop } from './loop.ts'

export class GrantWatch {
  readonly #state: State
  readonly #loop: Pick<Loop, 'post'>
  readonly #clock: Clock
  readonly #heardAtMs = new Map<string, number>()
  /** Who was not heard since is counted from here: when this leadership began, or from when this process stood still. */
  #sinceMs: number
  /** Sessions whose silence was judged, and how long that was, until it is decided on. */
  readonly #judged = new Map<string, number>()
  readonly #leadership: Pick<Leadership, 'view'>
  /** The question whether this leadership goes on that is under way, and the one after it. */
  #looking: Promise<void> | undefined
  #nextLook: Promise<void> | undefined

  constructor(state: State, loop: Pick<Loop, 'post'>, clock: Clock, leadership: Pick<Leadership, 'view'>) {
    this.#state = state
    this.#loop = loop
    this.#clock = clock
    this.#leadership = leadership
    this.#sinceMs = clock.monotonicMs()
  }

  /** A sign of life of this session. */
  heard(session: string): void {
    this.#heardAtMs.set(session, this.#clock.monotonicMs())
  }

  /** A sign of life of this session, which names grants: says which of them are over. The others go on for their whole time from now. */
  keep(session: string, grants: readonly string[]): string[] {
    this.heard(session)
    const silentMs = this.#judged.get(session) ?? 0
    return grants.filter(id => {
      const grant = this.#state.grants.byId.get(id)
      // A judgement that is on its way will end it, whatever was heard since.
      return grant?.session !== session || grant.ttlMs <= silentMs
    })
  }

  /** Resolves when the store has said, after this call, that nobody else leads. Rejects with FENCED if somebody does, or with what the store says. */
  leads(): Promise<void> {
    if (!this.#looking) return this.#look()
    this.#nextLook ??= this.#looking.catch(nothing).then(() => {
      this.#nextLook = undefined
      return this.#look()
    })
    return this.#nextLook
  }

  #look(): Promise<void> {
    const looking = this.#view().finally(() => {
      this.#looking = undefined
    })
    this.#looking = looking
    return looking
  }

  async #view(): Promise<void> {
    const { epoch, leader } = await this.#leadership.view()
    if (epoch !== this.#state.epoch) throw new CoxswainError('FENCED', `${leader} leads epoch ${epoch}.`, { id: leader })
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
      if (silentMs < shortestMs || this.#judged.has(session)) continue
      this.#judged.set(session, silentMs)
      const judged = (): void => void this.#judged.delete(session)
      this.#loop.post({ command: { kind: 'expireGrants', session, silentMs }, bytes: 0, reply: judged })
    }
  }
}

function nothing(): void {}

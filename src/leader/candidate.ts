// Owns a candidate's life: stand by, lead when it is its turn, stand by again after handing over.
// Must not go on after it lost its leadership: its process drops everything and starts anew.
import { priorityDefault, type State } from '../core/index.ts'
import type { LeadershipView } from '../journal/index.ts'
import type { PeerCertificate, Platform } from '../platform/index.ts'
import { CoxswainError, type Principal } from '../protocol/index.ts'
import { Door } from './door.ts'
import { handedOver, Leader, type LeaderOptions } from './leader.ts'
import { Standby } from './standby.ts'
import { processVitals } from './vitals.ts'

/** What a candidate works with: what it leads with, and what it needs to stand by. */
export interface CandidateOptions extends LeaderOptions {
  /** What proves to a leader that this is a node of its cluster. */
  token(): Promise<string>
  /** Ends a leader that is silent and still lives: same machine, pid and start time. */
  kill?(leader: LeadershipView): void
  /** In a journal that nobody ever led: how long to leave that to the others. Default 0. */
  firstDelayMs?: number
  /** It follows a leader: the first time, and whenever it follows another one. */
  standsBy?(leader: LeadershipView): void
  /** It listens also while it stands by, and says who leads. Candidates of one machine that share a port cannot. Default false. */
  listensAlways?: boolean
}

/** Errors of a claim after which it is waited for the next turn. */
const notYetCodes = new Set(['FENCED', 'STATE_FOLDER_IN_USE'])

/** One candidate: `run` it once. */
export class Candidate {
  readonly #options: CandidateOptions
  readonly #platform: Platform
  readonly #door: Door | undefined
  #standby: Standby | undefined
  #leader: Leader | undefined
  #stopReason: string | undefined

  constructor(options: CandidateOptions, platform: Platform) {
    this.#options = options
    this.#platform = platform
    this.#door = options.listensAlways ? new Door(options, platform, true) : undefined
  }

  /** Stands by and leads, until `stop` or the loss of a leadership, whose reason it resolves with. Rejects with what cannot be mended by trying again. */
  async run(): Promise<string> {
    const address = await this.#door?.open(false)
    for (;;) {
      const standby = this.#newStandby(address)
      this.#standby = standby
      this.#door?.know(() => standby.state && { state: standby.state, nowMs: standby.state.nowMs })
      const leader = await this.#takeTurn(standby)
      this.#standby = undefined
      if (!leader) return this.#stopReason ?? 'stopped'
      const reason = await leader.ended
      this.#leader = undefined
      if (this.#stopReason !== undefined || reason !== handedOver) return reason
    }
  }

  #newStandby(address: string | undefined): Standby {
    const { id, store, token, kill, standsBy, priority, firstDelayMs, vitals, check, nodes } = this.#options
    return new Standby(
      {
        id,
        store,
        ...(address !== undefined && { address }),
        token,
        priority: priority ?? priorityDefault,
        pid: (vitals ?? processVitals())().pid,
        firstDelayMs: firstDelayMs ?? 0,
        ...(kill && { kill }),
        ...(nodes && { identity: nodes.identity }),
        following: leader => {
          this.#door?.standBy(leader.address, leader.epoch)
          standsBy?.(leader)
        },
        ...(check && { check }),
      },
      this.#platform,
    )
  }

  /** Waits until it leads; undefined if it is stopped before. */
  async #takeTurn(standby: Standby): Promise<Leader | undefined> {
    for (;;) {
      const state: State | undefined = await standby.turn()
      if (!state || this.#stopReason !== undefined) return undefined
      const leader = new Leader(this.#options, this.#platform, this.#door)
      try {
        await leader.start(state)
      } catch (error) {
        if (!(error instanceof CoxswainError) || !notYetCodes.has(error.code)) throw error
        this.#platform.log('info', 'claim-refused', { code: error.code, message: error.message })
        await standby.refused(error.code === 'STATE_FOLDER_IN_USE')
        continue
      }
      this.#leader = leader
      if (this.#stopReason !== undefined) await leader.stop(this.#stopReason)
      return leader
    }
  }

  /** Whom a certificate proves, by the facts that this candidate knows; its chain was verified before. */
  principalOf(certificate: PeerCertificate): Principal | undefined {
    return this.#leader?.principalOf(certificate) ?? this.#standby?.principalOf(certificate)
  }

  /** Ends it in good order: a leader hands over if somebody stands by, a standby takes its leave. */
  async stop(reason: string): Promise<void> {
    this.#stopReason = reason
    this.#standby?.stop()
    await this.#leader?.stop(reason)
    await this.#door?.close()
  }
}

// Owns a leadership from the claim to its end: recover, claim, listen, lead, let go.
// Must not restart itself: a leader that lost its leadership is over, and its process starts anew.
import { type CoreLimits, nodePrincipal, priorityDefault, type SettleOptions, type State } from '../core/index.ts'
import type { Store } from '../journal/index.ts'
import type { PeerCertificate, Platform } from '../platform/index.ts'
import { CoxswainError, encodeRecords, type Principal } from '../protocol/index.ts'
import { notYetLeading } from './absence.ts'
import type { RateLimits } from './access/rates.ts'
import { Archivist, lookEveryMs } from './archivist.ts'
import type { AuditOptions } from './audit/audit.ts'
import type { NodeOptions } from './authority.ts'
import { type Claimant, claim } from './claim.ts'
import type { LeaderContext, Vitals } from './context.ts'
import { silenceBoundMaxMs } from './detector.ts'
import { Door, type DoorOptions } from './door.ts'
import type { BlockDrops } from './drops.ts'
import { furnish } from './furnish.ts'
import { recover } from './recover.ts'
import type { SecretSealer } from './secrets.ts'
import { pulseMs, Sessions } from './sessions.ts'
import { promotionProblem, successorOf } from './succession.ts'
import { processVitals } from './vitals.ts'

/** A tick that is late by more than this shows that this process was asleep. */
const stallMs = 500

/** So long the end of a leadership waits for what is under way, before everybody is sent away. */
const answersMsMax = 200
/** So long the end of a leadership waits for the last lines of the audit log. */
const auditCloseMsMax = 1000

/** The reason with which a leadership ends that was handed over. */
export const handedOver = 'handed over'

/** Where clients and workers find the leader. */
export interface Endpoint {
  address: string
  cluster: string
  epoch: number
}

/** What a candidate leads with. */
export interface LeaderOptions extends DoorOptions {
  /** Name of this candidate. */
  id: string
  /** Opened by the caller, and closed by it after `stop`. */
  store: Store
  /** Told once this process leads and listens. */
  announce(endpoint: Endpoint): Promise<void>
  limits?: Partial<CoreLimits>
  policy?: SettleOptions['policy']
  /** Where calls that change something, and those that are denied, are written down; without it nowhere. */
  audit?: AuditOptions
  /** What each user may ask for in a time. */
  rates?: Partial<RateLimits>
  /** P0 of this candidate. */
  priority?: number
  /** Start time of this process as its system tells it, so that a successor kills the right one. */
  processStart?: string
  vitals?: () => Vitals
  /** Keeps secrets; without it there can be none. All candidates of a cluster must have the same keys. */
  sealer?: SecretSealer
  /** Id of the cluster that this node belongs to. Without it any journal is led, and a new cluster gets an id of its own. */
  cluster?: string
  /** Only in a cluster of several machines. */
  nodes?: NodeOptions
  /** Run after every record of a leader, and after each catching up of a standby, in tests. */
  check?: (state: State) => void
}

const deposed = (): CoxswainError => new CoxswainError('FENCED', 'The store says that another candidate leads.')

/** One leadership: `start` it once; it is over when `ended` resolves. */
export class Leader {
  readonly #options: LeaderOptions
  readonly #platform: Platform
  readonly #door: Door
  #sessions: Sessions | undefined
  #context: LeaderContext | undefined
  #archivist: Archivist | undefined
  #drops: BlockDrops | undefined
  #stopped = false
  #end!: (reason: string) => void
  /** Resolves with the reason when the leadership is over, by `stop` or by loss. */
  readonly ended = new Promise<string>(resolve => {
    this.#end = resolve
  })

  /** `door`: the candidate's, which is open always; without it the leader has its own, as long as it leads. */
  constructor(options: LeaderOptions, platform: Platform, door = new Door(options, platform, false)) {
    this.#options = options
    this.#platform = platform
    this.#door = door
  }

  /**
   * Recovers (or goes on from what a standby has `applied`), claims and begins to lead. Throws what the store, the port or the
   * announcement says; then it does not lead.
   */
  async start(applied?: State): Promise<void> {
    const { store, cluster } = this.#options
    const before = applied ?? (await recover(store))
    if (cluster && before.cluster !== '' && before.cluster !== cluster)
      throw new CoxswainError('WRONG_CLUSTER', `The journal is of cluster ${before.cluster}; this node belongs to ${cluster}.`)
    const address = await this.#door.open(applied !== undefined && before.epoch > 0)
    let state: State
    try {
      state = await claim(this.#claimant(applied?.epoch), before, address, this.#platform)
    } catch (error) {
      await this.#door.leave(notYetLeading)
      throw error
    }
    this.#lead(state, address)
    try {
      await this.#options.announce({ address, cluster: state.cluster, epoch: state.epoch })
    } catch (error) {
      await this.#shutDown('it could not be announced')
      throw error
    }
  }

  #claimant(replaces: number | undefined): Claimant {
    const { id, store, priority, processStart, vitals, cluster } = this.#options
    return {
      id,
      store,
      priority: priority ?? priorityDefault,
      pid: (vitals ?? processVitals())().pid,
      processStart: processStart ?? '',
      replaces,
      ...(cluster && { cluster }),
    }
  }

  #lead(state: State, address: string): void {
    const { store } = this.#options
    const platform = this.#platform
    const { clock } = platform
    const { context, drops } = furnish(
      this.#options,
      platform,
      { state, address },
      {
        promote: (candidate, begun) => this.#promote(candidate, begun),
        lost: error => this.#lose(error),
        unreadable: error => void this.#unreadable(error, state.epoch),
      },
    )
    const { audit, office, enrolment, schedules, loop, nowMs } = context
    this.#context = context
    this.#drops = drops
    this.#sessions = new Sessions(this.#context, epoch => this.#lose(new CoxswainError('FENCED', `A peer has seen epoch ${epoch}.`)))
    const sessions = this.#sessions
    this.#door.know(() => ({ state, nowMs: nowMs() }))
    this.#door.lead(
      (connection, principal) => sessions.accept(connection, principal),
      (from, what, who) =>
        audit?.note(
          { who: who?.name ?? '', credential: who?.credential ?? '', from, what, id: '' },
          'denied',
          who ? 'FORBIDDEN' : 'UNAUTHENTICATED',
        ),
      enrolment && (request => enrolment.answer(request)),
    )
    office?.start()
    this.#archivist = new Archivist(store, state, platform)
    // An append that was refused knows more, and is heard first.
    store.leadership.onLost(failure => clock.soon(() => this.#lose(failure ?? deposed())))
    this.#sessions.expectReturn()
    this.#tick(clock.monotonicMs())
    schedules.look()
    loop.schedule()
    platform.log('info', 'leading', { epoch: state.epoch, cluster: state.cluster, address, index: state.index, jobs: state.jobs.byId.size })
  }

  /** Whom a certificate proves, by the facts that this leader knows; undefined before it leads. */
  principalOf(certificate: PeerCertificate): Principal | undefined {
    return this.#context && nodePrincipal(certificate, this.#context.state)
  }

  #tick(beforeMs: number, lookedMs = beforeMs): void {
    const { clock } = this.#platform
    clock.timer(pulseMs, () => {
      if (this.#stopped) return
      const nowMs = clock.monotonicMs()
      this.#sessions!.pulse()
      this.#context!.office?.look()
      this.#drops!.flush()
      const lateMs = nowMs - beforeMs - pulseMs
      // Whoever was silent for so long has been given up by its standbys: it goes before it is told, or killed.
      if (lateMs > silenceBoundMaxMs && this.#context!.links.candidates.size > 0)
        return this.#lose(new CoxswainError('FENCED', `This process stood still for ${Math.round(lateMs)} ms: another candidate may lead.`))
      this.#sessions!.judge(nowMs, lateMs > stallMs)
      this.#context!.grants.judge(lateMs > stallMs)
      const look = nowMs - lookedMs >= lookEveryMs
      if (look) void this.#archivist!.look()
      this.#tick(nowMs, look ? nowMs : lookedMs)
    })
  }

  #lose(error: CoxswainError): void {
    if (this.#stopped) return
    this.#platform.log('error', 'leadership-lost', { code: error.code, message: error.message })
    void this.#shutDown(`${error.code}: ${error.message}`)
  }

  /** Inputs cannot be read. Where another one leads it may have released them: then that is the news, and no damage. */
  async #unreadable(error: unknown, epoch: number): Promise<void> {
    const view = await this.#options.store.leadership.view().catch(() => undefined)
    if (view && view.epoch > epoch) return this.#lose(deposed())
    // A store that does not answer has lost nothing.
    const silent = error instanceof CoxswainError && error.code === 'JOURNAL_UNAVAILABLE'
    this.#lose(silent ? error : new CoxswainError('JOURNAL_CORRUPT', `Inputs cannot be read: ${String(error)}`))
  }

  #promote(candidate: string, begun: () => void): CoxswainError | undefined {
    const leads = candidate === this.#options.id
    const problem = leads ? undefined : promotionProblem(this.#context!, candidate)
    if (problem) return problem
    begun()
    if (!leads) void this.#handOverOrLose(candidate)
    return undefined
  }

  /** A store that fails meanwhile ends the leadership too, without a successor's name. */
  async #handOverOrLose(to: string): Promise<void> {
    try {
      await this.#handOver(to)
    } catch (error) {
      this.#lose(error instanceof CoxswainError ? error : new CoxswainError('JOURNAL_WRITE_FAILED', String(error)))
    }
  }

  /**
   * The last record of this epoch says who follows; then the store is let go and the successor is told. What was not answered is asked again
   * there. Its end tells `handedOver`.
   */
  async #handOver(to: string): Promise<void> {
    if (this.#stopped) return
    const { loop, state, store, links, platform } = this.#context!
    await loop.end()
    if (this.#stopped) return
    const { epoch } = state
    const records = encodeRecords([{ kind: 'LeaderResigned', epoch, to }])
    const outcome = await store.journal.append({ epoch, firstIndex: state.index + 1, count: 1, records, payloads: [], drops: [] })
    if (outcome === 'fenced') return this.#lose(new CoxswainError('FENCED', 'Another candidate leads already.'))
    await store.leadership.resign()
    platform.log('info', 'handed-over', { epoch, to })
    for (const link of links.candidates.values()) link.send({ kind: 'resigned', epoch, to })
    await this.#shutDown(handedOver)
  }

  /** Ends the leadership in good order: hands over if somebody stands by, else what was answered is durable, a snapshot makes the next start quick. */
  async stop(reason: string): Promise<void> {
    const to = this.#context && !this.#stopped ? successorOf(this.#context) : undefined
    if (to !== undefined) await this.#handOverOrLose(to)
    if (!this.#stopped && this.#archivist) {
      await this.#context!.loop.end()
      await this.#archivist.look(1)
    }
    await this.#shutDown(reason)
  }

  /** A disk that does not answer must not keep the next leader waiting for this process. */
  async #closeAudit(): Promise<void> {
    const audit = this.#context?.audit
    if (!audit) return
    await Promise.race([audit.close(), this.#passes(auditCloseMsMax)])
  }

  #passes(ms: number): Promise<void> {
    return new Promise(resolve => this.#platform.clock.timer(ms, resolve))
  }

  async #shutDown(reason: string): Promise<void> {
    if (this.#stopped) return
    this.#stopped = true
    this.#context?.schedules.stop()
    this.#context?.office?.stop()
    const ended = this.#context?.loop.end() ?? Promise.resolve()
    // The end of appends that no store answers takes long, and meanwhile nobody is to be welcomed by who leads no more.
    await Promise.race([ended, this.#passes(answersMsMax)])
    await this.#door.leave('it leads no more')
    await ended
    await this.#closeAudit()
    this.#end(reason)
  }
}

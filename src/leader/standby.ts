// Owns standing by: it applies what the leader journals, watches the leader, and says when it is this candidate's turn to claim.
// Must not claim, and must not write to the store.
import { nodePrincipal, type State } from '../core/index.ts'
import type { LeadershipView } from '../journal/index.ts'
import type { Connection, PeerCertificate, Platform } from '../platform/index.ts'
import {
  type CandidateToLeader,
  CoxswainError,
  candidateToLeader,
  decodeMessage,
  type ErrorCode,
  encodeMessage,
  errorFromWire,
  hello,
  leaderToCandidate,
  type NodeIdentity,
  type Principal,
  protocolVersion,
  release,
  welcome,
  limits as wire,
} from '../protocol/index.ts'
import { Absence, notYetLeading } from './absence.ts'
import { SilenceDetector } from './detector.ts'
import { leaseEnded, placeDelayMs } from './line.ts'
import { catchUpWithJournal, recover } from './recover.ts'
import type { StandbyOptions } from './standby-options.ts'

/** A leader may stand still for so long (a large collection, a busy disk) without being given up. */
const leaderSilenceMinMs = 2000
/** How often it looks whether the leader is heard. */
const lookMs = 100
/** A look that is late by more than this shows that this process was asleep: nobody is judged by that time. */
const stallMs = 500
/** Between two tries to reach a leader that does not answer, or to claim from one that lets go. */
const retryMs = 25
/** What must be told of blocks that nobody needs is remembered up to this number; older ones stay on their workers' disks. */
const blockDropsMax = 100_000
/** Refusals after which trying again makes no sense, if who refused leads this store. */
const finalCodes: readonly ErrorCode[] = ['VERSION_MISMATCH', 'WRONG_CLUSTER', 'FORBIDDEN', 'UNAUTHENTICATED']

/** How the watch over a leader ended. */
type Ended = 'unreachable' | 'absent' | 'starting' | 'refused' | 'closed' | 'silent' | 'resigned' | 'stopped'

/** Follows leader after leader until it is this candidate's turn. */
export class Standby {
  readonly #options: StandbyOptions
  readonly #platform: Platform
  readonly #boot: string
  /** What it has applied so far: for those who only look. */
  state: State | undefined
  #connection: Connection | undefined
  #stop: () => void = () => {}
  #stopped = false
  readonly #absence: Absence
  /** What keeps this node's certificate, while it follows a leader. */
  #certificates: ReturnType<NodeIdentity['attach']> | undefined
  #tailing: Promise<void> | undefined
  /** Whoever answers at the leader's address does not want this candidate: it may be a stranger that has the port now. */
  #refusal: CoxswainError | undefined

  constructor(options: StandbyOptions, platform: Platform) {
    this.#options = options
    this.#platform = platform
    this.#boot = platform.random.uuid()
    this.#absence = new Absence(platform.clock)
  }

  /** Whom a certificate proves, as far as this standby knows: it only says who leads, and that to nodes which are newer than its facts too. */
  principalOf(certificate: PeerCertificate): Principal | undefined {
    return this.state && nodePrincipal(certificate, this.state, true)
  }

  /** Takes its leave; `turn` resolves with undefined. */
  stop(): void {
    this.#stopped = true
    this.#send({ kind: 'leaving' })
    this.#connection?.close('it ends')
    this.#stop()
  }

  /**
   * Resolves with the applied state when it is this candidate's turn to claim, or with undefined after `stop`. A claim that fails is followed
   * by another `turn`. Throws what the journal says, and the leader's refusal for good.
   */
  async turn(): Promise<State | undefined> {
    const { store } = this.#options
    if (!this.state) {
      this.state = await recover(store)
      this.#options.check?.(this.state)
    }
    for (;;) {
      if (this.#stopped) return undefined
      const view = await store.leadership.view()
      const ended = view.epoch === 0 ? 'unreachable' : view.address === this.#options.address ? 'absent' : await this.#watch(view)
      if (ended === 'stopped' || this.#stopped) return undefined
      // It was heard a moment ago: one more dial tells a broken connection from a dead leader.
      if (ended === 'closed') continue
      if (ended === 'starting' && !this.#absence.missed(view.epoch).long) {
        await this.#pause(retryMs)
        continue
      }
      if (await this.#mayClaim(view, ended)) return this.state
    }
  }

  /** Waits for this candidate's place in the line; false if another one was faster. */
  async #mayClaim(view: LeadershipView, ended: Ended): Promise<boolean> {
    const { store, kill } = this.#options
    // What this standby's own reads take from here on is no silence of the leader's.
    const missed = this.#absence.missed(view.epoch)
    await this.#tail()
    // That it could not be reached once is old news after slow reads.
    if ((ended === 'unreachable' || ended === 'absent') && this.#absence.outdated(missed)) return false
    await this.#pause(view.epoch === 0 ? this.#options.firstDelayMs : placeDelayMs(this.state!, this.#options.id))
    const now = await store.leadership.view()
    if (this.#stopped || now.epoch !== view.epoch) return false
    // It can be reached by the store, so perhaps only not by this standby.
    if (now.lease === 'held' && (ended === 'unreachable' || ended === 'refused')) {
      await this.#pause(lookMs)
      return false
    }
    if (now.lease === 'held' && ended === 'silent') {
      const look = () => this.#pause(lookMs).then(() => (this.#stopped ? undefined : store.leadership.view()))
      if (!(await leaseEnded(view.epoch, leaderSilenceMinMs / lookMs, look))) return false
    }
    const dumb = ended === 'unreachable' || ended === 'absent' || ended === 'starting'
    if (view.epoch > 0 && (ended === 'silent' || (dumb && missed.long))) kill?.(view)
    return true
  }

  /**
   * The claim was refused: a moment later it is tried again. `held`: the leader still holds the store; throws if that leader does not want this
   * candidate.
   */
  async refused(held: boolean): Promise<void> {
    if (held && this.#refusal && finalCodes.includes(this.#refusal.code)) throw this.#refusal
    await this.#pause(retryMs)
  }

  #pause(ms: number): Promise<void> {
    if (ms <= 0 || this.#stopped) return Promise.resolve()
    return new Promise(resolve => {
      const cancel = this.#platform.clock.timer(ms, resolve)
      this.#stop = () => {
        cancel()
        resolve()
      }
    })
  }

  /** Connects to the leader and follows it until that ends. */
  async #watch(view: LeadershipView): Promise<Ended> {
    const token = await this.#options.token()
    const { clock, transport } = this.#platform
    const detector = new SilenceDetector(clock.monotonicMs(), leaderSilenceMinMs)
    let welcomed = false
    let over = false
    let cancelLook = (): void => {}
    return new Promise<Ended>((resolve, reject) => {
      const settle = (act: () => void): void => {
        if (over) return
        over = true
        cancelLook()
        this.#leave()
        connection.close('it does not follow any more')
        act()
      }
      const end = (ended: Ended): void => settle(() => resolve(ended))
      const fail = (error: unknown): void => settle(() => reject(error))
      const refuse = (error: CoxswainError): void => {
        this.#refusal = error
        this.#platform.log('warn', 'not-followed', { leader: view.leader, address: view.address, code: error.code, message: error.message })
        end('refused')
      }
      const look = (dueMs: number): void => {
        cancelLook = clock.timer(lookMs, () => {
          // What has arrived is read first: a process that was stopped runs its overdue timers before that.
          clock.soon(() => {
            if (over) return
            const nowMs = clock.monotonicMs()
            if (nowMs - dueMs > stallMs) detector.forgive(nowMs)
            if (detector.dead(nowMs)) end('silent')
            else look(nowMs + lookMs)
          })
        })
      }
      const connection = transport.connect(view.address, token, wire.frameBytesMax, {
        opened: () => connection.send(this.#hello(view)),
        frame: bytes => {
          if (over) return
          try {
            detector.seen(clock.monotonicMs())
            if (welcomed) this.#heard(bytes, end, fail)
            else {
              const answer = decodeMessage(welcome, bytes)
              if (answer.kind === 'refused') return refuse(errorFromWire(answer.code, answer.message, { id: view.leader }))
              // It leads no more: the store knows who does.
              if (answer.kind === 'elsewhere') return end('closed')
              welcomed = true
              this.#refusal = undefined
              this.#absence.over()
              this.#follow()
              this.#tailThen(fail)
              this.#options.following?.(view)
            }
          } catch (error) {
            fail(error)
          }
        },
        closed: (reason, refusedWith, absent) => {
          if (refusedWith === 401 || refusedWith === 403)
            refuse(new CoxswainError('UNAUTHENTICATED', `The leader does not accept the credential of this candidate: ${reason}.`))
          else if (welcomed) end('closed')
          else end(reason === notYetLeading ? 'starting' : absent ? 'absent' : 'unreachable')
        },
      })
      this.#connection = connection
      this.#stop = () => end('stopped')
      look(clock.monotonicMs() + lookMs)
    })
  }

  /** A leader welcomed it. */
  #follow(): void {
    const { identity, priority, pid } = this.#options
    this.#certificates = identity?.attach(message => this.#send(message))
    this.#send({ kind: 'standBy', priority, pid })
  }

  #leave(): void {
    this.#connection = undefined
    this.#certificates?.ended()
    this.#certificates = undefined
  }

  #hello(view: LeadershipView): Buffer {
    const { cluster, epoch } = this.state!
    return encodeMessage(hello, {
      protocol: protocolVersion,
      release,
      role: 'candidate' as const,
      name: this.#options.id,
      cluster,
      epochSeen: Math.max(epoch, view.epoch),
      session: this.#boot,
    })
  }

  #heard(bytes: Uint8Array, end: (ended: Ended) => void, fail: (error: unknown) => void): void {
    const message = decodeMessage(leaderToCandidate, bytes)
    switch (message.kind) {
      case 'pulse':
        if (message.index > this.state!.index) this.#tailThen(fail)
        return this.#send({ kind: 'applied', index: this.state!.index })
      case 'resigned':
        return end('resigned')
      case 'refused':
        return fail(errorFromWire(message.code, message.message, { id: this.#options.id }))
      default:
        return this.#certificates?.heard(message)
    }
  }

  #send(message: CandidateToLeader): void {
    this.#connection?.send(encodeMessage(candidateToLeader, message))
  }

  #tailThen(fail: (error: unknown) => void): void {
    if (this.#tailing) return
    this.#tail().then(() => this.#send({ kind: 'applied', index: this.state!.index }), fail)
  }

  /** Applies what is in the journal by now: one at a time, so the next one is in its place before anything else can ask. */
  #tail(): Promise<void> {
    const before = this.#tailing?.catch(() => undefined) ?? Promise.resolve()
    const tailing = before
      .then(() => this.#catchUp())
      .finally(() => {
        if (this.#tailing === tailing) this.#tailing = undefined
      })
    this.#tailing = tailing
    return tailing
  }

  async #catchUp(): Promise<void> {
    this.state = await catchUpWithJournal(this.#options.store, this.state!, (index, now) =>
      this.#platform.log('info', 'fell-behind', { index, now }),
    )
    this.#options.check?.(this.state)
    const { blockDrops } = this.state
    if (blockDrops.length > blockDropsMax) blockDrops.splice(0, blockDrops.length - blockDropsMax)
  }
}

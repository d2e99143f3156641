// Owns greeting who connects, and telling workers from clients. Must not answer anything else.
import { forgetWorker } from '../core/index.ts'
import type { Connection, ConnectionHandlers } from '../platform/index.ts'
import {
  type Codec,
  CoxswainError,
  candidateToLeader,
  clientToLeader,
  decodeMessage,
  encodeMessage,
  type Hello,
  hello,
  type NodeRole,
  type Principal,
  protocolVersion,
  release,
  type Welcome,
  welcome,
  limits as wire,
  workerToLeader,
} from '../protocol/index.ts'
import { stillStands, whenExpired } from './access/authenticate.ts'
import { ClientGate, sessionOf } from './access/gate.ts'
import { candidatePolicy, workerPolicy } from './access/policy.ts'
import { Trail } from './audit/trail.ts'
import { ClientSession } from './clients.ts'
import type { LeaderContext } from './context.ts'
import { CandidateLink, ClientLink, WorkerLink } from './links.ts'
import type { LogReadings } from './logs.ts'
import type { NodePeer } from './nodes.ts'
import { mismatchOf, mustBe } from './roles.ts'
import { StandbySession } from './standbys.ts'
import { WorkerSession } from './workers.ts'

/** How often the leader says that it lives, and workers likewise. */
export const pulseMs = 500
/** A client that is away for this long is gone: jobs that end with their client end. */
const sessionGraceMs = 10_000
/** Workers in the journal have this long to connect to a new leader before they are declared lost. */
const reconnectMs = 3000
/** A peer that does not say hello within this is disconnected. */
const helloMs = 10_000

interface Receiver {
  frame(bytes: Uint8Array): void
  closed(reason: string): void
}

export class Sessions {
  readonly #context: LeaderContext
  readonly #logs: LogReadings
  readonly #workers = new Map<WorkerLink, WorkerSession>()
  readonly #standbys = new Map<CandidateLink, StandbySession>()
  readonly #graces = new Map<string, () => void>()
  /** Called when a peer has seen a newer epoch than ours. */
  readonly #deposed: (epoch: number) => void

  constructor(context: LeaderContext, deposed: (epoch: number) => void) {
    this.#context = context
    this.#deposed = deposed
    this.#logs = context.logs
  }

  accept(connection: Connection, principal: Principal): ConnectionHandlers {
    let receiver: Receiver | undefined
    let refused = false
    const cancelHello = this.#context.platform.clock.timer(helloMs, () => connection.close('it did not say hello'))
    return {
      opened: () => {},
      frame: bytes => {
        try {
          // Its end is under way: nothing that it still says counts.
          if (refused) return
          if (receiver) return receiver.frame(bytes)
          cancelHello()
          receiver = this.#greet(connection, principal, decodeMessage(hello, bytes))
          refused = !receiver
        } catch (error) {
          if (!(error instanceof CoxswainError)) throw error
          this.#context.platform.log('warn', 'bad-frame', { remote: connection.remote, code: error.code, message: error.message })
          refused = true
          connection.close(`${error.code}: ${error.message}`)
        }
      },
      closed: reason => {
        cancelHello()
        receiver?.closed(reason)
      },
    }
  }

  #greet(connection: Connection, principal: Principal, said: Hello): Receiver | undefined {
    const { state, id } = this.#context
    const problem = this.#problem(principal, said)
    const answer: Welcome = problem
      ? { kind: 'refused', code: problem.code, message: problem.message }
      : { kind: 'welcome', protocol: protocolVersion, release, cluster: state.cluster, epoch: state.epoch, leader: id, pulseMs }
    connection.send(encodeMessage(welcome, answer))
    if (problem) {
      if (problem.code === 'FORBIDDEN' || problem.code === 'UNAUTHENTICATED') this.#denied(connection, principal, said, problem.code)
      connection.close(problem.code)
      return undefined
    }
    if (said.role === 'candidate') return this.#candidate(connection, principal, said)
    return said.role === 'worker' ? this.#worker(connection, principal, said) : this.#client(connection, principal, said)
  }

  #denied({ remote }: Connection, { name, credential }: Principal, said: Hello, code: string): void {
    this.#context.audit?.note({ who: name, credential, from: remote, what: `connect as ${said.role}`, id: said.name }, 'denied', code)
  }

  /** The node behind a link, where its certificate is one of this cluster's. */
  #peer(link: WorkerLink | CandidateLink, role: NodeRole, { credential }: Principal): NodePeer | undefined {
    if (!this.#context.office || !this.#context.state.nodes.byName.get(link.id)?.certificates.has(credential)) return undefined
    const peer: NodePeer = {
      name: link.id,
      role,
      credential,
      remote: link.connection.remote,
      send: message => {
        if (message.kind !== 'authorityKey') link.send(message)
        else if (link instanceof CandidateLink) link.send(message)
      },
      close: reason => {
        link.connection.close(reason)
        link.closed = true
      },
    }
    this.#context.office.came(peer)
    return peer
  }

  #problem(principal: Principal, said: Hello): CoxswainError | undefined {
    const { state } = this.#context
    if (said.protocol !== protocolVersion)
      return new CoxswainError(
        'VERSION_MISMATCH',
        `${said.name} speaks protocol ${said.protocol} (release ${said.release}); this leader speaks ${protocolVersion} (release ${release}).`,
      )
    if (said.cluster !== '' && said.cluster !== state.cluster)
      return new CoxswainError('WRONG_CLUSTER', `${said.name} belongs to cluster ${said.cluster}; this is ${state.cluster}.`)
    if (principal.kind === 'node' && state.nodes.revoked.has(principal.credential))
      return new CoxswainError('NODE_REVOKED', `The certificate of ${said.name} was revoked.`, { id: said.name })
    const mismatch = mismatchOf(principal, said)
    if (mismatch !== undefined) return new CoxswainError('FORBIDDEN', mismatch, { id: said.name })
    // It may have been revoked since it was shown at the door.
    if (!stillStands(state, principal))
      return new CoxswainError('UNAUTHENTICATED', 'The credential is not good any more.', { id: said.name })
    if (Buffer.byteLength(sessionOf(principal, said.session)) > wire.nameBytesMax)
      return new CoxswainError('INVALID_ARGUMENT', 'The name of the session is too long.', { id: said.name })
    if (said.epochSeen > state.epoch) {
      this.#deposed(said.epochSeen)
      return new CoxswainError('FENCED', `${said.name} has seen epoch ${said.epochSeen}; this leader's is ${state.epoch}.`)
    }
    return undefined
  }

  /** Frames of one peer, decoded, as long as its connection counts; a malformed one ends it. */
  #reader<T>(link: { closed: boolean }, codec: Codec<T>, receive: (message: T) => void): (bytes: Uint8Array) => void {
    return bytes => {
      if (!link.closed) receive(decodeMessage(codec, bytes))
    }
  }

  #worker(connection: Connection, principal: Principal, said: Hello): Receiver {
    const link = new WorkerLink(connection, said.name, said.session)
    const session = new WorkerSession(this.#context, link, this.#logs)
    this.#workers.set(link, session)
    const peer = this.#peer(link, 'worker', principal)
    return {
      frame: this.#reader(link, workerToLeader, message => {
        mustBe(principal, workerPolicy[message.kind])
        if (message.kind !== 'renewCertificate' && message.kind !== 'holdsCertificate') session.receive(message)
        else if (peer) this.#context.office!.heard(peer, message)
      }),
      closed: reason => {
        if (peer) this.#context.office!.gone(peer)
        this.#workerGone(link, `its connection ended: ${reason}`)
      },
    }
  }

  /** The worker is lost at once; work goes to others in the same turn. */
  #workerGone(link: WorkerLink, reason: string): void {
    if (!this.#workers.delete(link)) return
    const { links, observed, loop } = this.#context
    const { id: worker, incarnation } = link
    link.closed = true
    this.#logs.workerGone(link)
    if (links.workers.get(worker) !== link) return
    links.workers.delete(worker)
    forgetWorker(observed, worker)
    loop.post({ command: { kind: 'loseWorker', worker, incarnation, reason }, bytes: 0, reply: () => {} })
  }

  #candidate(connection: Connection, principal: Principal, said: Hello): Receiver {
    const link = new CandidateLink(connection, said.name)
    const session = new StandbySession(this.#context, link)
    this.#standbys.set(link, session)
    const peer = this.#peer(link, 'candidate', principal)
    return {
      frame: this.#reader(link, candidateToLeader, message => {
        mustBe(principal, candidatePolicy[message.kind])
        if (message.kind !== 'renewCertificate' && message.kind !== 'holdsCertificate') session.receive(message)
        else if (peer) this.#context.office!.heard(peer, message)
      }),
      closed: () => {
        if (peer) this.#context.office!.gone(peer)
        if (this.#standbys.delete(link)) session.closed()
      },
    }
  }

  #client(connection: Connection, principal: Principal, said: Hello): Receiver {
    const { audit, links, grants, platform } = this.#context
    const link = new ClientLink(connection, sessionOf(principal, said.session), principal)
    const trail = audit && new Trail(audit, principal, connection.remote)
    if (trail) link.answered = message => trail.answered(message)
    const gate = new ClientGate(this.#context, link, new ClientSession(this.#context, link, this.#logs), trail)
    const cancelExpiry = whenExpired(platform.clock, principal, () => connection.close('UNAUTHENTICATED: its credential has expired'))
    links.addClient(link)
    grants.heard(link.session)
    this.#graces.get(link.session)?.()
    return {
      frame: this.#reader(link, clientToLeader, message => gate.receive(message)),
      closed: () => {
        cancelExpiry()
        trail?.closed()
        this.#logs.stop(link, undefined)
        this.#context.links.removeClient(link)
        this.graceFor(link.session)
      },
    }
  }

  /** A client is away: if it does not come back in time, what was to end with it ends. */
  graceFor(session: string): void {
    if (this.#context.links.hasSession(session)) return
    this.#graces.get(session)?.()
    const cancel = this.#context.platform.clock.timer(sessionGraceMs, () => {
      this.#graces.delete(session)
      if (!this.#context.links.hasSession(session) && this.#hasFacts(session))
        this.#context.loop.post({ command: { kind: 'endSession', session }, bytes: 0, reply: () => {} })
    })
    this.#graces.set(session, () => {
      cancel()
      this.#graces.delete(session)
    })
  }

  /** Clients and workers that the journal knows get their time to come back to this leader. */
  expectReturn(): void {
    const { state, links, loop, platform } = this.#context
    const { jobs, spaces, membership } = state
    for (const session of new Set([...jobs.bySession.keys(), ...spaces.bySession.keys()])) this.graceFor(session)
    const expected = [...membership.workers.values()].map(worker => ({ worker: worker.id, incarnation: worker.incarnation }))
    const reason = `it did not come back within ${reconnectMs} ms of the new leader`
    platform.clock.timer(reconnectMs, () => {
      for (const { worker, incarnation } of expected) {
        if (links.registering.has(worker) || links.workers.get(worker)?.incarnation === incarnation) continue
        loop.post({ command: { kind: 'loseWorker', worker, incarnation, reason }, bytes: 0, reply: () => {} })
      }
    })
  }

  /** Something of the session ends with it. */
  #hasFacts(session: string): boolean {
    const { jobs, spaces } = this.#context.state
    return jobs.bySession.has(session) || spaces.bySession.has(session)
  }

  /** Says that the leader lives. */
  pulse(): void {
    const { links, state } = this.#context
    for (const link of this.#workers.keys()) link.send({ kind: 'pulse', epoch: state.epoch })
    for (const link of links.clients) link.send({ kind: 'pulse', epoch: state.epoch })
    for (const link of this.#standbys.keys()) link.send({ kind: 'pulse', epoch: state.epoch, index: state.index })
  }

  /** Ends the connections of workers and standbys that are silent for too long. `stalled`: this process itself was asleep, so nobody is judged. */
  judge(nowMs: number, stalled: boolean): void {
    for (const [link, session] of this.#workers) {
      if (stalled) session.detector.forgive(nowMs)
      else if (session.detector.dead(nowMs)) {
        const reason = `it was silent for more than ${Math.round(session.detector.boundMs)} ms`
        // A dead peer's connection may take long to end: it is not waited for.
        this.#workerGone(link, reason)
        link.connection.close(reason)
      }
    }
    for (const [link, { detector }] of this.#standbys) {
      if (stalled) detector.forgive(nowMs)
      else if (detector.dead(nowMs)) link.connection.close(`it was silent for more than ${Math.round(detector.boundMs)} ms`)
    }
  }
}

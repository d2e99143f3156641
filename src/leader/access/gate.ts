// Owns what stands before every message of a client: its role, its rate, its scope, and the line in the audit log.
// Must not handle any message itself: behind it nothing asks again who it is from.
import { type ClientToLeader, CoxswainError, OverloadedError, type Principal, type Scope, type UserRole } from '../../protocol/index.ts'
import type { Trail } from '../audit/trail.ts'
import type { LeaderContext } from '../context.ts'
import type { ClientLink } from '../links.ts'
import { wireError } from '../refusals.ts'
import { changeAccess, isAccessMessage } from './desk.ts'
import { includes, type Rule, ruleOf } from './policy.ts'
import type { Bucket } from './rates.ts'
import { messageProblem, scopeOf } from './scoped.ts'

/** What handles messages that may pass. */
interface Handler {
  receive(message: ClientToLeader): void
}

/** What the credential of a cluster of one machine is called; nothing of it is counted or renamed. */
const local = 'local'

/** The session under which a client is known: no user can take the name of another one's. */
export function sessionOf(principal: Principal, session: string): string {
  return principal.credential === local ? session : `${principal.name}/${session}`
}

/** The gate of one client's connection. */
export class ClientGate {
  readonly #context: LeaderContext
  readonly #link: ClientLink
  readonly #handler: Handler
  readonly #trail: Trail | undefined
  readonly #role: UserRole | undefined
  readonly #scope: Scope | undefined
  readonly #bucket: Bucket | undefined
  readonly #isLocal: boolean
  /** Messages behind one that waits for the history: in their order, as everything of a connection. */
  #behind: ClientToLeader[] | undefined

  constructor(context: LeaderContext, link: ClientLink, handler: Handler, trail: Trail | undefined) {
    const { principal } = link
    this.#context = context
    this.#link = link
    this.#handler = handler
    this.#trail = trail
    this.#role = principal.kind === 'user' ? principal.role : undefined
    this.#scope = scopeOf(principal)
    this.#isLocal = principal.credential === local
    this.#bucket = this.#isLocal ? undefined : context.rates.of(principal.name)
  }

  receive(message: ClientToLeader): void {
    if (this.#behind) this.#behind.push(message)
    else this.#take(message)
  }

  #take(message: ClientToLeader): void {
    const rule = ruleOf(message)
    if (this.#role === undefined || !includes(this.#role, rule.role)) return this.#deny(message, this.#roleError(rule))
    const earlyMs = this.#bucket ? this.#context.rates.take(this.#bucket, message) : 0
    if (earlyMs > 0) return this.#refuse(message, this.#tooMany(earlyMs))
    if (!this.#scope) return this.#pass(message, rule)
    if (rule.scope === 'cluster') return this.#deny(message, this.#clusterError())
    const problem = messageProblem(this.#context, this.#scope, message)
    if (problem instanceof Promise) this.#wait(problem, message, rule)
    else if (problem) this.#deny(message, problem)
    else this.#pass(message, rule)
  }

  /** Nothing is read of the connection meanwhile; what is read already waits. */
  #wait(problem: Promise<CoxswainError | undefined>, message: ClientToLeader, rule: Rule): void {
    const { connection } = this.#link
    this.#behind = []
    connection.pause()
    const goOn = (verdict: unknown): void => {
      const behind = this.#behind ?? []
      this.#behind = undefined
      connection.resume()
      if (this.#link.closed) return
      if (verdict instanceof CoxswainError) this.#deny(message, verdict)
      else if (verdict !== undefined) this.#refuse(message, verdict)
      else this.#pass(message, rule)
      for (const one of behind) this.receive(one)
    }
    problem.then(goOn, goOn)
  }

  #pass(message: ClientToLeader, rule: Rule): void {
    if (!this.#isLocal) this.#own(message)
    if (rule.changes) this.#trail?.asked(message)
    if (isAccessMessage(message)) changeAccess(this.#context, this.#link, message)
    else this.#handler.receive(message)
  }

  /** What it submits ends with its own session, and with nobody else's. */
  #own(message: ClientToLeader): void {
    if (message.kind !== 'submitJobs' && message.kind !== 'transact') return
    for (const { plan } of message.jobs) plan.session = this.#link.session
  }

  #roleError({ role }: Rule): CoxswainError {
    return new CoxswainError('FORBIDDEN', `This needs the role ${role}, and ${this.#link.principal.name} is ${this.#role ?? 'no user'}.`)
  }

  #clusterError(): CoxswainError {
    return new CoxswainError('FORBIDDEN', `This is about the whole cluster, and ${this.#link.principal.name} has a scope.`)
  }

  #tooMany(retryAfterMs: number): CoxswainError {
    return new OverloadedError(`${this.#link.principal.name} asks for more than one user may.`, { retryAfterMs })
  }

  #deny(message: ClientToLeader, error: CoxswainError): void {
    this.#trail?.denied(message, error.code === 'NOT_FOUND' ? 'refused' : 'denied', error.code)
    this.#refuse(message, error)
  }

  /** Who does not wait for an answer gets none. */
  #refuse(message: ClientToLeader, error: unknown): void {
    if ('request' in message && message.kind !== 'unfollow')
      this.#link.send({ kind: 'failed', request: message.request, error: wireError(error) })
  }
}

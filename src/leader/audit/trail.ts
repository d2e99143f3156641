// Owns what the audit log hears of one connection: its calls when they are asked, and how each was answered.
// Must not wait for anything: what it hears is counted, and written later.
import type { ClientToLeader, LeaderToClient, Principal } from '../../protocol/index.ts'
import type { Audit, Outcome } from './audit.ts'
import { type Subject, subjectOf } from './subject.ts'

interface Pending extends Subject {
  count: number
}

/** One connection's part of the audit log. */
export class Trail {
  readonly #audit: Audit
  readonly #who: string
  readonly #credential: string
  readonly #from: string
  /** Calls that change something and are not answered: as many as a client may have waiting. */
  readonly #pending = new Map<number, Pending>()

  constructor(audit: Audit, principal: Principal, from: string) {
    this.#audit = audit
    this.#who = principal.name
    this.#credential = principal.credential
    this.#from = from
  }

  #note(subject: Subject, outcome: Outcome, code: string, count: number): void {
    if (count > 0) this.#audit.note({ who: this.#who, credential: this.#credential, from: this.#from, ...subject }, outcome, code, count)
  }

  /** A call was not let through. */
  denied(message: ClientToLeader, outcome: Outcome, code: string): void {
    this.#note(subjectOf(message), outcome, code, 1)
  }

  /** A call that changes something goes on to whoever handles it. */
  asked(message: ClientToLeader): void {
    const subject = subjectOf(message)
    const count = message.kind === 'submitJobs' ? message.jobs.length : 1
    if ('request' in message) this.#pending.set(message.request, { ...subject, count })
    else this.#note(subject, 'ok', '', count)
  }

  /** The leader answers. */
  answered(message: LeaderToClient): void {
    const pending = 'request' in message ? this.#pending.get(message.request) : undefined
    if (!pending || !('request' in message)) return
    this.#pending.delete(message.request)
    const { count, ...subject } = pending
    if (message.kind === 'failed') return this.#note(subject, outcomeOf(message.error.code), message.error.code, count)
    const failed = message.kind === 'submitted' ? message.outcomes.flatMap(({ error }) => (error ? [error.code] : [])) : []
    for (const code of failed) this.#note(subject, outcomeOf(code), code, 1)
    this.#note(subject, 'ok', '', count - failed.length)
  }

  /** The connection is over: what was not answered may have been done. */
  closed(): void {
    for (const { count, ...subject } of this.#pending.values()) this.#note(subject, 'unanswered', '', count)
    this.#pending.clear()
  }
}

function outcomeOf(code: string): Outcome {
  return code === 'FORBIDDEN' ? 'denied' : 'refused'
}

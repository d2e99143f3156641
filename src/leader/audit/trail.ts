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
  /** Lines of this round by what was done to which thing: the same is done again and again, and is found without putting words together. */
  #done = new Map<string, Map<string, { count: number }>>()
  #round = -1

  constructor(audit: Audit, principal: Principal, from: string) {
    this.#audit = audit
    this.#who = principal.name
    this.#credential = principal.credential
    this.#from = from
  }

  #note({ what, id }: Subject, outcome: Outcome, code: string, count: number): void {
    if (count > 0) this.#audit.note({ who: this.#who, credential: this.#credential, from: this.#from, what, id }, outcome, code, count)
  }

  #noteDone({ what, id }: Subject, count: number): void {
    if (this.#round !== this.#audit.round) {
      this.#round = this.#audit.round
      this.#done = new Map()
    }
    const known = this.#done.get(what)?.get(id)
    if (known) {
      known.count += count
      return
    }
    const line = this.#audit.lineFor({ who: this.#who, credential: this.#credential, from: this.#from, what, id }, 'ok', '')
    if (!line) return this.#note({ what, id }, 'ok', '', count)
    line.count += count
    const ids = this.#done.get(what) ?? new Map<string, { count: number }>()
    this.#done.set(what, ids.set(id, line))
  }

  /** A call was not let through. */
  denied(message: ClientToLeader, outcome: Outcome, code: string): void {
    this.#note(subjectOf(message), outcome, code, 1)
  }

  /** A call that changes something goes on to whoever handles it. */
  asked(message: ClientToLeader): void {
    const { what, id } = subjectOf(message)
    const count = message.kind === 'submitJobs' ? message.jobs.length : 1
    if ('request' in message) this.#pending.set(message.request, { what, id, count })
    else this.#noteDone({ what, id }, count)
  }

  /** The leader answers. */
  answered(message: LeaderToClient): void {
    const pending = 'request' in message ? this.#pending.get(message.request) : undefined
    if (!pending || !('request' in message)) return
    this.#pending.delete(message.request)
    if (message.kind === 'failed') return this.#note(pending, outcomeOf(message.error.code), message.error.code, pending.count)
    let failed = 0
    for (const { error } of message.kind === 'submitted' ? message.outcomes : []) {
      if (!error) continue
      failed++
      this.#note(pending, outcomeOf(error.code), error.code, 1)
    }
    if (pending.count > failed) this.#noteDone(pending, pending.count - failed)
  }

  /** The connection is over: what was not answered may have been done. */
  closed(): void {
    for (const pending of this.#pending.values()) this.#note(pending, 'unanswered', '', pending.count)
    this.#pending.clear()
  }
}

function outcomeOf(code: string): Outcome {
  return code === 'FORBIDDEN' ? 'denied' : 'refused'
}

// Owns asking the agent for secrets. Must not keep what is in them: each use asks anew.
import { CoxswainError, isErrorCode } from '../../../protocol/index.ts'
import type { ToExecutor } from '../frames.ts'
import type { Link } from './link.ts'
import { hide } from './redaction.ts'

type Answer = Extract<ToExecutor, { kind: 'secret' }>

/** The questions of one executor. */
export class SecretQuestions {
  readonly #link: Link
  readonly #open = new Map<number, (answer: Answer) => void>()
  #serial = 0

  constructor(link: Link) {
    this.#link = link
  }

  /** The secret as text, for a task of this lane. Rejects with SECRET_UNKNOWN, FORBIDDEN, SECRETS_UNAVAILABLE or what opening it says. */
  async ask(lane: number, job: string, stage: number, secret: string): Promise<string> {
    const answer = await new Promise<Answer>(resolve => {
      const request = ++this.#serial
      this.#open.set(request, resolve)
      this.#link.send({ kind: 'needSecret', request, lane, job, stage, secret })
    })
    if (!answer.value) throw new CoxswainError(isErrorCode(answer.code) ? answer.code : 'FORBIDDEN', answer.message, { id: secret })
    const text = Buffer.from(answer.value).toString('utf8')
    hide(secret, text)
    return text
  }

  /** The agent answered. */
  answered(answer: Answer): void {
    this.#open.get(answer.request)?.(answer)
    this.#open.delete(answer.request)
  }
}

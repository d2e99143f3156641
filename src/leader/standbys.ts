// Owns the leader's side of a standby: that it joins and leaves by facts, how far it has come, and whether it still lives.
// Must not choose who leads next: core ranks, and the journal's compare-and-set decides.
import type { CandidateToLeader, NodeUp } from '../protocol/index.ts'
import type { LeaderContext } from './context.ts'
import { SilenceDetector } from './detector.ts'
import type { CandidateLink } from './links.ts'

/** One connected standby. */
export class StandbySession {
  readonly #context: LeaderContext
  readonly #link: CandidateLink
  readonly detector: SilenceDetector
  /** It said that it ends on purpose. */
  #left = false

  constructor(context: LeaderContext, link: CandidateLink) {
    this.#context = context
    this.#link = link
    this.detector = new SilenceDetector(context.platform.clock.monotonicMs())
  }

  /** Of certificates it knows nothing: those messages are the office's. */
  receive(message: Exclude<CandidateToLeader, NodeUp>): void {
    this.detector.seen(this.#context.platform.clock.monotonicMs())
    switch (message.kind) {
      case 'standBy':
        return this.#join(message.priority, message.pid)
      case 'applied':
        this.#link.appliedIndex = message.index
        return
      case 'leaving':
        this.#left = true
    }
  }

  #join(priority: number, pid: number): void {
    const link = this.#link
    link.pid = pid
    this.#context.loop.post({
      command: { kind: 'joinCandidate', candidate: link.id, priority },
      bytes: 0,
      reply: reply => {
        if (link.closed) return
        if (reply.kind === 'refused') {
          link.send({ kind: 'refused', code: reply.error.code, message: reply.error.message })
          return link.connection.close(reply.error.code)
        }
        const { candidates } = this.#context.links
        const older = candidates.get(link.id)
        candidates.set(link.id, link)
        if (older && older !== link) older.connection.close('it connected anew')
      },
    })
  }

  closed(): void {
    const { links, loop } = this.#context
    const { id } = this.#link
    this.#link.closed = true
    if (links.candidates.get(id) !== this.#link) return
    links.candidates.delete(id)
    loop.post({ command: { kind: 'loseCandidate', candidate: id, failed: !this.#left }, bytes: 0, reply: () => {} })
  }
}

// Owns the session that writes: what becomes of a batch that was sent, also where the connection broke off, and the claim.
// Must not acknowledge what a primary of the same history did not commit.
import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { CoxswainError } from '../../protocol/errors.ts'
import { recordVersion } from '../../protocol/limits.ts'
import type { Append, Claim } from '../journal.ts'
import { sameBytes } from '../row.ts'
import { appendStatement, appendValuesOf, type Batch, claimStatement, type JournalEnd } from './batch.ts'
import { fault, isRefusal, lockNotAvailable, stateOf } from './faults.ts'
import { leaderChecksum } from './leader-row.ts'
import { Line } from './line.ts'
import { checkSettings, type Identity, type Session, type SessionOptions, type Statement } from './session.ts'
import type { Tenure } from './tenure.ts'

/** How often a batch that the server took back is sent again, and how long a server is looked for that can say what became of one. */
const triesMax = 5
const settleMs = 10_000
const retryMs = 50

/** A tenure, with the server's history on which it was won. */
export type WritingTenure = Tenure & { identity: Identity }

/** What writing asks of the rest of the store. */
export interface WriterNeeds {
  /** The batch of these appends behind a journal's end, with what they do to the history. */
  batch(appends: readonly Append[], before: JournalEnd): Promise<Batch>
  /** Where the journal ends and who led it last, both checked. */
  end(session: Session): Promise<JournalEnd & { epoch: number }>
}

function sameEnd(one: JournalEnd, other: JournalEnd): boolean {
  return one.lastIndex === other.lastIndex && sameBytes(one.hash, other.hash)
}

/** The error of a write whose outcome is not known, or that failed. */
export function writeFailed(message: string, cause?: unknown): CoxswainError {
  return new CoxswainError('JOURNAL_WRITE_FAILED', message, { cause })
}

/** Commits, one after the other. */
export class Commits {
  readonly #options: SessionOptions
  readonly #needs: WriterNeeds
  readonly #line: Line
  readonly #append: Statement
  readonly #claimStatement: Statement
  readonly #takeUpStatement: Statement
  readonly #isInStatement: Statement
  /** The session that the present leader took up. */
  #session: Session | undefined
  #ended = false

  constructor(options: SessionOptions, needs: WriterNeeds) {
    const { schema } = options.address
    this.#options = options
    this.#needs = needs
    this.#line = new Line(options)
    this.#append = appendStatement(schema)
    this.#claimStatement = claimStatement(schema)
    this.#takeUpStatement = {
      name: 'take up',
      text: `UPDATE ${schema}.leader SET writer = writer + 1 WHERE id = 1 AND epoch = $1 AND holder = $2 RETURNING writer, last_index AS "lastIndex", hash`,
    }
    this.#isInStatement = { name: 'is in', text: `SELECT hash FROM ${schema}.journal WHERE first_index = $1` }
  }

  /** Whatever is under way ends now, with an unknown outcome. */
  cut(): void {
    this.#line.cut()
  }

  /** As `cut`, and nothing is tried again. */
  end(): void {
    this.#ended = true
    this.#line.cut()
  }

  close(): Promise<void> {
    return this.#line.close()
  }

  /** Sends a batch until it is known what became of it. Throws where that cannot be known, or where the server refused it. */
  async commit(tenure: WritingTenure, batch: Batch): Promise<'durable' | 'fenced'> {
    for (let tries = 0; tries < triesMax; tries++) {
      if (!this.#session?.open) {
        const present = await this.#takeUp(tenure)
        if (present === undefined) return this.#isIn(batch)
        if (sameEnd(present, batch.end)) return 'durable'
        if (!sameEnd(present, tenure.end)) return 'fenced'
      }
      const session = this.#session!
      try {
        const [answer] = await session.query<{ done: boolean }>(this.#append, appendValuesOf(tenure, tenure.end, batch))
        this.#checkReplicated(session)
        return answer!.done ? 'durable' : 'fenced'
      } catch (error) {
        if (isRefusal(error) || error instanceof CoxswainError) throw error
        session.destroy()
      }
    }
    throw writeFailed(`PostgreSQL took back the same append ${triesMax} times.`)
  }

  /** A commit that did not wait for its standbys is on this server alone: it must not be acknowledged. */
  #checkReplicated(session: Session): void {
    if (!session.notReplicated) return
    session.destroy()
    throw writeFailed('The wait of a commit for its synchronous standbys was cancelled: it is on one server only, and may be lost with it.')
  }

  /**
   * Makes a new session the one that writes, and tells where the journal ends; undefined where this leader leads no more. From then on nothing that an
   * older session still has under way can be written: so what is not there by now never will be. It is a commit of its own: where standbys are
   * synchronous they have all before it too.
   */
  async #takeUp(tenure: WritingTenure): Promise<JournalEnd | undefined> {
    const endMs = performance.now() + settleMs
    for (;;) {
      if (tenure.over || this.#ended)
        throw writeFailed('The connection was lost, and what became of the append is not known.', tenure.failure)
      try {
        const session = await this.#line.session()
        checkIdentity(session.identity, tenure.identity)
        await checkSettings(session, this.#options)
        const [present] = await session.query<JournalEnd & { writer: number }>(this.#takeUpStatement, [tenure.epoch, tenure.holder])
        this.#checkReplicated(session)
        this.#session = session
        if (present !== undefined) tenure.writer = present.writer
        return present
      } catch (error) {
        const passing = error instanceof CoxswainError ? error.code === 'JOURNAL_UNAVAILABLE' : !isRefusal(error)
        if (!passing || performance.now() > endMs) throw error
        this.#line.cut()
        await pause(retryMs)
      }
    }
  }

  /** Another one leads: a batch that was written before it claimed is part of what it leads. */
  async #isIn({ first }: Batch): Promise<'durable' | 'fenced'> {
    const [row] = await this.#line.read<{ hash: Uint8Array }>(this.#isInStatement, [first.lastIndex])
    return row !== undefined && sameBytes(row.hash, first.hash) ? 'durable' : 'fenced'
  }

  /** Claims by compare-and-set. Undefined: another one was faster. */
  async claim({ opening, ...claim }: Claim): Promise<WritingTenure | undefined> {
    const { leader, pid, processStart, address, seenEpoch } = claim
    const { epoch } = opening
    if (epoch !== seenEpoch + 1 || opening.count < 1)
      throw new CoxswainError(
        'INVALID_ARGUMENT',
        `The opening of epoch ${seenEpoch + 1} is of epoch ${epoch}, with ${opening.count} records.`,
      )
    const session = await this.#line.session()
    await checkSettings(session, this.#options)
    const before = await this.#needs.end(session)
    if (before.epoch !== seenEpoch || opening.firstIndex !== before.lastIndex + 1) return undefined
    const batch = await this.#needs.batch([opening], before)
    const tenure = { epoch, holder: randomUUID(), writer: 1, end: batch.end, over: false, failure: undefined, identity: session.identity }
    const checksum = leaderChecksum({ epoch, leader, pid, processStart, address })
    const values = [
      ...[seenEpoch, before.lastIndex, before.hash, epoch, tenure.holder, leader, pid, processStart, address, checksum, recordVersion],
      ...appendValuesOf(tenure, before, batch),
    ]
    try {
      const [answer] = await session.query<{ done: boolean }>(this.#claimStatement, values)
      this.#checkReplicated(session)
      if (!answer!.done) return undefined
      this.#session = session
    } catch (error) {
      if (stateOf(error) === lockNotAvailable)
        throw new CoxswainError('STATE_FOLDER_IN_USE', 'The leader of the journal is in the middle of a commit that does not end.', {
          id: this.#options.address.words,
        })
      if (isRefusal(error) || error instanceof CoxswainError) throw fault(error, 'JOURNAL_WRITE_FAILED', 'The claim was not written')
      session.destroy()
      if ((await this.#takeUp(tenure)) === undefined) return undefined
    }
    return tenure
  }
}

/** Refuses a server that writes another history than the one on which the leadership was won: what was acknowledged may be missing there. */
export function checkIdentity(found: Identity, known: Identity): void {
  if (found.system === known.system && found.timeline === known.timeline) return
  const what = found.system === known.system ? `timeline ${found.timeline} instead of ${known.timeline}` : 'another database system'
  throw writeFailed(`The primary is ${what}: a failover took place, and what was written last may not be there.`)
}

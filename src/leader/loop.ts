// Owns the leader's one loop: take what waits, decide and apply each, settle once, one append, and hand out at once; replies when durable.
// Must not know connections or bytes of messages. There is no rollback: when an append is refused or its outcome unknown, the process
// gives up its state and ends its leadership.
import {
  apply,
  type CoreLimits,
  type Decision,
  decide,
  type Observed,
  type Reply,
  type SettleOptions,
  type State,
  settle,
} from '../core/index.ts'
import type { HistoryChange, Journal } from '../journal/index.ts'
import type { Clock } from '../platform/index.ts'
import { CoxswainError, encodeRecords, type JournalRecord, type PayloadId } from '../protocol/index.ts'
import { TurnHistory } from './history.ts'
import { type Letter, Mailbox } from './mailbox.ts'
import { Patience, standStillMsMax } from './patience.ts'

/** What the outside is told of each fact. */
export interface RecordListener {
  /** Called before a record is applied. What it returns is called right after: the state on both sides of the fact can be seen. */
  record(record: JournalRecord): (() => void) | undefined
  /** All records of a turn are applied: what may go out at once goes out, what must wait is handed back for when they are durable. */
  turnEnded(): () => void
  /** A payload was named by a record. */
  payload(payload: PayloadId, bytes: Uint8Array): void
  dropped(payload: PayloadId): void
}

export interface LoopOptions {
  state: State
  observed: Observed
  journal: Journal
  clock: Clock
  limits: CoreLimits
  policy: SettleOptions['policy']
  /** Cluster time now: never goes back. */
  nowMs(): number
  listener: RecordListener
  /** The leadership is over: the journal refused, or an append's outcome is unknown. */
  lost(error: CoxswainError): void
  /** Run after every record, in tests. */
  check?: (state: State) => void
}

/** Commands and bytes of one turn: more wait for the next, so that no turn takes long. */
const turnLettersMax = 1000
const turnBytesMax = 16 << 20
/** A letter nobody waits for may wait this long for company: an append of its own would stand in the way of the next call. */
const lazyMs = 5
/** A turn of so many letters is soon over: the journal may wake for its append before it has ended. */
const fewLetters = 8
/** Appends under way at once: while they last, letters gather into a larger batch. */
const appendsInFlightMax = 2

export class Loop {
  readonly #options: LoopOptions
  readonly mailbox = new Mailbox()
  #scheduled = false
  #inFlight = 0
  #ended = false
  /** A turn was asked for while enough appends were under way. */
  #waiting = false
  /** Ends when everything decided so far is durable, and answered in order. */
  #tail: Promise<unknown> = Promise.resolve()
  /** Milliseconds of the last appends, for the status. */
  readonly appendMs: number[] = []
  #cancelWake: (() => void) | undefined
  readonly #patience = new Patience()

  constructor(options: LoopOptions) {
    this.#options = options
  }

  /** Puts a letter into the mailbox; a turn will follow. After the end of the leadership letters are dropped: nobody may be answered. */
  post(letter: Letter): void {
    if (this.#ended) return
    this.mailbox.put(letter)
    if (!letter.lazy) this.schedule()
    else if (!this.#scheduled && this.mailbox.size === 1) this.#options.clock.timer(lazyMs, () => this.schedule())
  }

  /** Asks for a turn, if only to settle. */
  schedule(): void {
    if (this.#scheduled || this.#ended) return
    this.#scheduled = true
    this.#options.clock.soon(() => {
      this.#scheduled = false
      this.#turn()
    })
  }

  /** Calls back once everything that was decided so far is durable. Never after the end of the leadership: then nothing may be said. */
  whenDurable(callback: () => void): void {
    this.#tail = this.#tail.then(() => {
      if (!this.#ended) callback()
    })
  }

  /** No more turns. Resolves when what was under way is over. */
  async end(): Promise<void> {
    this.#ended = true
    this.#cancelWake?.()
    await this.#tail
  }

  #turn(): void {
    if (this.#ended) return
    if (this.#inFlight >= appendsInFlightMax) {
      this.#waiting = true
      return
    }
    const { state, observed, limits, policy } = this.#options
    const firstIndex = state.index + 1
    const records: JournalRecord[] = []
    const payloads: Decision['payloads'] = []
    const history = new TurnHistory()
    const emit = (record: JournalRecord): void => this.#emit(record, records, history)
    const letters = this.mailbox.take(turnLettersMax, turnBytesMax)
    const nowMs = Math.floor(this.#options.nowMs())
    const due = letters.length > 0 || (state.delayed.nextKey ?? Number.POSITIVE_INFINITY) <= nowMs
    if (due && nowMs > state.nowMs) emit({ kind: 'TimePassed', nowMs })
    const replies: { letter: Letter; reply: Reply }[] = []
    for (const letter of letters) {
      const decision = decide(state, letter.command, limits, letter.scope)
      for (const { payload, bytes } of decision.payloads) this.#options.listener.payload(payload, bytes)
      for (const record of decision.records) emit(record)
      payloads.push(...decision.payloads)
      replies.push({ letter, reply: decision.reply })
    }
    // A long turn wakes nobody early: whoever is awake for nothing takes time from others.
    if (records.length > 0 && letters.length <= fewLetters) this.#options.journal.rouse?.()
    settle(state, observed, { limits, policy }, emit)
    const drops = state.payloadDrops
    state.payloadDrops = []
    for (const payload of drops) this.#options.listener.dropped(payload)
    this.#commit({ firstIndex, records, payloads, drops, history: history.change, replies })
    this.#wakeForDelayed()
    if (this.mailbox.size > 0) this.schedule()
  }

  #emit(record: JournalRecord, records: JournalRecord[], history: TurnHistory): void {
    const { state, listener, check } = this.#options
    history.record(state, record)
    const after = listener.record(record)
    apply(state, record)
    after?.()
    check?.(state)
    records.push(record)
  }

  #commit(turn: {
    firstIndex: number
    records: JournalRecord[]
    payloads: Decision['payloads']
    drops: PayloadId[]
    history: HistoryChange | undefined
    replies: { letter: Letter; reply: Reply }[]
  }): void {
    const { state, journal, clock, listener } = this.#options
    const answer = (): void => {
      for (const { letter, reply } of turn.replies) letter.reply(reply)
    }
    if (turn.records.length === 0) {
      // What was decided may rest on facts that are still on their way to the disk.
      this.whenDurable(answer)
      return
    }
    const startedMs = clock.monotonicMs()
    this.#inFlight++
    const append = journal.append({
      epoch: state.epoch,
      firstIndex: turn.firstIndex,
      count: turn.records.length,
      records: encodeRecords(turn.records),
      payloads: turn.payloads,
      drops: turn.drops,
      history: turn.history,
    })
    const whenDurable = listener.turnEnded()
    if (journal.standStill && this.#patience.worthIt) clock.soon(() => this.#standStill())
    this.#tail = Promise.all([append, this.#tail]).then(
      ([outcome]) => {
        this.#inFlight--
        if (outcome === 'fenced')
          return this.#lose(new CoxswainError('FENCED', `A newer leader than epoch ${state.epoch} writes the journal.`))
        if (this.#ended) return
        this.#measure(clock.monotonicMs() - startedMs)
        whenDurable()
        answer()
        if (this.#waiting) {
          this.#waiting = false
          this.schedule()
        }
      },
      (error: unknown) => {
        this.#inFlight--
        this.#lose(error instanceof CoxswainError ? error : new CoxswainError('JOURNAL_WRITE_FAILED', String(error), { cause: error }))
      },
    )
  }

  /** What has arrived by now is handled first. Where there is nothing, the loop would only sleep until the append is over. */
  #standStill(): void {
    if (!this.#ended && !this.#scheduled && this.#inFlight > 0) this.#options.journal.standStill!(standStillMsMax)
  }

  #measure(elapsedMs: number): void {
    this.#patience.took(elapsedMs)
    this.appendMs.push(elapsedMs)
    if (this.appendMs.length > 256) this.appendMs.splice(0, 128)
  }

  #lose(error: CoxswainError): void {
    if (this.#ended) return
    this.#ended = true
    this.#options.lost(error)
  }

  /** Retries that wait for their time need a turn then, even if nothing else happens. */
  #wakeForDelayed(): void {
    this.#cancelWake?.()
    const next = this.#options.state.delayed.nextKey
    if (next === undefined) return
    this.#cancelWake = this.#options.clock.timer(Math.max(1, Math.ceil(next - this.#options.nowMs())), () => this.schedule())
  }
}

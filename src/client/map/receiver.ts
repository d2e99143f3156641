// Owns the results of a map that came and were not yet taken: in the order of the inputs or as they come, each once.
// Must not ask for anything but blocks, and of these no more ahead than a limit of bytes.
import { Chunk, type CoxswainError, decodeValue, type Range, type TaskFailure } from '../../protocol/index.ts'
import { blockOf, inlineValue, isBlock } from '../items.ts'
import { endedError, failureError } from '../outcomes.ts'
import type { Parts } from '../parts.ts'
import type { JobChange, JobListener } from '../session.ts'
import { Prefetch } from './prefetch.ts'
import { RangeSet } from './ranges.ts'

/** Results in a row, or one failure. */
interface Piece {
  first: number
  count: number
  /** Position of the first one in `chunk`. */
  at: number
  chunk: Chunk | undefined
  error: CoxswainError | undefined
  /** One of the items may be a block. */
  blocks: boolean
}

/** What the receiver is made with. */
export interface ReceiverOptions {
  parts: Parts
  job: string
  ordered: boolean
  /** Something came that may be taken, or the end of everything. */
  wake(): void
}

/** So many results are given up together. */
const releaseCountMin = 2048

/** Results of a map's job, from the leader to the consumer. */
export class Receiver implements JobListener {
  readonly #options: ReceiverOptions
  readonly #received = new RangeSet()
  readonly #byFirst = new Map<number, Piece>()
  readonly #queue: Piece[] = []
  readonly #prefetch: Prefetch
  readonly #releasing = new RangeSet()
  #releasingCount = 0
  #current: Piece | undefined
  #position = 0
  /** Taken by the consumer. */
  taken = 0
  /** Bytes of all results that came, blocks included, and their count: the mean steers the window. */
  receivedBytes = 0
  blockBytes = 0
  receivedCount = 0
  /** How the job ended, as far as the leader told; 'running' until then. */
  endState: JobChange['state'] = 'running'
  /** The job cannot go on. */
  failure: CoxswainError | undefined

  constructor(options: ReceiverOptions) {
    this.#options = options
    this.#prefetch = new Prefetch(options.parts.blocks)
  }

  results(stage: number, first: number, items: Uint8Array): void {
    const chunk = new Chunk(items)
    let blocks = false
    for (let position = 0; position < chunk.count; position++) {
      if (!isBlock(chunk, position)) continue
      blocks = true
      break
    }
    const fresh = this.#received.add(first, chunk.count)
    const freshCount = fresh.reduce((sum, range) => sum + range.count, 0)
    if (freshCount < chunk.count) this.#releaseAgain(first, chunk.count)
    this.receivedBytes += items.length * (freshCount / Math.max(1, chunk.count))
    for (const range of fresh) {
      this.#put({ first: range.first, count: range.count, at: range.first - first, chunk, error: undefined, blocks })
      if (blocks) this.#prefetchPiece(chunk, range.first - first, range)
    }
    if (stage === 0) this.#options.wake()
  }

  failures(stage: number, failures: readonly TaskFailure[]): void {
    for (const failure of failures) {
      if (this.#received.add(failure.index, 1).length === 0) continue
      const error = failureError(this.#options.job, stage, failure)
      this.#put({ first: failure.index, count: 1, at: 0, chunk: undefined, error, blocks: false })
    }
    this.#options.wake()
  }

  changed(state: JobChange['state'], reason: string): void {
    if (state === 'cancelled') this.lost(endedError(this.#options.job, state, reason))
    else {
      this.endState = state
      this.#options.wake()
    }
  }

  progress(): void {}

  lost(error: CoxswainError): void {
    this.failure ??= error
    this.#options.wake()
  }

  #put(piece: Piece): void {
    this.receivedCount += piece.count
    if (this.#options.ordered) this.#byFirst.set(piece.first, piece)
    else this.#queue.push(piece)
  }

  #prefetchPiece(chunk: Chunk, at: number, range: Range): void {
    for (let i = 0; i < range.count; i++) {
      if (!isBlock(chunk, at + i)) continue
      const reference = blockOf(chunk, at + i)
      this.blockBytes += reference.bytes
      this.#prefetch.add(range.first + i, reference)
    }
  }

  /** Number of the task whose outcome is next, or -1 if none is there yet. */
  next(): number {
    const current = this.#current
    if (current !== undefined && this.#position < current.count) return current.first + this.#position
    return this.#nextPiece()
  }

  #nextPiece(): number {
    let piece: Piece | undefined
    if (this.#options.ordered) {
      piece = this.#byFirst.get(this.taken)
      if (piece) this.#byFirst.delete(this.taken)
    } else piece = this.#queue.shift()
    this.#current = piece
    this.#position = 0
    return piece ? piece.first : -1
  }

  /** True where the next outcome is a value that is here already. Call after `next`. */
  get ready(): boolean {
    const { chunk, blocks, at } = this.#current!
    return chunk !== undefined && !(blocks && isBlock(chunk, at + this.#position))
  }

  /** Takes the next outcome, which must be `ready`. Throws VALUE_MALFORMED. */
  take(): unknown {
    const piece = this.#current!
    const position = piece.at + this.#position
    this.#advance(piece)
    return inlineValue(piece.chunk!, position)
  }

  /** Takes the next outcome, whatever it is: rejects with its error. */
  async takeLater(): Promise<unknown> {
    const piece = this.#current!
    const index = piece.first + this.#position
    const position = piece.at + this.#position
    if (piece.error) {
      this.#advance(piece)
      throw piece.error
    }
    if (this.ready) return this.take()
    try {
      return decodeValue(await this.#prefetch.take(index, blockOf(piece.chunk!, position)))
    } finally {
      this.#advance(piece)
    }
  }

  #advance(piece: Piece): void {
    this.taken++
    if (++this.#position < piece.count) return
    this.#release(piece.first, piece.count)
    this.#current = undefined
  }

  #release(first: number, count: number): void {
    this.#releasing.add(first, count)
    this.#releasingCount += count
    if (this.#releasingCount >= releaseCountMin) this.flush()
  }

  /** What comes again was released before the leader heard of it: that is said again, unless it is still to be taken. */
  #releaseAgain(first: number, count: number): void {
    if (this.#options.ordered && this.taken > first) this.#release(first, Math.min(count, this.taken - first))
  }

  /** Tells the leader which results are not needed any more. */
  flush(): void {
    if (this.#releasingCount === 0) return
    const ranges = this.#releasing.ranges()
    this.#releasing.clear()
    this.#releasingCount = 0
    this.#options.parts.session.post({ kind: 'releaseResults', job: this.#options.job, stage: 0, ranges })
  }

  /** Lets go of everything. */
  close(): void {
    this.#prefetch.close()
    this.#byFirst.clear()
    this.#queue.length = 0
    this.#current = undefined
  }
}

// Owns the input side of a map: pulls from the user's source as far as the window allows, checks, encodes, and cuts into chunks.
// Must not pull further than the window ahead of what was taken.
import { ChunkWriter, encodeValue, type Inputs, limits, writeBlockItem } from '../../protocol/index.ts'
import { copiedSegments, copyBytesMax, segmentsBytes } from '../blocks/segments.ts'
import type { TaskOf } from '../define.ts'
import { addInline } from '../items.ts'
import type { Parts } from '../parts.ts'
import { checkInput } from '../schema.ts'
import type { Sender } from './sender.ts'

/** Anything that gives inputs. */
export type Source = Iterable<unknown> | AsyncIterable<unknown>

/** What the feeder is made with. */
export interface FeederOptions {
  parts: Parts
  task: TaskOf<unknown, unknown>
  source: Source
  sender: Sender
  /** How many more inputs may be pulled now. */
  room(): number
  failed(error: unknown): void
  /** The source has ended: where nothing came of it, no message will say so. */
  over(): void
}

/** Bytes of large inputs on their way to workers at a time; a single larger one goes alone. */
const storingBytesMax = 64 << 20
/** A source that takes its time is not left waiting for a full chunk: after so many inputs the clock is looked at. */
const clockEvery = 16
const chunkMsMax = 5

/** Inputs of one map. */
export class Feeder {
  readonly #options: FeederOptions
  readonly #iterator: Iterator<unknown> | AsyncIterator<unknown>
  readonly #waits: boolean
  readonly #chunk = new ChunkWriter()
  #chunkFirst = 0
  #chunkStartedMs = 0
  #flushScheduled = false
  #pulling = false
  #storingBytes = 0
  #storingDone: (() => void) | undefined
  #closed = false
  /** Inputs pulled from the source. */
  pulled = 0
  /** Bytes of all inputs, without blocks. */
  inputBytes = 0
  blockBytes = 0
  /** The source has ended. */
  ended = false

  constructor(options: FeederOptions) {
    this.#options = options
    const source = options.source as Partial<Iterable<unknown> & AsyncIterable<unknown>>
    const asynchronous = source[Symbol.asyncIterator]
    this.#iterator = asynchronous ? asynchronous.call(source) : source[Symbol.iterator]!()
    this.#waits = asynchronous !== undefined
  }

  /** Pulls what there is room for. */
  pull(): void {
    if (this.#pulling || this.ended || this.#closed || this.#options.room() <= 0) return
    this.#pulling = true
    this.#pullAll().catch(this.#options.failed)
  }

  /** Runs without waiting as long as nothing has to be waited for. */
  async #pullAll(): Promise<void> {
    const { task } = this.#options
    while (!this.#closed && this.#options.room() > 0) {
      const step = this.#waits ? await this.#next() : (this.#next() as IteratorResult<unknown>)
      if (this.#closed) break
      if (step.done) {
        this.ended = true
        this.#flush(true)
        this.#options.over()
        break
      }
      // An iterator of promises, such as an array of them, is taken as its values.
      const input = step.value instanceof Promise ? await step.value : step.value
      const checking = task.input && checkInput(task.name, task.input, input)
      if (checking) await checking
      if (this.#closed) break
      if (!this.#add(input)) await this.#addLarge(input)
    }
    this.#pulling = false
    if (!this.ended && !this.#closed) this.#flush(false)
  }

  /** A source that throws has ended: there is nothing to close. */
  #next(): IteratorResult<unknown> | Promise<IteratorResult<unknown>> {
    const threw = (error: unknown): never => {
      this.ended = true
      throw error
    }
    try {
      const pulled = this.#iterator.next()
      return this.#waits ? Promise.resolve(pulled).catch(threw) : pulled
    } catch (error) {
      return threw(error)
    }
  }

  #add(input: unknown): boolean {
    const chunk = this.#chunk
    if (chunk.count === 0) this.#chunkStartedMs = this.#options.parts.clock.monotonicMs()
    const before = chunk.bytes
    if (!addInline(chunk, input)) return false
    this.pulled++
    this.inputBytes += chunk.bytes - before
    if (chunk.count >= limits.chunkTasksMax || chunk.bytes >= limits.chunkBytesMax || this.#slow(chunk.count)) this.#flush(false)
    else if (this.#waits) this.#flushSoon()
    return true
  }

  #slow(count: number): boolean {
    return count % clockEvery === 0 && this.#options.parts.clock.monotonicMs() - this.#chunkStartedMs > chunkMsMax
  }

  /** A large input goes to a worker; its place in the row is kept meanwhile. */
  async #addLarge(input: unknown): Promise<void> {
    this.#flush(false)
    const encoded = encodeValue(input)
    const bytes = segmentsBytes(encoded)
    while (this.#storingBytes > 0 && this.#storingBytes + bytes > storingBytesMax) await this.#oneStored()
    if (this.#closed) return
    const first = this.#chunkFirst++
    this.pulled++
    this.blockBytes += bytes
    this.#storingBytes += bytes
    const storing = this.#store(first, copiedSegments(encoded))
    this.#options.sender.add(storing)
    // What is too large to be copied must not change while it is read.
    if (bytes > copyBytesMax) await storing.catch(() => undefined)
  }

  async #store(first: number, segments: readonly Uint8Array[]): Promise<Inputs> {
    try {
      const reference = await this.#options.parts.blocks.store(segments)
      const chunk = new ChunkWriter()
      writeBlockItem(chunk.beginItem(), reference)
      chunk.endItem()
      return { stage: 0, first, items: chunk.finish(), blocks: [{ index: first, ...reference }], seal: false }
    } finally {
      this.#storingBytes -= segmentsBytes(segments)
      this.#storingDone?.()
    }
  }

  #oneStored(): Promise<void> {
    return new Promise(resolve => {
      this.#storingDone = resolve
    })
  }

  #flushSoon(): void {
    if (this.#flushScheduled) return
    this.#flushScheduled = true
    this.#options.parts.clock.soon(() => {
      this.#flushScheduled = false
      if (!this.#closed && !this.ended) this.#flush(false)
    })
  }

  #flush(seal: boolean): void {
    const count = this.#chunk.count
    if (count === 0 && !(seal && this.pulled > 0)) return
    const first = this.#chunkFirst
    this.#chunkFirst += count
    this.#options.sender.add({ stage: 0, first, items: this.#chunk.finish(), blocks: [], seal })
  }

  /** Stops pulling and tells the source, which may have something to close. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#storingDone?.()
    if (!this.ended) await this.#iterator.return?.()
  }
}

// Owns the chunk: the bytes of many inputs or results in a row, which everyone between SDK and executor passes on unread.
// Must not look into an item: its first byte says inline or block, the rest is for SDK and executor.
//
// Layout: count, then the length of each item (varints), then the items' bytes one after the other.
import { malformed, Reader, Writer } from './bytes.ts'
import type { BlockId } from './ids.ts'

/** Memory that a writer keeps for its next chunk: the largest usual one with its last item, and the doubling that makes room for it. */
const keepBytesMax = 4 << 20

/** Builds a chunk item by item. */
export class ChunkWriter {
  // Small at first, so that Node cuts them out of memory it has: most writers are for one chunk of a few bytes, and the others are kept.
  readonly #lengths = new Writer(64)
  readonly #body = new Writer(512)
  #count = 0
  #itemStart = 0

  get count(): number {
    return this.#count
  }

  /** Bytes so far, without the count. */
  get bytes(): number {
    return this.#lengths.length + this.#body.length
  }

  /** Appends an item from its bytes. */
  add(item: Uint8Array): void {
    this.#lengths.varint(item.length)
    this.#body.raw(item)
    this.#count++
  }

  /** Appends an item of another chunk. */
  addFrom(chunk: Chunk, position: number): void {
    const start = chunk.start(position)
    const end = chunk.end(position)
    this.#lengths.varint(end - start)
    this.#body.part(chunk.buffer, start, end)
    this.#count++
  }

  /** Where the next item's bytes are to be written; close it with `endItem`, or take it back with `dropItem`. */
  beginItem(): Writer {
    this.#itemStart = this.#body.length
    return this.#body
  }

  endItem(): void {
    this.#lengths.varint(this.#body.length - this.#itemStart)
    this.#count++
  }

  dropItem(): void {
    this.#body.truncate(this.#itemStart)
  }

  /** The chunk's bytes; the writer is empty afterwards. */
  finish(): Buffer {
    const head = new Writer(8)
    head.varint(this.#count)
    const chunk = Buffer.concat([head.view(), this.#lengths.view(), this.#body.view()])
    this.clear()
    return chunk
  }

  /** Forgets all items. */
  clear(): void {
    this.#lengths.reset()
    this.#body.reset(keepBytesMax)
    this.#count = 0
  }
}

/** A chunk whose lengths have been read: items by position, and parts of it as chunks of their own. */
export class Chunk {
  readonly #buffer: Buffer
  /** Where it begins in the buffer. */
  readonly #begin: number
  /** Where each item starts, and the end of the last: count + 1 offsets. */
  readonly #offsets: Uint32Array
  readonly count: number

  /** Throws FRAME_MALFORMED unless the bytes are exactly a chunk. From a reader it takes a chunk off what it reads, wherever that ends. */
  constructor(bytes: Uint8Array | Reader) {
    const within = bytes instanceof Reader
    const reader = within ? bytes : new Reader(bytes)
    const begin = reader.position
    const count = reader.varint()
    if (count > reader.remaining) throw malformed(`claims ${count} items`, reader.position)
    const offsets = new Uint32Array(count + 1)
    let total = 0
    for (let i = 0; i < count; i++) {
      offsets[i] = total
      total += reader.varint()
      if (total > reader.remaining) throw malformed('ends inside an item', reader.position)
    }
    if (!within && total !== reader.remaining) throw malformed('has bytes behind its last item', reader.position)
    const start = reader.position
    for (let i = 0; i < count; i++) offsets[i] = offsets[i]! + start
    offsets[count] = start + total
    reader.position = start + total
    this.#buffer = reader.buffer
    this.#begin = begin
    this.#offsets = offsets
    this.count = count
  }

  /** The bytes of all items; `start` and `end` tell where each one is. */
  get buffer(): Buffer {
    return this.#buffer
  }

  /** Where an item starts in `buffer`. */
  start(position: number): number {
    return this.#offsets[position]!
  }

  /** Where an item ends in `buffer`. */
  end(position: number): number {
    return this.#offsets[position + 1]!
  }

  /** The bytes of one item, as a view. */
  item(position: number): Buffer {
    return this.#buffer.subarray(this.#offsets[position], this.#offsets[position + 1])
  }

  /** The bytes of items `from` to `from + count - 1`, as views. */
  items(from: number, count: number): Buffer[] {
    return Array.from({ length: count }, (_, i) => this.item(from + i))
  }

  /** Items `from` to `from + count - 1` as a chunk; the whole chunk is handed on without a copy. */
  slice(from: number, count: number): Buffer {
    if (from === 0 && count === this.count) return this.#buffer.subarray(this.#begin, this.#offsets[count])
    const head = new Writer(8 + count * 2)
    this.#writeHead(head, from, count)
    return Buffer.concat([head.view(), this.#buffer.subarray(this.#offsets[from], this.#offsets[from + count])])
  }

  /** Appends items `from` to `from + count - 1` as a chunk. */
  writeSlice(writer: Writer, from: number, count: number): void {
    this.#writeHead(writer, from, count)
    writer.part(this.#buffer, this.#offsets[from]!, this.#offsets[from + count]!)
  }

  #writeHead(writer: Writer, from: number, count: number): void {
    writer.varint(count)
    for (let i = from; i < from + count; i++) writer.varint(this.#offsets[i + 1]! - this.#offsets[i]!)
  }

  /** Where an item stands. */
  place(position: number): { buffer: Buffer; start: number; end: number } {
    return { buffer: this.#buffer, start: this.#offsets[position]!, end: this.#offsets[position + 1]! }
  }
}

/** The number of items of a chunk, without reading further. */
export function chunkCount(bytes: Uint8Array): number {
  return new Reader(bytes).varint()
}

/** First byte of an item whose value follows inline. */
export const itemInline = 0
/** First byte of an item that names a block. */
export const itemBlock = 1

/** First byte of an input that is made on its way: see compose.ts. */
export const itemComposed = 2
/** First byte of a step's own part of its input. */
export const itemTemplate = 3

/** What an item says when its value is a block. */
export interface BlockReference {
  block: BlockId
  /** Size of the encoded value. */
  bytes: number
  /** The worker that stored it. */
  holder: string
}

/** Writes an item that names a block. */
export function writeBlockItem(writer: Writer, reference: BlockReference): void {
  writer.byte(itemBlock)
  writer.raw(Buffer.from(reference.block, 'hex'))
  writer.varint(reference.bytes)
  writer.string(reference.holder)
}

/** Reads an item: the inline bytes of its value, or the reference to its block. */
export function readItem(item: Uint8Array): { inline: Buffer } | BlockReference {
  const reader = new Reader(item)
  const tag = reader.byte()
  if (tag === itemInline) return { inline: reader.raw(reader.remaining) }
  if (tag !== itemBlock) throw malformed('is neither inline nor a block', 0)
  const reference = { block: reader.raw(32).toString('hex'), bytes: reader.varint(), holder: reader.string(200) }
  reader.finish()
  return reference
}

/** Media type of the answer of a block server that names the block's file instead of sending its bytes, to who is on the same machine. */
export const blockPathType = 'application/vnd.coxswain.block-path'

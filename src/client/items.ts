// Owns the items of a chunk as the client writes and reads them: a value inline, or the name of its block.
// Must not fetch or store blocks.
import {
  type BlockReference,
  type Chunk,
  type ChunkWriter,
  decodeValue,
  itemBlock,
  itemInline,
  limits,
  readItem,
  writeValueWithin,
} from '../protocol/index.ts'

/** Appends a value; false, with nothing appended, where it is so large that it must become a block. Throws VALUE_CANNOT_TRAVEL. */
export function addInline(chunk: ChunkWriter, value: unknown): boolean {
  const writer = chunk.beginItem()
  let whole = false
  try {
    writer.byte(itemInline)
    whole = writeValueWithin(writer, value, limits.inlineBytesMax)
  } finally {
    if (!whole) chunk.dropItem()
  }
  if (whole) chunk.endItem()
  return whole
}

/** True where the item's value is a block. */
export function isBlock(chunk: Chunk, position: number): boolean {
  return chunk.buffer[chunk.start(position)] === itemBlock
}

/** The value of an item that is no block. */
export function inlineValue(chunk: Chunk, position: number): unknown {
  const start = chunk.start(position)
  // An item without its first byte is no item: readItem says so.
  if (chunk.buffer[start] !== itemInline || start === chunk.end(position)) readItem(chunk.item(position))
  return decodeValue(chunk.buffer, start + 1, chunk.end(position))
}

/** The block that an item names. */
export function blockOf(chunk: Chunk, position: number): BlockReference {
  return readItem(chunk.item(position)) as BlockReference
}

// Owns how the input of a workflow's task is put together: its own part, a template, and what other steps gave, which the leader adds unread.
// Must not look into values: only SDK and executor do.
import { malformed, Reader, type Writer } from './bytes.ts'
import { Chunk, itemComposed, itemTemplate } from './chunk.ts'

/** Where an item stands. */
export interface ItemPlace {
  buffer: Buffer
  start: number
  end: number
}

/** Items `from` to `from + count - 1` of a chunk. */
export interface ChunkPart {
  chunk: Chunk
  from: number
  count: number
}

/** What a step gets of another one, as items of chunks. */
export type ComposedPart =
  | { kind: 'item'; item: ItemPlace }
  | { kind: 'list'; chunks: readonly ChunkPart[] }
  /** It has an end and no value: `undefined`. */
  | { kind: 'nothing' }

const partKinds = ['item', 'list', 'nothing'] as const

function writeItem(writer: Writer, { buffer, start, end }: ItemPlace): void {
  writer.varint(end - start)
  writer.part(buffer, start, end)
}

function readItemPlace(reader: Reader): ItemPlace {
  const length = reader.varint()
  reader.skip(length)
  return { buffer: reader.buffer, start: reader.position - length, end: reader.position }
}

/** Appends the item of a task that gets parts of others. `own` undefined: the first part is its input. */
export function writeComposed(writer: Writer, own: ItemPlace | undefined, parts: readonly ComposedPart[]): void {
  writer.byte(itemComposed)
  writer.byte(own ? 1 : 0)
  if (own) writeItem(writer, own)
  writer.varint(parts.length)
  for (const part of parts) {
    writer.byte(partKinds.indexOf(part.kind))
    if (part.kind === 'item') writeItem(writer, part.item)
    else if (part.kind === 'list') {
      writer.varint(part.chunks.length)
      for (const { chunk, from, count } of part.chunks) chunk.writeSlice(writer, from, count)
    }
  }
}

/** The parts of a composed item. Throws FRAME_MALFORMED. */
export function readComposed(item: Uint8Array): { own: ItemPlace | undefined; parts: ComposedPart[] } {
  const reader = new Reader(item)
  if (reader.byte() !== itemComposed) throw malformed('is no composed input', 0)
  const own = reader.byte() === 1 ? readItemPlace(reader) : undefined
  const parts: ComposedPart[] = []
  for (let count = reader.varint(); parts.length < count; ) {
    const kind = partKinds[reader.byte()]
    if (kind === 'item') parts.push({ kind, item: readItemPlace(reader) })
    else if (kind === 'nothing') parts.push({ kind })
    else if (kind === 'list') {
      const chunks: ChunkPart[] = []
      for (let length = reader.varint(); chunks.length < length; ) {
        const chunk = new Chunk(reader)
        chunks.push({ chunk, from: 0, count: chunk.count })
      }
      parts.push({ kind, chunks })
    } else throw malformed('has a part of an unknown kind', reader.position)
  }
  reader.finish()
  return { own, parts }
}

/** Begins a step's own part: a value in which holes stand for parts; with `spread` the task's result is a list of inputs for others. */
export function beginTemplate(writer: Writer, spread: boolean): void {
  writer.byte(itemTemplate)
  writer.byte(spread ? 1 : 0)
}

/** A template's value and what it asks for, or undefined if the item is none. */
export function readTemplate(item: Uint8Array): { spread: boolean; value: Uint8Array } | undefined {
  return item[0] === itemTemplate && item.length > 2 ? { spread: item[1] === 1, value: item.subarray(2) } : undefined
}

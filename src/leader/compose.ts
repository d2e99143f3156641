// Owns the inputs of tasks on their way out: cut from what was sent for them, or composed from what other steps of their workflow gave.
// Must not look into a value.
import type { Argument, ComposedInput, Piece, RunInputs } from '../core/index.ts'
import {
  type Chunk,
  ChunkWriter,
  type ComposedPart,
  type ItemPlace,
  itemInline,
  type PayloadId,
  Writer,
  writeComposed,
  writeValue,
} from '../protocol/index.ts'
import type { Payloads } from './payloads.ts'

/** Pieces of fewer items are put together into one chunk with their neighbours: each as a chunk of its own would cost more than to copy it. */
const pieceItemsMin = 16

/** Where what is in memory is put together: at once, and empty again afterwards. */
const scratch = new ChunkWriter()

/** True if something must be durable before these tasks may begin: then what they get will not change any more. */
export function waitsForOthers(payloads: Payloads, { from, restsOn }: RunInputs): boolean {
  if (restsOn !== 'payloads') return restsOn === 'facts'
  for (const piece of piecesOf(from)) if (!payloads.isStored(piece.payload)) return true
  return false
}

/** Chunks that hold the inputs of these runs in order, from memory; undefined if something of them must be read from the store first. */
export function cachedInputs(payloads: Payloads, runs: readonly RunInputs[]): Uint8Array[] | undefined {
  for (const { from } of runs) for (const piece of piecesOf(from)) if (!payloads.has(piece.payload)) return undefined
  const chunks = new Chunks(scratch)
  for (const { from } of runs) chunks.add(from, payload => payloads.cached(payload)!)
  return chunks.finish()
}

/** The same, read from the store where needed. Throws as `Payloads.read` does. */
export async function readInputs(payloads: Payloads, runs: readonly RunInputs[], needed: () => boolean): Promise<Uint8Array[]> {
  const chunks = new Chunks(new ChunkWriter())
  for (const { from } of runs) {
    const read = new Map<PayloadId, Chunk>()
    for (const { payload } of piecesOf(from)) if (!read.has(payload)) read.set(payload, await payloads.chunk(payload, needed))
    chunks.add(from, payload => read.get(payload)!)
  }
  return chunks.finish()
}

/** Inputs on their way into chunks: large pieces are cut out as they are, small and composed ones are written one after the other. */
class Chunks {
  readonly #writer: ChunkWriter
  readonly #chunks: Uint8Array[] = []

  constructor(writer: ChunkWriter) {
    this.#writer = writer
    writer.clear()
  }

  add(from: RunInputs['from'], chunkOf: (payload: PayloadId) => Chunk): void {
    if ('tasks' in from) for (const task of from.tasks) compose(this.#writer, task, chunkOf)
    else for (const piece of from.pieces) this.#addPiece(chunkOf(piece.payload), piece)
  }

  #addPiece(chunk: Chunk, { from, count }: Piece): void {
    if (count < pieceItemsMin) for (let item = from; item < from + count; item++) this.#writer.addFrom(chunk, item)
    else {
      this.#close()
      this.#chunks.push(chunk.slice(from, count))
    }
  }

  #close(): void {
    if (this.#writer.count > 0) this.#chunks.push(this.#writer.finish())
  }

  finish(): Uint8Array[] {
    this.#close()
    return this.#chunks
  }
}

/** Everything that inputs are made of. */
function piecesOf(from: RunInputs['from']): readonly Piece[] {
  return 'pieces' in from ? from.pieces : from.tasks.flatMap(piecesIn)
}

function piecesIn(task: ComposedInput): Piece[] {
  const pieces: Piece[] = task.own ? [task.own] : []
  for (const argument of task.arguments) if (argument.kind === 'items') pieces.push(...argument.pieces)
  return pieces
}

function compose(writer: ChunkWriter, task: ComposedInput, chunkOf: (payload: PayloadId) => Chunk): void {
  const itemOf = ({ payload, from }: Piece): ItemPlace => chunkOf(payload).place(from)
  if (task.own && task.arguments.length === 0) return writer.addFrom(chunkOf(task.own.payload), task.own.from)
  const partOf = (argument: Argument): ComposedPart => {
    if (argument.kind === 'nothing') return argument
    if (argument.kind === 'failure') return { kind: 'item', item: placeOf(argument.failure) }
    if (!argument.list) return { kind: 'item', item: itemOf(argument.pieces[0]!) }
    return { kind: 'list', chunks: argument.pieces.map(({ payload, from, count }) => ({ chunk: chunkOf(payload), from, count })) }
  }
  writeComposed(writer.beginItem(), task.own && itemOf(task.own), task.arguments.map(partOf))
  writer.endItem()
}

function placeOf(value: unknown): ItemPlace {
  const writer = new Writer()
  writer.byte(itemInline)
  writeValue(writer, value)
  const buffer = writer.view()
  return { buffer, start: 0, end: buffer.length }
}

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

/** Where what is in memory is put together: at once, and empty again afterwards. */
const scratch = new ChunkWriter()

/** True if something must be durable before this run may begin: then what it gets will not change any more. */
export function waitsForOthers(payloads: Payloads, { from, restsOn }: RunInputs): boolean {
  if (restsOn !== 'payloads') return restsOn === 'facts'
  const pieces = 'pieces' in from ? from.pieces : from.tasks.flatMap(piecesIn)
  return pieces.some(piece => !payloads.isStored(piece.payload))
}

/** The chunks of a run's inputs from memory, or undefined if something of it must be read from the store first. */
export function cachedInputs(payloads: Payloads, { from }: RunInputs): Uint8Array[] | undefined {
  if ('pieces' in from) {
    const chunks = from.pieces.map(piece => payloads.cachedPiece(piece))
    return chunks.includes(undefined) ? undefined : (chunks as Uint8Array[])
  }
  for (const task of from.tasks) for (const piece of piecesIn(task)) if (!payloads.has(piece.payload)) return undefined
  scratch.clear()
  for (const task of from.tasks) compose(scratch, task, payload => payloads.cached(payload)!)
  return [scratch.finish()]
}

/** The same, read from the store where needed. Throws as `Payloads.read` does. */
export async function readInputs(payloads: Payloads, { from }: RunInputs, needed: () => boolean): Promise<Uint8Array[]> {
  if ('pieces' in from) {
    const chunks: Uint8Array[] = []
    for (const piece of from.pieces) chunks.push(await payloads.readPiece(piece, needed))
    return chunks
  }
  const writer = new ChunkWriter()
  for (const task of from.tasks) {
    const read = new Map<PayloadId, Chunk>()
    for (const { payload } of piecesIn(task)) if (!read.has(payload)) read.set(payload, await payloads.chunk(payload, needed))
    compose(writer, task, payload => read.get(payload)!)
  }
  return [writer.finish()]
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

// Owns the inputs of tasks on their way out: cut from what was sent for them, or composed from what other steps of their workflow gave.
// Must not look into a value.
import { type ComposedInput, composes, inputOf, type Stage } from '../core/index.ts'
import { ChunkWriter, type ComposedPart, composeItem, itemInline, type Run, writeValue } from '../protocol/index.ts'
import { type Payloads, type Piece, piecesOf } from './payloads.ts'

/** What a run's inputs are made from, as the state says at the moment at which it is handed out. */
export type RunInputs = { pieces: Piece[] } | { tasks: ComposedInput[] }

/** What these tasks get. */
export function inputsOf(stage: Stage, run: Run): RunInputs {
  if (!composes(stage)) return { pieces: piecesOf(stage, run.first, run.count) }
  return { tasks: Array.from({ length: run.count }, (_, i) => inputOf(stage, run.first + i)) }
}

/** True if a step of its workflow must be durable before this run may begin: then what it gets will not change any more. */
export function waitsForOthers(stage: Stage, inputs: RunInputs): boolean {
  return 'tasks' in inputs && stage.job.flow !== undefined && inputs.tasks.some(task => task.later)
}

/** The chunks of a run's inputs from memory, or undefined if something of it must be read from the store first. */
export function cachedInputs(payloads: Payloads, inputs: RunInputs): Uint8Array[] | undefined {
  if ('pieces' in inputs) {
    const chunks = inputs.pieces.map(piece => payloads.cachedPiece(piece))
    return chunks.includes(undefined) ? undefined : (chunks as Uint8Array[])
  }
  const writer = new ChunkWriter()
  for (const task of inputs.tasks) {
    for (const piece of piecesIn(task)) if (!payloads.cached(piece.payload)) return undefined
    writer.add(composed(task, piece => payloads.cached(piece.payload)!.items(piece.from, piece.count)))
  }
  return [writer.finish()]
}

/** The same, read from the store where needed. Throws as `Payloads.read` does. */
export async function readInputs(payloads: Payloads, inputs: RunInputs, needed: () => boolean): Promise<Uint8Array[]> {
  if ('pieces' in inputs) {
    const chunks: Uint8Array[] = []
    for (const piece of inputs.pieces) chunks.push(await payloads.readPiece(piece, needed))
    return chunks
  }
  const writer = new ChunkWriter()
  for (const task of inputs.tasks) {
    const read = new Map<Piece, readonly Uint8Array[]>()
    for (const piece of piecesIn(task)) read.set(piece, (await payloads.chunk(piece.payload, needed)).items(piece.from, piece.count))
    writer.add(composed(task, piece => read.get(piece)!))
  }
  return [writer.finish()]
}

function piecesIn(task: ComposedInput): Piece[] {
  const pieces = task.arguments.flatMap(argument => (argument.kind === 'items' ? argument.pieces : []))
  return task.own ? [task.own, ...pieces] : pieces
}

function composed(task: ComposedInput, itemsOf: (piece: Piece) => readonly Uint8Array[]): Uint8Array {
  const own = task.own && itemsOf(task.own)[0]!
  if (own && task.arguments.length === 0) return own
  return composeItem(
    own,
    task.arguments.map((argument): ComposedPart => {
      if (argument.kind === 'nothing') return argument
      if (argument.kind === 'failure') return { kind: 'item', item: valueItem(argument.failure) }
      const items = argument.pieces.flatMap(piece => [...itemsOf(piece)])
      return argument.list ? { kind: 'list', items } : { kind: 'item', item: items[0]! }
    }),
  )
}

function valueItem(value: unknown): Uint8Array {
  const writer = new ChunkWriter()
  const body = writer.beginItem()
  body.byte(itemInline)
  writeValue(body, value)
  return body.view()
}

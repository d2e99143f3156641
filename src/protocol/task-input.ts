// Owns what a task is called with: its item's value, or what is made from its template and what other steps gave.
// Must not run anything.
import { type BlockReference, itemComposed, itemInline, itemTemplate, readItem } from './chunk.ts'
import { type ComposedPart, type ItemPlace, readComposed, readTemplate } from './compose.ts'
import { decodeTemplate, decodeValue } from './values.ts'

/** Reads a block, checked. */
type Fetch = (reference: BlockReference) => Promise<Buffer>
/** Gives away the blocks that it needs, one by one, and goes on with their bytes. */
type Reading<T> = Generator<BlockReference, T, Buffer>

/** A task's input; `spread`: its result is to be a list of inputs for others. */
export interface ReadInput {
  value: unknown
  spread: boolean
}

/** The input that an item stands for: at once, unless a part of it is a block. Throws what the blocks and bytes say. */
export function readInput(item: Buffer, fetch: Fetch): ReadInput | Promise<ReadInput> {
  const reading = inputOf(item)
  const step = reading.next()
  return step.done ? step.value : fetched(reading, step.value, fetch)
}

async function fetched(reading: Reading<ReadInput>, first: BlockReference, fetch: Fetch): Promise<ReadInput> {
  for (let reference = first; ; ) {
    const step = reading.next(await fetch(reference))
    if (step.done) return step.value
    reference = step.value
  }
}

function* inputOf(item: Buffer): Reading<ReadInput> {
  if (item[0] !== itemComposed) return yield* filled({ buffer: item, start: 0, end: item.length }, [])
  const { own, parts } = readComposed(item)
  const values: unknown[] = []
  for (const part of parts) values.push(part.kind === 'item' ? yield* valueAt(part.item) : yield* valueOfPart(part))
  return own ? yield* filled(own, values) : { value: values[0], spread: false }
}

function* filled({ buffer, start, end }: ItemPlace, values: readonly unknown[]): Reading<ReadInput> {
  const item = buffer.subarray(start, end)
  // A template that is too large for a message is a block of itself; no value of that size begins as a template does.
  const bytes = item[0] === itemTemplate ? item : yield* bytesOf(item)
  const template = readTemplate(bytes)
  if (!template) return { value: decodeValue(bytes), spread: false }
  return { value: decodeTemplate(template.value, hole => values[hole]), spread: template.spread }
}

function* bytesOf(item: Uint8Array): Reading<Uint8Array> {
  const read = readItem(item)
  return 'inline' in read ? read.inline : yield read
}

function* valueAt({ buffer, start, end }: ItemPlace): Reading<unknown> {
  // Nearly all are: no view of each is made.
  if (buffer[start] === itemInline) return decodeValue(buffer, start + 1, end)
  return decodeValue(yield* bytesOf(buffer.subarray(start, end)))
}

function* valueOfPart(part: Exclude<ComposedPart, { kind: 'item' }>): Reading<unknown> {
  if (part.kind === 'nothing') return undefined
  const values: unknown[] = []
  for (const { chunk } of part.chunks) {
    const { buffer } = chunk
    for (let i = 0; i < chunk.count; i++) {
      const start = chunk.start(i)
      if (buffer[start] === itemInline) values.push(decodeValue(buffer, start + 1, chunk.end(i)))
      else values.push(yield* valueAt(chunk.place(i)))
    }
  }
  return values
}

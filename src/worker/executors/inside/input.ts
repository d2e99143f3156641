// Owns what a task is called with: its item's value, or what is made from its template and what other steps gave.
// Must not run anything.
import {
  type BlockReference,
  type ComposedPart,
  decodeTemplate,
  decodeValue,
  itemComposed,
  itemTemplate,
  readComposed,
  readItem,
  readTemplate,
} from '../../../protocol/index.ts'

/** Reads a block, checked. */
type Fetch = (reference: BlockReference) => Promise<Buffer>

/** A task's input; `spread`: its result is to be a list of inputs for others. */
export interface TaskInput {
  value: unknown
  spread: boolean
}

/** The input that an item stands for. Throws what the blocks and bytes say. */
export async function readInput(item: Uint8Array, fetch: Fetch): Promise<TaskInput> {
  if (item[0] !== itemComposed) return filled(item, [], fetch)
  const { own, parts } = readComposed(item)
  const values: unknown[] = []
  for (const part of parts) values.push(await valueOfPart(part, fetch))
  return own ? filled(own, values, fetch) : { value: values[0], spread: false }
}

async function filled(item: Uint8Array, values: readonly unknown[], fetch: Fetch): Promise<TaskInput> {
  // A template that is too large for a message is a block of itself; no value of that size begins as a template does.
  const bytes = item[0] === itemTemplate ? item : await bytesOf(item, fetch)
  const template = readTemplate(bytes)
  if (!template) return { value: decodeValue(bytes), spread: false }
  return { value: decodeTemplate(template.value, hole => values[hole]), spread: template.spread }
}

async function bytesOf(item: Uint8Array, fetch: Fetch): Promise<Uint8Array> {
  const read = readItem(item)
  return 'inline' in read ? read.inline : fetch(read)
}

async function valueOfPart(part: ComposedPart, fetch: Fetch): Promise<unknown> {
  if (part.kind === 'nothing') return undefined
  if (part.kind === 'item') return decodeValue(await bytesOf(part.item, fetch))
  const values: unknown[] = []
  for (const item of part.items) values.push(decodeValue(await bytesOf(item, fetch)))
  return values
}

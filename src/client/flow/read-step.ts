// Owns what a step of a workflow was given and what it came to, read piece by piece.
// Must not wait for the step: what is not there yet is an error.
import { Chunk, decodeValue, readInput } from '../../protocol/index.ts'
import { blockOf, inlineValue, isBlock } from '../items.ts'
import { failureError } from '../outcomes.ts'
import type { Parts } from '../parts.ts'

/** The value that a step was given or gave: with many tasks all in order. Throws its error, or why there is none. */
export async function readStep(parts: Parts, job: string, step: number, part: 'input' | 'result'): Promise<unknown> {
  const values: unknown[] = []
  for (let first: number | undefined = 0; first !== undefined; ) {
    const reply = await parts.session.request({ kind: 'readStep', job, step, part, first })
    if (reply.kind !== 'stepRead') return undefined
    if (reply.failure) throw failureError(job, reply.failure.stage, reply.failure.failure)
    for (const bytes of reply.chunks) {
      const chunk = new Chunk(bytes)
      for (let position = 0; position < chunk.count; position++)
        values.push(await (part === 'input' ? inputAt(parts, chunk, position) : valueAt(parts, chunk, position)))
    }
    if (!reply.list) return values[0]
    first = reply.next
  }
  return values
}

async function inputAt(parts: Parts, chunk: Chunk, position: number): Promise<unknown> {
  return (await readInput(chunk.item(position), block => parts.blocks.fetch(block))).value
}

async function valueAt(parts: Parts, chunk: Chunk, position: number): Promise<unknown> {
  return isBlock(chunk, position) ? decodeValue(await parts.blocks.fetch(blockOf(chunk, position))) : inlineValue(chunk, position)
}

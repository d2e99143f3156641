// Owns the payload of a signal as it is sent. Must not send it.
import { ChunkWriter, CoxswainError, limits } from '../protocol/index.ts'
import { addInline } from './items.ts'

/** The payload as a chunk of one value. Throws VALUE_CANNOT_TRAVEL. */
export function signalItem(name: string, payload: unknown): Buffer {
  const chunk = new ChunkWriter()
  if (addInline(chunk, payload)) return chunk.finish()
  throw new CoxswainError(
    'VALUE_CANNOT_TRAVEL',
    `The payload of signal ${name} is larger than ${limits.inlineBytesMax} bytes: send where it can be found.`,
    { id: name },
  )
}

// Owns the payload of a signal as it is sent. Must not send it.
import { ChunkWriter, CoxswainError, limits } from '../protocol/index.ts'
import { addInline } from './items.ts'

/** The payload as a chunk of one value. Throws VALUE_CANNOT_TRAVEL, or INVALID_ARGUMENT for a name that no step can wait for. */
export function signalItem(name: string, payload: unknown): Buffer {
  if (typeof name !== 'string' || name === '' || Buffer.byteLength(name) > limits.nameBytesMax)
    throw new CoxswainError('INVALID_ARGUMENT', `A signal's name is a text of 1 to ${limits.nameBytesMax} bytes.`, { id: 'name' })
  const chunk = new ChunkWriter()
  if (addInline(chunk, payload)) return chunk.finish()
  throw new CoxswainError(
    'VALUE_CANNOT_TRAVEL',
    `The payload of signal ${name} is larger than ${limits.inlineBytesMax} bytes: send where it can be found.`,
    { id: name },
  )
}

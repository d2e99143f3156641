// Owns how errors travel to clients. Must not tell internals.
import { CoxswainError, type WireError, limits as wire } from '../protocol/index.ts'

/** The first characters of a text that fit into this many bytes. */
function clip(text: string, bytesMax: number): string {
  const bytes = Buffer.from(text)
  return bytes.length <= bytesMax ? text : new TextDecoder().decode(bytes.subarray(0, bytesMax - 3)).replace(/\uFFFD$/, '')
}

/** The fields of an error as they travel. An unexpected one tells no internals. */
export function wireError(error: unknown): WireError {
  if (error instanceof CoxswainError)
    return {
      code: error.code,
      message: clip(error.message, 8000),
      id: clip(error.id ?? '', wire.nameBytesMax),
      retryAfterMs: error.retryAfterMs ?? 0,
    }
  return {
    code: 'INVALID_ARGUMENT',
    message: 'The request could not be answered; the log of the leader says why.',
    id: '',
    retryAfterMs: 0,
  }
}

// Owns setting a secret. Must not keep or tell what is in it.
import { CoxswainError, limits } from '../protocol/index.ts'
import type { Parts } from './parts.ts'

/** Sends the secret to the leader, which seals it; resolves when it is durable. */
export async function setSecret(parts: Parts, name: string, value: string, jobs: readonly string[]): Promise<void> {
  if (typeof value !== 'string' || value === '')
    throw new CoxswainError('INVALID_ARGUMENT', `The secret ${name} must be a text that is not empty.`, { id: name })
  const bytes = Buffer.from(value)
  if (bytes.length > limits.secretBytesMax)
    throw new CoxswainError('INVALID_ARGUMENT', `The secret ${name} has ${bytes.length} bytes; ${limits.secretBytesMax} are allowed.`, {
      id: name,
    })
  await parts.session.request({ kind: 'setSecret', secret: name, value: bytes, jobs: [...jobs] })
}

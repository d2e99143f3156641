// Owns bytes that are too large for one request: they are cut into parts, and put together again.
// Must not know what they mean.
import type { Operation } from './api.ts'
import type { Caller } from './caller.ts'
import { blobKey, blobRange } from './keys.ts'

/** A part of a blob; etcd's limit for a request is 1.5 MiB. */
export const partBytesMax = 1 << 20
/** Parts that one answer holds, at most. */
const partsPerRead = 4

/** A part, to be put. */
export interface Part {
  key: string
  value: Uint8Array
}

/** The parts of a blob; one without bytes has one. */
export function partsOf(name: string, bytes: Uint8Array): Part[] {
  const parts: Part[] = []
  for (let at = 0; at === 0 || at < bytes.length; at += partBytesMax)
    parts.push({ key: blobKey(name, parts.length), value: bytes.subarray(at, at + partBytesMax) })
  return parts
}

/** Puts of some parts. */
export function putsOf(parts: readonly Part[]): Operation[] {
  return parts.map(put => ({ put }))
}

/** A blob of so many bytes, or undefined where any of it is missing. */
export async function readBlob(caller: Caller, name: string, bytes: number): Promise<Buffer | undefined> {
  const whole = Buffer.allocUnsafe(bytes)
  const count = Math.max(1, Math.ceil(bytes / partBytesMax))
  for (let part = 0; part < count; part += partsPerRead) {
    const { rows } = await caller.range({ ...blobRange(name), key: blobKey(name, part), limit: partsPerRead })
    const wanted = rows.slice(0, count - part)
    for (const [at, { key, value }] of wanted.entries()) {
      const begin = (part + at) * partBytesMax
      if (key !== blobKey(name, part + at) || value.length !== Math.min(partBytesMax, bytes - begin)) return undefined
      whole.set(value, begin)
    }
    if (wanted.length < Math.min(partsPerRead, count - part)) return undefined
  }
  return whole
}

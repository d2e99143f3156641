// Owns where in a journal encryption began, as every sealed row and snapshot carries it.
// Must not seal or open anything.
import type { PayloadId } from '../../protocol/index.ts'

/**
 * What lies before it may be in clear, and nothing that comes after: so whoever can write the store, but has no key, can add nothing in clear. It is made
 * once, by the first leader that had a key, and is the same in all that is sealed.
 */
export interface Beginning {
  /** 32 hex digits of chance: what is sealed belongs to this journal and to no other. */
  journal: string
  /** The first record of the first sealed row. */
  index: number
  /** Payloads with smaller numbers were there before. */
  payload: PayloadId
  /** Rows of the history with smaller places were there before. */
  place: number
}

const journalBytes = 16

/** Bytes of a beginning. */
const beginningBytes = journalBytes + 3 * 8

/** A beginning, and behind it the bytes that come with it. */
export function withBeginning({ journal, index, payload, place }: Beginning, bytes: Uint8Array): Uint8Array {
  const all = Buffer.allocUnsafe(beginningBytes + bytes.length)
  all.write(journal, 'hex')
  for (const [at, number] of [index, payload, place].entries()) all.writeBigUInt64LE(BigInt(number), journalBytes + at * 8)
  all.set(bytes, beginningBytes)
  return all
}

/** What `withBeginning` put together; undefined for bytes that are too short for it. */
export function splitBeginning(all: Uint8Array): { beginning: Beginning; bytes: Uint8Array } | undefined {
  if (all.length < beginningBytes) return undefined
  const buffer = Buffer.from(all.buffer, all.byteOffset, all.length)
  const number = (at: number): number => Number(buffer.readBigUInt64LE(journalBytes + at * 8))
  const beginning = { journal: buffer.toString('hex', 0, journalBytes), index: number(0), payload: number(1), place: number(2) }
  return { beginning, bytes: all.subarray(beginningBytes) }
}

/** True where both are one journal's. */
export function sameBeginning(one: Beginning, other: Beginning): boolean {
  return one.journal === other.journal && one.index === other.index && one.payload === other.payload && one.place === other.place
}

// Owns how bytes go wrong, the same way each time for the same seed.
// Must not know what the bytes mean.

/** Gives a number below another, the next of its sequence. */
export type Numbers = (below: number) => number

/** Numbers that follow from a seed (mulberry32). */
export function numbers(seed: number): Numbers {
  let state = seed | 0
  return below => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

/** Claims of great lengths, as varints and as big-endian numbers, and what ends lines and texts. */
const poisons = [
  ...['ffffffff0f', 'ffffffffffffff0f', '8080808001', 'ffffffffffffffffff', '7fffffff', 'ffffffff', '00000000'],
  ...['0d0a', '0d0a0d0a', '00', '0a', 'efbbbf', 'c0ae', 'edA080', '5f5f70726f746f5f5f', '636f6e7374727563746f72'],
].map(hex => Buffer.from(hex, 'hex'))

/** One of the ways in which bytes go wrong; now and then none. */
function once(bytes: Buffer, other: Buffer, next: Numbers): Buffer {
  const at = next(bytes.length + 1)
  switch (next(8)) {
    case 0: {
      const flipped = Buffer.from(bytes)
      for (let flips = 1 + next(4); flips > 0 && flipped.length > 0; flips--) flipped[next(flipped.length)]! ^= 1 << next(8)
      return flipped
    }
    case 1:
      return bytes.subarray(0, at)
    case 2:
      return Buffer.concat([bytes.subarray(0, at), poisons[next(poisons.length)]!, bytes.subarray(at)])
    case 3:
      return Buffer.concat([bytes.subarray(0, at), poisons[next(poisons.length)]!, bytes.subarray(Math.min(bytes.length, at + 1))])
    case 4:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(Math.min(bytes.length, at + 1 + next(16)))])
    case 5: {
      // A piece comes again and again, as deep nesting does.
      const piece = bytes.subarray(at, at + 1 + next(8))
      return Buffer.concat([bytes.subarray(0, at), ...Array.from({ length: next(600) }, () => piece), bytes.subarray(at)])
    }
    case 6:
      return Buffer.concat([bytes.subarray(0, at), other.subarray(next(other.length + 1))])
    default:
      return bytes
  }
}

/** Bytes of the corpus, gone wrong once or a few times. */
export function mutant(corpus: readonly Buffer[], next: Numbers): Buffer {
  let bytes = corpus[next(corpus.length)]!
  for (let times = 1 + next(3); times > 0; times--) bytes = once(bytes, corpus[next(corpus.length)]!, next)
  return bytes
}

// Owns what bytes that are encrypted at rest look like from outside, and what is asked of whoever seals and opens them.
// Must not hold keys or ciphers: those are the platform's.

/**
 * Seals bytes and opens them again. `about` says in words what the bytes are and where they belong: what was sealed about one thing does not open as
 * another, so that nobody who can write the store can make one piece pass for another.
 */
export interface Sealer {
  /** 32 hex digits of chance, made anew for each sealer. */
  readonly instance: string
  /** The bytes, encrypted and authenticated under the first key. They are read before this returns. */
  seal(bytes: Uint8Array, about: string): Uint8Array
  /** What was sealed; undefined if these are not, byte for byte, the ones that were sealed about this. Throws ENCRYPTION_KEY_WRONG for a key it does not have. */
  open(sealed: Uint8Array, about: string): Uint8Array | undefined
}

/**
 * With what each sealed piece begins; the last byte is the version of its form. No record and no snapshot begins with a zero byte: kinds and versions
 * count from 1. Of a payload it proves nothing, because its bytes are anyone's.
 */
export const sealedMark: Uint8Array = Uint8Array.of(0, 0x63, 0x6f, 0x78, 0x73, 0x65, 0x61, 1)

/** Bytes of the parts of a sealed piece, in their order, the encrypted bytes left out: they stand before the tag. */
export const sealedParts = { mark: 8, key: 8, salt: 32, counter: 8, tag: 16 } as const

/** Bytes by which a sealed piece is longer than what was sealed. */
export const sealedOverheadBytes = 72

/** True for bytes that begin as a sealed piece does. */
export function isSealed(bytes: Uint8Array): boolean {
  return bytes.length >= sealedOverheadBytes && sealedMark.every((byte, at) => bytes[at] === byte)
}

/** The id of the key that a sealed piece was sealed under, 16 hex digits; undefined for bytes that are none. */
export function sealedUnder(bytes: Uint8Array): string | undefined {
  if (!isSealed(bytes)) return undefined
  const { mark, key } = sealedParts
  return Buffer.from(bytes.buffer, bytes.byteOffset + mark, key).toString('hex')
}

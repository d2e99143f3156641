// Owns the reading of numbers and texts of a value, each held against the bytes that are there.
// Must not know kinds of values.
import { CoxswainError } from '../errors.ts'

const asciiBytesMax = 24
const keyCacheSize = 1024

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
/** Keys come again and again: the same text is made once. A slot is simply overwritten by another key. */
const keyCache: (string | undefined)[] = new Array<string | undefined>(keyCacheSize).fill(undefined)

/** A place in the bytes of one value, moving forward. */
export class Cursor {
  readonly bytes: Buffer
  readonly start: number
  readonly end: number
  position: number

  /** The value stands in `bytes` from `from` up to `end`. */
  constructor(bytes: Uint8Array, from: number, end: number) {
    this.bytes = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.start = from
    this.position = from
    this.end = end
  }

  /** The error of bytes that are no value. */
  malformed(what: string): CoxswainError {
    return new CoxswainError(
      'VALUE_MALFORMED',
      `The bytes are not a value: ${what} (at byte ${this.position - this.start} of ${this.end - this.start}).`,
    )
  }

  /** The next byte. */
  byte(): number {
    if (this.position >= this.end) throw this.malformed('they end early')
    return this.bytes[this.position++]!
  }

  /** An integer from 0 to 2^53 - 1. */
  varint(): number {
    const first = this.byte()
    if (first < 0x80) return first
    let value = first & 0x7f
    let scale = 0x80
    for (let group = 1; group < 8; group++) {
      const byte = this.byte()
      value += (byte & 0x7f) * scale
      if (byte < 0x80) {
        if (value > Number.MAX_SAFE_INTEGER) break
        return value
      }
      scale *= 0x80
    }
    throw this.malformed('an integer is too long')
  }

  /** A count of things that take at least `bytesEach` bytes each. */
  count(bytesEach: number): number {
    const count = this.varint()
    if (count * bytesEach > this.end - this.position) throw this.malformed(`a count of ${count} is more than the bytes can hold`)
    return count
  }

  /** Passes over so many bytes, and says where they begin. */
  take(length: number): number {
    const from = this.position
    if (length > this.end - from) throw this.malformed(`${length} bytes are claimed`)
    this.position = from + length
    return from
  }

  float64(): number {
    return this.bytes.readDoubleLE(this.take(8))
  }

  /** A text in UTF-8. */
  text(): string {
    const length = this.varint()
    const from = this.take(length)
    const bytes = this.bytes
    if (length <= asciiBytesMax) {
      let text = ''
      for (let i = from; i < from + length; i++) {
        const byte = bytes[i]!
        if (byte >= 0x80) return this.#decodeText(from, length)
        text += String.fromCharCode(byte)
      }
      return text
    }
    return this.#decodeText(from, length)
  }

  #decodeText(from: number, length: number): string {
    try {
      return utf8.decode(this.bytes.subarray(from, from + length))
    } catch {
      throw this.malformed('a text is not UTF-8')
    }
  }

  /** A name of a field. */
  key(): string {
    const length = this.varint()
    const from = this.take(length)
    if (length > asciiBytesMax) return this.#decodeText(from, length)
    const bytes = this.bytes
    let hash = length
    for (let i = from; i < from + length; i++) {
      const byte = bytes[i]!
      if (byte >= 0x80) return this.#decodeText(from, length)
      hash = (hash * 31 + byte) | 0
    }
    const slot = hash & (keyCacheSize - 1)
    const cached = keyCache[slot]
    if (cached !== undefined && cached.length === length) {
      let i = 0
      while (i < length && cached.charCodeAt(i) === bytes[from + i]) i++
      if (i === length) return cached
    }
    const key = bytes.toString('latin1', from, from + length)
    keyCache[slot] = key
    return key
  }

  /** A text in UTF-16. */
  text16(): string {
    const length = this.varint()
    if (length % 2 !== 0) throw this.malformed('a text ends within a letter')
    const from = this.take(length)
    return this.bytes.toString('utf16le', from, from + length)
  }

  /** An integer of any size, without its sign. */
  bigint(): bigint {
    const length = this.varint()
    const from = this.take(length)
    try {
      return length === 0 ? 0n : BigInt(`0x${this.bytes.toString('hex', from, from + length)}`)
    } catch {
      throw this.malformed('an integer is too large')
    }
  }
}

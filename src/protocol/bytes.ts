// Owns reading and writing of primitive fields in a byte buffer, with every limit checked before anything is allocated.
// Must not know what any message means.
import { CoxswainError } from './errors.ts'

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** A growing buffer that fields are appended to. Reusable: `finish` copies out, `reset` starts anew. */
export class Writer {
  #buffer: Buffer
  #length = 0

  constructor(initialBytes = 256) {
    this.#buffer = Buffer.allocUnsafe(initialBytes)
  }

  /** Bytes written so far. */
  get length(): number {
    return this.#length
  }

  #reserve(bytes: number): void {
    const needed = this.#length + bytes
    if (needed <= this.#buffer.length) return
    const grown = Buffer.allocUnsafe(Math.max(needed, this.#buffer.length * 2))
    this.#buffer.copy(grown, 0, 0, this.#length)
    this.#buffer = grown
  }

  byte(value: number): void {
    this.#reserve(1)
    this.#buffer[this.#length++] = value
  }

  /** An integer from 0 to 2^53 - 1 in groups of seven bits, lowest first. */
  varint(value: number): void {
    this.#reserve(8)
    const buffer = this.#buffer
    let rest = value
    while (rest >= 0x80) {
      buffer[this.#length++] = (rest % 0x80) | 0x80
      rest = Math.floor(rest / 0x80)
    }
    buffer[this.#length++] = rest
  }

  float64(value: number): void {
    this.#reserve(8)
    this.#length = this.#buffer.writeDoubleLE(value, this.#length)
  }

  /** Bytes as they are, without a length. */
  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length)
    this.#buffer.set(bytes, this.#length)
    this.#length += bytes.length
  }

  /** The bytes of a buffer from `from` up to `end`, without a length. */
  part(buffer: Buffer, from: number, end: number): void {
    this.#reserve(end - from)
    this.#length += buffer.copy(this.#buffer, this.#length, from, end)
  }

  /** A length, then that many bytes. */
  bytes(bytes: Uint8Array): void {
    this.varint(bytes.length)
    this.raw(bytes)
  }

  /** A length in bytes, then the text in UTF-8. */
  string(text: string): void {
    const most = text.length * 3
    if (most < 0x80) {
      this.#reserve(most + 1)
      const buffer = this.#buffer
      const start = this.#length + 1
      let i = 0
      // Short texts are nearly always ASCII: a loop is several times faster than a call into the runtime.
      for (; i < text.length; i++) {
        const unit = text.charCodeAt(i)
        if (unit >= 0x80) break
        buffer[start + i] = unit
      }
      const written = i === text.length ? i : buffer.write(text, start)
      this.#buffer[this.#length] = written
      this.#length += written + 1
      return
    }
    const bytes = Buffer.byteLength(text)
    this.varint(bytes)
    this.#reserve(bytes)
    this.#length += this.#buffer.write(text, this.#length, bytes, 'utf8')
  }

  /** Forgets all bytes from `length` on. */
  truncate(length: number): void {
    this.#length = length
  }

  /** A copy of all bytes written. */
  finish(): Buffer {
    return Buffer.from(this.#buffer.subarray(0, this.#length))
  }

  /** The bytes written, not copied: valid only until the next write. */
  view(): Buffer {
    return this.#buffer.subarray(0, this.#length)
  }

  /** Forgets what was written and keeps the memory, unless it is above `keepBytesMax`. */
  reset(keepBytesMax = 1 << 20): void {
    this.#length = 0
    if (this.#buffer.length > keepBytesMax) this.#buffer = Buffer.allocUnsafe(keepBytesMax)
  }
}

/** Reads fields off a buffer. Every method throws FRAME_MALFORMED where the bytes end early or a limit is passed. */
export class Reader {
  readonly buffer: Buffer
  position: number
  readonly end: number

  constructor(bytes: Uint8Array) {
    this.buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.position = 0
    this.end = this.buffer.length
  }

  get remaining(): number {
    return this.end - this.position
  }

  byte(): number {
    if (this.position >= this.end) throw malformed('ends early', this.position)
    return this.buffer[this.position++]!
  }

  varint(): number {
    let value = 0
    let scale = 1
    for (let group = 0; group < 8; group++) {
      const byte = this.byte()
      value += (byte & 0x7f) * scale
      if (byte < 0x80) {
        if (value > Number.MAX_SAFE_INTEGER || (byte === 0 && group > 0)) break
        return value
      }
      scale *= 0x80
    }
    throw malformed('has an integer that is too long', this.position)
  }

  float64(): number {
    if (this.remaining < 8) throw malformed('ends early', this.position)
    const value = this.buffer.readDoubleLE(this.position)
    this.position += 8
    return value
  }

  /** The next bytes, as a view of this buffer. */
  raw(length: number): Buffer {
    if (length > this.remaining) throw malformed(`claims ${length} bytes where ${this.remaining} are left`, this.position)
    const view = this.buffer.subarray(this.position, this.position + length)
    this.position += length
    return view
  }

  /** Passes over the next bytes. */
  skip(length: number): void {
    if (length > this.remaining) throw malformed(`claims ${length} bytes where ${this.remaining} are left`, this.position)
    this.position += length
  }

  bytes(lengthMax: number): Buffer {
    return this.raw(this.#length(lengthMax))
  }

  string(lengthMax: number): string {
    const length = this.#length(lengthMax)
    const bytes = this.raw(length)
    if (length < 32) {
      let ascii = ''
      for (let i = 0; i < length; i++) {
        const byte = bytes[i]!
        if (byte >= 0x80) return this.#decode(bytes)
        ascii += String.fromCharCode(byte)
      }
      return ascii
    }
    return this.#decode(bytes)
  }

  #decode(bytes: Buffer): string {
    try {
      return utf8.decode(bytes)
    } catch {
      throw malformed('has text that is not UTF-8', this.position)
    }
  }

  #length(lengthMax: number): number {
    const length = this.varint()
    if (length > lengthMax) throw malformed(`has a field of ${length} bytes where ${lengthMax} are allowed`, this.position)
    return length
  }

  /** Throws unless every byte was read. */
  finish(): void {
    if (this.position !== this.end) throw malformed(`has ${this.remaining} bytes too many`, this.position)
  }
}

/** The error of bytes that are no message. */
export function malformed(what: string, position: number): CoxswainError {
  return new CoxswainError('FRAME_MALFORMED', `The frame ${what} (at byte ${position}).`)
}

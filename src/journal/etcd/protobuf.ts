// Owns reading and writing of protocol buffers' primitive fields, with every length checked before it is believed.
// Must not know what any message means.

const int64Mask = (1n << 64n) - 1n
const fieldMax = (1 << 29) - 1
/** Bytes of the head of a gRPC message: a flag and the length. */
export const grpcHeadBytes = 5

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Bytes that are no message of the kind that was expected. */
export class ProtobufError extends Error {
  constructor(what: string, position: number) {
    super(`the message ${what} (at byte ${position})`)
    this.name = 'ProtobufError'
  }
}

/**
 * Writes a message from its end to its beginning: the length of what lies within is known when its head is written, and nothing is copied twice. Fields are
 * given in falling order.
 */
export class ProtobufWriter {
  #buffer: Buffer
  #start: number

  constructor(bytesExpected = 128) {
    this.#buffer = Buffer.allocUnsafe(bytesExpected)
    this.#start = bytesExpected
  }

  /** Bytes written so far. */
  get length(): number {
    return this.#buffer.length - this.#start
  }

  #reserve(bytes: number): number {
    if (bytes > this.#start) {
      const grown = Buffer.allocUnsafe((this.length + bytes) * 2)
      this.#buffer.copy(grown, grown.length - this.length, this.#start)
      this.#start = grown.length - this.length
      this.#buffer = grown
    }
    this.#start -= bytes
    return this.#start
  }

  #varint(value: number): void {
    let bytes = 1
    for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes++
    let at = this.#reserve(bytes)
    let rest = value
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) this.#buffer[at++] = (rest % 0x80) | 0x80
    this.#buffer[at] = rest
  }

  #tag(field: number, wire: number): void {
    this.#varint(field * 8 + wire)
  }

  /** An integer from 0 to 2^53 - 1; 0 is what a field has that is not there. */
  number(field: number, value: number): void {
    if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${value} is no integer that can be sent`)
    if (value === 0) return
    this.member(field, value)
  }

  /** The same where also 0 is written: the field's presence says which member of a union it is. */
  member(field: number, value: number): void {
    this.#varint(value)
    this.#tag(field, 0)
  }

  flag(field: number, value: boolean | undefined): void {
    if (value) this.member(field, 1)
  }

  /** A 64-bit integer as decimal digits. */
  decimal(field: number, digits: string): void {
    let rest = BigInt.asUintN(64, BigInt(digits))
    if (rest === 0n) return
    const bytes: number[] = []
    for (; rest >= 0x80n; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80)
    bytes.push(Number(rest))
    const at = this.#reserve(bytes.length)
    this.#buffer.set(bytes, at)
    this.#tag(field, 0)
  }

  text(field: number, text: string): void {
    const bytes = Buffer.byteLength(text)
    if (bytes === 0) return
    const at = this.#reserve(bytes)
    this.#buffer.write(text, at)
    this.#varint(bytes)
    this.#tag(field, 2)
  }

  bytes(field: number, bytes: Uint8Array): void {
    const at = this.#reserve(bytes.length)
    this.#buffer.set(bytes, at)
    this.#varint(bytes.length)
    this.#tag(field, 2)
  }

  /** A message within this one. */
  message(field: number, write: () => void): void {
    const before = this.length
    write()
    this.#varint(this.length - before)
    this.#tag(field, 2)
  }

  /** All that was written, behind the head that gRPC wants. The writer must not be used afterwards. */
  framed(): Buffer {
    const { length } = this
    const at = this.#reserve(grpcHeadBytes)
    this.#buffer[at] = 0
    this.#buffer.writeUInt32BE(length, at + 1)
    return this.#buffer.subarray(at)
  }
}

/** Reads a message field by field: `field()`, then the value by its kind, or `skip()`. Throws ProtobufError. */
export class ProtobufReader {
  readonly #buffer: Buffer
  #position: number
  readonly #end: number
  #wire = 0

  constructor(buffer: Buffer, start = 0, end = buffer.length) {
    this.#buffer = buffer
    this.#position = start
    this.#end = end
  }

  #wrong(what: string): ProtobufError {
    return new ProtobufError(what, this.#position)
  }

  /** Number of the next field; 0 at the end. */
  field(): number {
    if (this.#position === this.#end) return 0
    const tag = this.#unsigned()
    const field = Math.floor(tag / 8)
    this.#wire = tag % 8
    if (field === 0 || field > fieldMax) throw this.#wrong(`has a field of the number ${field}`)
    return field
  }

  #expect(wire: number): void {
    if (this.#wire !== wire) throw this.#wrong(`has a field of the wire type ${this.#wire} where ${wire} is expected`)
  }

  #byte(): number {
    if (this.#position >= this.#end) throw this.#wrong('ends early')
    return this.#buffer[this.#position++]!
  }

  /** The next integer if it has at most 49 bits; what is longer is left to the exact way. */
  #unsigned(): number {
    const start = this.#position
    let value = 0
    let scale = 1
    for (let group = 0; group < 7; group++) {
      const byte = this.#byte()
      value += (byte & 0x7f) * scale
      if (byte < 0x80) return value
      scale *= 0x80
    }
    this.#position = start
    const exact = this.#exact()
    if (exact > BigInt(Number.MAX_SAFE_INTEGER)) throw this.#wrong(`has the integer ${exact}, which is too large`)
    return Number(exact)
  }

  #exact(): bigint {
    let value = 0n
    for (let group = 0n; group < 10n; group++) {
      const byte = this.#byte()
      value |= BigInt(byte & 0x7f) << (group * 7n)
      if (byte >= 0x80) continue
      if (value > int64Mask) break
      return value
    }
    throw this.#wrong('has an integer that is too long')
  }

  /** An int64 that a number holds exactly. */
  number(): number {
    this.#expect(0)
    const start = this.#position
    let bytes = 1
    while (start + bytes < this.#end && this.#buffer[start + bytes - 1]! >= 0x80) bytes++
    if (bytes <= 7) return this.#unsigned()
    const value = BigInt.asIntN(64, this.#exact())
    const number = Number(value)
    if (!Number.isSafeInteger(number)) throw this.#wrong(`has the integer ${value}, which is too large`)
    return number
  }

  /** An int64 that cannot be negative: a revision, a size, a count. */
  count(): number {
    const value = this.number()
    if (value < 0) throw this.#wrong(`has the number ${value} where none below 0 can be`)
    return value
  }

  flag(): boolean {
    this.#expect(0)
    return this.#exact() !== 0n
  }

  /** An int64, or a uint64, exactly, as decimal digits. */
  decimal(sign: 'signed' | 'unsigned'): string {
    this.#expect(0)
    const value = this.#exact()
    return String(sign === 'signed' ? BigInt.asIntN(64, value) : value)
  }

  #length(): number {
    this.#expect(2)
    const length = this.#unsigned()
    if (length > this.#end - this.#position) throw this.#wrong(`claims ${length} bytes where ${this.#end - this.#position} are left`)
    return length
  }

  /** The field's bytes, as a view. */
  bytes(): Buffer {
    const length = this.#length()
    const start = this.#position
    this.#position += length
    return this.#buffer.subarray(start, this.#position)
  }

  text(): string {
    const bytes = this.bytes()
    try {
      return utf8.decode(bytes)
    } catch {
      throw this.#wrong('has text that is not UTF-8')
    }
  }

  /** The message within this field. */
  message(): ProtobufReader {
    const length = this.#length()
    const start = this.#position
    this.#position += length
    return new ProtobufReader(this.#buffer, start, this.#position)
  }

  /** Passes over a field that is not known. */
  skip(): void {
    if (this.#wire === 0) this.#exact()
    else if (this.#wire === 1) this.#pass(8)
    else if (this.#wire === 2) this.#pass(this.#length())
    else if (this.#wire === 5) this.#pass(4)
    else throw this.#wrong(`has a field of the wire type ${this.#wire}`)
  }

  #pass(bytes: number): void {
    if (bytes > this.#end - this.#position) throw this.#wrong('ends early')
    this.#position += bytes
  }
}

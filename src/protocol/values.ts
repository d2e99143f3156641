// Owns what user values look like as bytes, between SDK and executor. Nobody else may look into them.
// Must not know where the bytes go, nor keep any of them.
import { Writer } from './bytes.ts'
import { itemInline } from './chunk.ts'
import { Decoder } from './values/decode.ts'
import { Encoder } from './values/encode.ts'
import { tags } from './values/tags.ts'

/** Scratch memory up to this size is kept for the next value. */
const scratchBytesMax = 256 << 10

// One encoder is kept. While it is busy (a getter of a value encodes another one) a new one serves.
let idle: Encoder | undefined
let idleWriter: Writer | undefined

/**
 * Appends the value's bytes. Throws VALUE_CANNOT_TRAVEL with the path to the offending field, which begins with `root`;
 * what was written by then must be taken back by the caller.
 */
export function writeValue(writer: Writer, value: unknown, root = 'input'): void {
  const encoder = idle ?? new Encoder()
  idle = undefined
  try {
    encoder.encode(writer, value, root)
  } finally {
    idle = encoder
  }
}

/**
 * Like `writeValue`, but false, with nothing written, if the value takes more than `bytesMax` bytes:
 * it is given up at the first binary part or text that passes it, before that is copied.
 */
export function writeValueWithin(writer: Writer, value: unknown, bytesMax: number, root = 'input'): boolean {
  const encoder = idle ?? new Encoder()
  const start = writer.length
  idle = undefined
  try {
    const whole = encoder.encode(writer, value, root, undefined, bytesMax)
    if (!whole) writer.truncate(start)
    return whole
  } finally {
    idle = encoder
  }
}

/**
 * The value's bytes in pieces, large binary parts not copied: they are read when the pieces are.
 * Throws VALUE_CANNOT_TRAVEL with the path to the offending field, which begins with `root`.
 */
export function encodeValue(value: unknown, root = 'input'): Uint8Array[] {
  const encoder = idle ?? new Encoder()
  const writer = idleWriter ?? new Writer(4096)
  idle = undefined
  idleWriter = undefined
  const segments: Uint8Array[] = []
  try {
    encoder.encode(writer, value, root, segments)
    if (writer.length > 0) segments.push(writer.finish())
  } finally {
    writer.reset(scratchBytesMax)
    idle = encoder
    idleWriter = writer
  }
  return segments
}

/** The value in these bytes, or in those from `from` up to `end`. Large binary parts are views of them. Throws VALUE_MALFORMED. */
export function decodeValue(bytes: Uint8Array, from = 0, end = bytes.length): unknown {
  return new Decoder(bytes, from, end).decode()
}

/** Writes templates: values in which the objects that `hole` gives a number to are left open. One at a time. */
export class TemplateEncoder {
  readonly #encoder: Encoder

  constructor(hole: (value: object) => number | undefined) {
    this.#encoder = new Encoder(hole)
  }

  /** Appends a template. False, with nothing written, if it takes more than `bytesMax` bytes. Throws VALUE_CANNOT_TRAVEL. */
  write(writer: Writer, value: unknown, bytesMax: number): boolean {
    const start = writer.length
    const whole = this.#encoder.encode(writer, value, 'input', undefined, bytesMax)
    if (!whole) writer.truncate(start)
    return whole
  }
}

/** The value of a template, its holes filled. Throws VALUE_MALFORMED. */
export function decodeTemplate(bytes: Uint8Array, fill: (hole: number) => unknown): unknown {
  return new Decoder(bytes, 0, bytes.length, fill).decode()
}

const falseTags: ReadonlySet<number> = new Set([0, tags.null, tags.undefined, tags.false])

/** True if the value in this item would be true in an `if`. Who only has the bytes decides branches by it. */
export function isTrueItem(item: Uint8Array): boolean {
  if (item[0] !== itemInline) return true
  const tag = item[1]!
  if (falseTags.has(tag)) return false
  // An empty text, and the number or bigint 0 in their longer forms: these few are decoded.
  if (tag !== tags.text && tag !== tags.text16 && tag !== tags.float64 && tag !== tags.bigintPositive) return true
  return item.length > 16 || Boolean(decodeValue(item, 1))
}

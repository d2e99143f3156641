// Owns the combinators by which each message and record is declared once: its type, its bytes and a description to test it by; and the bytes of a whole one.
// Must not know any message.
import { malformed, Reader, Writer } from './bytes.ts'

/** How a codec is built, so that tests can derive arbitrary values and documents can list fields. */
export type Shape =
  | { kind: 'varint' | 'float64' | 'boolean' | 'integer' }
  | { kind: 'string' | 'bytes'; lengthMin?: number; lengthMax: number }
  | { kind: 'enumeration'; values: readonly string[] }
  | { kind: 'list'; item: Shape; countMax: number }
  | { kind: 'optional'; item: Shape }
  | { kind: 'struct'; fields: readonly (readonly [string, Shape])[] }
  | { kind: 'union'; cases: readonly (readonly [string, Shape])[] }

/** Turns values of one type into bytes and back. `read` throws FRAME_MALFORMED on anything that is no such value. */
export interface Codec<T> {
  readonly shape: Shape
  write(writer: Writer, value: T): void
  read(reader: Reader): T
}

/** The type that a codec carries. */
export type Infer<C> = C extends Codec<infer T> ? T : never

/** An integer from 0 to 2^53 - 1. */
export const varint: Codec<number> = {
  shape: { kind: 'varint' },
  write: (writer, value) => writer.varint(value),
  read: reader => reader.varint(),
}

/** An integer of either sign, up to 2^52 - 1 in size. */
export const integer: Codec<number> = {
  shape: { kind: 'integer' },
  write: (writer, value) => writer.varint(value < 0 ? -value * 2 - 1 : value * 2),
  read: reader => {
    const raw = reader.varint()
    return raw % 2 === 0 ? raw / 2 : -(raw + 1) / 2
  },
}

/** A double, as its eight bytes. */
export const float64: Codec<number> = {
  shape: { kind: 'float64' },
  write: (writer, value) => writer.float64(value),
  read: reader => reader.float64(),
}

/** True or false, as one byte; any other byte is malformed. */
export const boolean: Codec<boolean> = {
  shape: { kind: 'boolean' },
  write: (writer, value) => writer.byte(value ? 1 : 0),
  read: reader => {
    const byte = reader.byte()
    if (byte > 1) throw malformed('has a boolean that is neither 0 nor 1', reader.position)
    return byte === 1
  },
}

/** Text of at most `lengthMax` bytes in UTF-8. */
export function string(lengthMax = 1024): Codec<string> {
  return {
    shape: { kind: 'string', lengthMax },
    write: (writer, value) => writer.string(value),
    read: reader => reader.string(lengthMax),
  }
}

/** At most `lengthMax` bytes. Reading gives a view of the frame, which it keeps alive. */
export function bytes(lengthMax: number): Codec<Uint8Array> {
  return {
    shape: { kind: 'bytes', lengthMax },
    write: (writer, value) => writer.bytes(value),
    read: reader => reader.bytes(lengthMax),
  }
}

/** One of the given words, as its position in the list: only append to it. */
export function enumeration<const V extends readonly string[]>(...values: V): Codec<V[number]> {
  const index = new Map<string, number>(values.map((value, i) => [value, i]))
  return {
    shape: { kind: 'enumeration', values },
    write: (writer, value) => writer.byte(index.get(value)!),
    read: reader => {
      const value = values[reader.byte()]
      if (value === undefined) throw malformed('has an unknown word', reader.position)
      return value
    },
  }
}

/** At most `countMax` items. */
export function list<T>(item: Codec<T>, countMax = 65_536): Codec<T[]> {
  return {
    shape: { kind: 'list', item: item.shape, countMax },
    write: (writer, values) => {
      writer.varint(values.length)
      for (const value of values) item.write(writer, value)
    },
    read: reader => {
      const count = reader.varint()
      // Every item takes a byte or more, so a claimed count is held against what is really there before anything is allocated.
      if (count > countMax || count > reader.remaining) throw malformed(`claims a list of ${count}`, reader.position)
      const values: T[] = []
      for (let i = 0; i < count; i++) values.push(item.read(reader))
      return values
    },
  }
}

/** A value or undefined. */
export function optional<T>(item: Codec<T>): Codec<T | undefined> {
  return {
    shape: { kind: 'optional', item: item.shape },
    write: (writer, value) => {
      writer.byte(value === undefined ? 0 : 1)
      if (value !== undefined) item.write(writer, value)
    },
    read: reader => (boolean.read(reader) ? item.read(reader) : undefined),
  }
}

type Fields = Record<string, Codec<never>>
type FieldValue<C> = C extends Codec<infer T> ? T : never

/** Named fields in the order of declaration: only append to it, under a new protocol version. */
// biome-ignore lint/suspicious/noExplicitAny: a record of codecs of any type; each field's own type is inferred from it
export function struct<F extends Record<string, Codec<any>>>(fields: F): Codec<{ [K in keyof F]: FieldValue<F[K]> }> {
  const entries = Object.entries(fields) as [string, Fields[string]][]
  const shape: Shape = { kind: 'struct', fields: entries.map(([name, codec]) => [name, codec.shape] as const) }
  // Made when it is first used: a process uses few of all the structs there are.
  const made = (): Way => Object.assign(codec, unrolled(entries) ?? walked(entries))
  const codec = {
    shape,
    write: (writer: Writer, value: never) => made().write(writer, value),
    read: (reader: Reader) => made().read(reader),
  }
  return codec as Codec<{ [K in keyof F]: FieldValue<F[K]> }>
}

type Way = Pick<Codec<Record<string, never>>, 'write' | 'read'>

/**
 * Code of its own for a struct, with every field by its name: several times as fast as a walk over a list, since each place sees one type only.
 * Undefined where code may not be made from text (`--disallow-code-generation-from-strings`).
 */
function unrolled(entries: readonly [string, Fields[string]][]): Way | undefined {
  for (const [name] of entries) if (!/^[a-zA-Z]\w*$/.test(name)) throw new Error(`${name} is no name of a field`)
  const names = entries.map((_, position) => `c${position}`)
  const writes = entries.map(([name], position) => `c${position}.write(writer, value.${name})`)
  const reads = entries.map(([name], position) => `${name}: c${position}.read(reader)`)
  const code = `return { write(writer, value) { ${writes.join('; ')} }, read(reader) { return { ${reads.join(', ')} } } }`
  try {
    return new Function(...names, code)(...entries.map(([, codec]) => codec)) as Way
  } catch (error) {
    if (error instanceof EvalError) return undefined
    throw error
  }
}

function walked(entries: readonly [string, Fields[string]][]): Way {
  return {
    write: (writer, value) => {
      for (const [name, codec] of entries) codec.write(writer, value[name]!)
    },
    read: reader => {
      const value: Record<string, never> = {}
      for (const [name, codec] of entries) value[name] = codec.read(reader)
      return value
    },
  }
}

/** The union of all cases: the case's name is in `kind`. */
export type UnionOf<C> = { [K in keyof C]: { kind: K } & FieldValue<C[K]> }[keyof C]

/** One of several structs, told apart by a byte which is the case's own number: never reuse one. */
// biome-ignore lint/suspicious/noExplicitAny: cases of any type; each case's own type is inferred from it
export function union<C extends Record<string, readonly [number, Codec<any>]>>(cases: C): Codec<UnionOf<{ [K in keyof C]: C[K][1] }>> {
  const byKind = new Map<string, readonly [number, Codec<unknown>]>(Object.entries(cases))
  const byTag = new Map<number, { kind: string; codec: Codec<unknown> }>()
  for (const [kind, [tag, codec]] of byKind) {
    if (byTag.has(tag)) throw new Error(`tag ${tag} is used twice`)
    byTag.set(tag, { kind, codec })
  }
  type Value = UnionOf<{ [K in keyof C]: C[K][1] }>
  return {
    shape: { kind: 'union', cases: [...byKind].map(([kind, [, codec]]) => [kind, codec.shape] as const) },
    write: (writer, value) => {
      const [tag, codec] = byKind.get((value as { kind: string }).kind)!
      writer.byte(tag)
      codec.write(writer, value)
    },
    read: reader => {
      const found = byTag.get(reader.byte())
      if (!found) throw malformed('is of an unknown kind', reader.position)
      const value = found.codec.read(reader) as { kind?: string }
      value.kind = found.kind
      return value as Value
    },
  }
}

/** The bytes of one message; `expectedBytes` of what is large in it spares growing step by step. */
export function encodeMessage<T>(codec: Codec<T>, message: T, expectedBytes = 0): Buffer {
  const writer = new Writer(256 + expectedBytes)
  codec.write(writer, message)
  // The writer is used once, so its memory is the message's: a large one is not copied again.
  return writer.view()
}

/** The message in these bytes; throws FRAME_MALFORMED or FRAME_TOO_LARGE. */
export function decodeMessage<T>(codec: Codec<T>, frame: Uint8Array): T {
  const reader = new Reader(frame)
  const message = codec.read(reader)
  reader.finish()
  return message
}

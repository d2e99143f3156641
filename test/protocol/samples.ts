// Owns values made from a codec's shape: arbitrary ones for property tests, one fixed one for the golden bytes.
// Must not know any message: whatever is declared is tested.
import { createHash } from 'node:crypto'
import fc from 'fast-check'
import type { Codec, Shape } from '../../src/protocol/index.ts'
import * as protocol from '../../src/protocol/index.ts'

/** Strings and bytes of an arbitrary value stay below this; limits have tests of their own. */
const arbitraryBytesMax = 40
const integerMax = 2 ** 52 - 1

/** Everything that the protocol's face exports and that is a codec. */
export function allCodecs(): [string, Codec<unknown>][] {
  const isCodec = (candidate: unknown): candidate is Codec<unknown> =>
    typeof candidate === 'object' && candidate !== null && 'shape' in candidate && 'read' in candidate && 'write' in candidate
  return Object.entries(protocol as Record<string, unknown>).filter((entry): entry is [string, Codec<unknown>] => isCodec(entry[1]))
}

/** Any value of a shape. */
export function arbitraryOf(shape: Shape): fc.Arbitrary<unknown> {
  switch (shape.kind) {
    case 'varint':
      return fc.oneof(fc.nat(300), fc.maxSafeNat())
    case 'integer':
      return fc.oneof(fc.integer({ min: -100, max: 100 }), fc.integer({ min: -integerMax, max: integerMax }))
    case 'float64':
      return fc.double()
    case 'boolean':
      return fc.boolean()
    case 'string':
      return fc
        .string({ unit: 'grapheme', maxLength: arbitraryBytesMax })
        .filter(text => text.length >= (shape.lengthMin ?? 0) && Buffer.byteLength(text) <= shape.lengthMax)
    case 'bytes':
      return fc.uint8Array({ maxLength: Math.min(arbitraryBytesMax, shape.lengthMax) }).map(bytes => Buffer.from(bytes))
    case 'enumeration':
      return fc.constantFrom(...shape.values)
    case 'list':
      return fc.array(arbitraryOf(shape.item), { maxLength: 4 })
    case 'optional':
      return fc.option(arbitraryOf(shape.item), { nil: undefined })
    case 'struct':
      return fc.record(Object.fromEntries(shape.fields.map(([name, field]) => [name, arbitraryOf(field)])), { noNullPrototype: true })
    case 'union':
      return fc.oneof(...shape.cases.map(([kind, one]) => arbitraryOf(one).map(value => ({ kind, ...(value as object) }))))
  }
}

/** A number of its own for each place in a shape, the same for ever. */
function seed(path: string): number {
  return createHash('sha256').update(path).digest().readUInt32LE(0)
}

/** The fixed sample of a shape: it changes only where the shape's own part of the declaration changes. */
export function sampleOf(shape: Shape, path: string): unknown {
  switch (shape.kind) {
    case 'varint':
      return seed(path) % 1_000_000
    case 'integer':
      return (seed(path) % 1001) - 500
    case 'float64':
      return (seed(path) % 1000) / 8
    case 'boolean':
      return seed(path) % 2 === 1
    case 'string':
      return `text é 中 ${seed(path) % 1000}`
    case 'bytes':
      return Buffer.from([0, 1, 127, 128, 255, seed(path) % 256])
    case 'enumeration':
      return shape.values[seed(path) % shape.values.length]
    case 'list':
      return [sampleOf(shape.item, `${path}[0]`), sampleOf(shape.item, `${path}[1]`)]
    case 'optional':
      return seed(path) % 4 === 0 ? undefined : sampleOf(shape.item, path)
    case 'struct':
      return Object.fromEntries(shape.fields.map(([name, field]) => [name, sampleOf(field, `${path}.${name}`)]))
    case 'union': {
      const [kind, one] = shape.cases[0]!
      return { kind, ...(sampleOf(one, `${path}.${kind}`) as object) }
    }
  }
}

/** The samples of a codec: one per case of a union, else one. */
export function samplesOf(name: string, codec: Codec<unknown>): [string, unknown][] {
  if (codec.shape.kind !== 'union') return [[name, sampleOf(codec.shape, name)]]
  return codec.shape.cases.map(([kind, one]) => [`${name}.${kind}`, { kind, ...(sampleOf(one, `${name}.${kind}`) as object) }])
}
